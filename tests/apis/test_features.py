"""Features on disk are those of the model; stale ones are refused."""

import json
import os
import shutil

import pytest
import torch
from mmaction.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.runner import Runner

from mmaction_videomambapro.apis.cli import refusing_configs
from mmaction_videomambapro.apis.features import extract_features
from mmaction_videomambapro.datasets.feature_cache import (
    FeatureCache,
    FeatureCacheError,
)
from mmaction_videomambapro.engine.checks import check_files
from mmaction_videomambapro.errors import UsageError
from mmaction_videomambapro.evaluation.results import load_results
from mmaction_videomambapro.safe_load import CheckpointError
from tests.conftest import DEMO_CONFIG, ROOT

GRID = dict(
    type='AttentiveProbeGrid',
    lrs=[3e-2, 1e-3],
    weight_decays=[0.01, 0.1],
    num_classes=8,
    in_channels=24,
    num_heads=2,
    average_clips='prob',
)

pytestmark = pytest.mark.usefixtures('scope')


@pytest.fixture
def config(clips):
    """The demo's model, small and frozen, with a grid of four probes."""
    cfg = Config.fromfile(ROOT / DEMO_CONFIG)
    cfg.model.backbone.update(
        arch=dict(embed_dims=24, depth=2),
        pos_embed='sincos3d',
        with_cls_token=False,
        out_type='raw',
        frozen_stages=2,
    )
    cfg.model.cls_head = GRID
    cfg.optim_wrapper = dict(
        constructor='ProbeGridOptimWrapperConstructor', optimizer=dict(type='AdamW')
    )
    cfg.param_scheduler = []
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2, val_interval=1)
    cfg.custom_hooks = [dict(type='EpochSeedHook'), dict(type='ProbeChoiceHook')]
    cfg.default_hooks.checkpoint.save_best = 'auto'
    cfg.val_evaluator = dict(type='ProbeGridMetric')
    cfg.test_evaluator = [
        dict(type='AccMetric'), dict(type='ProbeGridMetric', prefix='probes')
    ]  # fmt: skip
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.num_workers, loader.persistent_workers = 0, False
        loader.batch_size = 3
        name = 'train' if split == 'train' else 'val'
        loader.dataset.update(
            ann_file=str(clips / f'{name}_videos.txt'),
            data_prefix=dict(video=str(clips)),
        )
    return cfg


@pytest.fixture
def checkpoint(config, tmp_path):
    """As a pre-training saves it, with a target that differs from its backbone."""
    torch.manual_seed(5)
    backbone = MODELS.build(config.model.backbone)
    backbone.init_weights()
    state = backbone.state_dict()
    pretraining = {f'target.module.{k}': v for k, v in state.items()}
    pretraining |= {f'backbone.{k}': v + 1 for k, v in state.items()}
    path = str(tmp_path / 'pretraining.pth')
    torch.save(dict(state_dict=pretraining), path)
    return path


def test_round_trip(config, checkpoint, tmp_path):
    """Tokens of every view of every video, in order, with its label."""
    folder = str(tmp_path / 'cache')
    cache = extract_features(config, checkpoint, folder, 'test', dtype=torch.float32)
    model = MODELS.build(config.model)
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    prefix = 'target.module.'
    model.backbone.load_state_dict(
        {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    )
    model.eval()
    videos = DATASETS.build(config.test_dataloader.dataset)
    cached = DATASETS.build(dict(type='CachedFeatures', ann_file=folder))
    assert len(cached) == len(videos) == cache.num_samples == 8
    for i in range(8):
        sample, data = cached[i], videos[i]
        clips = (data['inputs'].float() - model.data_preprocessor.mean) / (
            model.data_preprocessor.std
        )
        with torch.no_grad():
            expected = model.backbone(clips)
        torch.testing.assert_close(sample['inputs'], expected, rtol=1e-4, atol=1e-4)
        label = data['data_samples'].gt_label
        assert torch.equal(sample['data_samples'].gt_label, label)


class Stop(Exception):
    pass


def contents(folder):
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def test_interrupted_and_resumed(config, checkpoint, tmp_path, monkeypatch):
    """With random crops, the files are those of one run; existing ones are kept."""
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    extract_features(config, checkpoint, str(whole), 'train')
    save, written = torch.save, []

    def stop(content, file):
        if len(written) == 4:
            file.write(b'half')
            raise Stop
        written.append(file)
        save(content, file)

    monkeypatch.setattr(torch, 'save', stop)
    with pytest.raises(Stop):
        extract_features(config, checkpoint, str(broken), 'train')
    monkeypatch.undo()
    assert len(contents(broken)) == 4 + 1
    with pytest.raises(FeatureCacheError, match=r'12 of 16 samples .* are missing'):
        DATASETS.build(dict(type='CachedFeatures', ann_file=str(broken)))
    times = {p: p.stat().st_mtime_ns for p in broken.rglob('*.pth')}
    extract_features(config, checkpoint, str(broken), 'train')
    assert all(p.stat().st_mtime_ns == time for p, time in times.items())
    for i in range(16):
        first, second = (FeatureCache(str(f)).load(i) for f in (whole, broken))
        torch.testing.assert_close(first, second, rtol=2e-3, atol=2e-3)
    assert len(contents(broken)) == 16 + 1

    other = extract_features(config, checkpoint, str(tmp_path / 'other'), 'train', 1)
    assert not torch.equal(other.load(0)[0], FeatureCache(str(whole)).load(0)[0])


def test_stale_features_are_refused(config, checkpoint, tmp_path):
    folder = str(tmp_path / 'cache')
    extract_features(config, checkpoint, folder)
    before = contents(tmp_path / 'cache')
    extract_features(config, checkpoint, folder)  # nothing to do

    def refused(word, cfg=config, path=checkpoint, split='val', **arguments):
        with pytest.raises(FeatureCacheError, match=f'features of other .*{word}.*:'):
            extract_features(cfg, path, folder, split, **arguments)
        assert contents(tmp_path / 'cache') == before

    state = torch.load(checkpoint, weights_only=True)
    state['state_dict']['target.module.norm_f.weight'][3] += 1e-3
    torch.save(state, tmp_path / 'other.pth')
    refused('weights', path=str(tmp_path / 'other.pth'))
    refused('preprocessing', split='test')
    refused('samples', split='train')
    refused('dtype', dtype=torch.float32)
    refused('seed', seed=1)
    changed = config.copy()
    changed.model.data_preprocessor.mean = [0, 0, 0]
    refused('preprocessing', cfg=changed)


def test_mismatches_are_reported(config, checkpoint, tmp_path):
    folder = tmp_path / 'cache'
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    torch.save(dict(x=torch.zeros(1)), tmp_path / 'none.pth')
    with pytest.raises(UsageError, match='has no weights that begin with target'):
        extract_features(config, str(tmp_path / 'none.pth'), str(folder))
    del state['target.module.norm_f.weight']
    torch.save(state, tmp_path / 'part.pth')
    with pytest.raises(UsageError, match=r'1 weights .* the first is norm_f.weight'):
        extract_features(config, str(tmp_path / 'part.pth'), str(folder))
    assert not folder.exists()
    folder.mkdir()
    (folder / 'mine.txt').write_text('mine')
    with pytest.raises(FeatureCacheError, match='is not a feature cache'):
        extract_features(config, checkpoint, str(folder))
    assert os.listdir(folder) == ['mine.txt']


TOKENS = torch.ones(2, 3, 4)
BAD_SAMPLES = {
    'a list': [TOKENS],
    'no label': dict(features=TOKENS, label=None),
    'text': dict(features='x', label=torch.tensor([1])),
    'an array': dict(features=TOKENS.numpy(), label=torch.tensor([1])),
    'sparse': dict(features=TOKENS.to_sparse(), label=torch.tensor([1])),
    'without values': dict(features=TOKENS.to('meta'), label=torch.tensor([1])),
    'NaN': dict(features=TOKENS * torch.nan, label=torch.tensor([1])),
    'integers': dict(features=TOKENS.long(), label=torch.tensor([1])),
    'flat': dict(features=TOKENS[0], label=torch.tensor([1])),
    'half labels': dict(features=TOKENS, label=torch.tensor([1.5])),
    '100 GB': dict(
        features=torch.zeros(1).expand(1, 10**9, 25), label=torch.tensor([1])
    ),
}


@pytest.mark.parametrize('kind', BAD_SAMPLES)
def test_odd_samples_of_a_cache_are_refused(kind, tmp_path):
    cache = FeatureCache.create(str(tmp_path / 'cache'), 1, dict(weights='some'))
    cache.save(0, TOKENS, torch.tensor([1]))
    dataset = DATASETS.build(dict(type='CachedFeatures', ann_file=cache.folder))
    assert dataset[0]['inputs'].shape == TOKENS.shape
    content = BAD_SAMPLES[kind]
    if isinstance(content, dict):
        content = {**torch.load(cache.path(0)), **content}
    torch.save(content, cache.path(0))
    with pytest.raises((FeatureCacheError, CheckpointError), match=r'0{8}\.pth'):
        dataset[0]


def test_odd_samples_are_one_line_from_other_processes(tmp_path):
    cache = FeatureCache.create(str(tmp_path / 'cache'), 2, {})
    cache.save(0, TOKENS, torch.tensor([1]))
    cache.save(1, TOKENS * torch.nan, torch.tensor([1]))
    dataset = DATASETS.build(dict(type='CachedFeatures', ann_file=cache.folder))
    loader = torch.utils.data.DataLoader(dataset, num_workers=1, collate_fn=list)
    sentence = r'^[^ ]*0{7}1\.pth '
    with pytest.raises(UsageError, match=sentence) as error, refusing_configs():
        list(loader)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('workers', [0, 1])
def test_broken_samples_are_not_replaced(config, checkpoint, clips, tmp_path, workers):
    lines = (clips / 'train_videos.txt').read_text().splitlines()
    (tmp_path / 'list.txt').write_text('\n'.join([*lines[:4], 'no.mp4 1']))
    config.train_dataloader.dataset.ann_file = str(tmp_path / 'list.txt')
    config.train_dataloader.num_workers = workers
    with pytest.raises(UsageError, match=r'^broken sample .*no\.mp4.*leave it out'):
        extract_features(config, checkpoint, str(tmp_path / 'cache'), 'train')


def test_tool_writes_and_refuses(tool, config, checkpoint, tmp_path):
    config.dump(tmp_path / 'probe.py')
    arguments = tmp_path / 'probe.py', checkpoint, tmp_path / 'val'
    process = tool('extract_features.py', *arguments, '--dtype', 'bfloat16')
    assert process.stdout.strip().endswith('val: features of 8 samples')
    cache = FeatureCache(str(tmp_path / 'val'))
    assert cache.load(7)[0].dtype == torch.bfloat16
    process = tool('extract_features.py', *arguments, '--split', 'test', check=False)
    assert process.returncode == 2
    last = process.stderr.strip().splitlines()[-1]
    assert 'features of other preprocessing' in last
    assert 'Traceback' not in process.stderr


def test_probes_on_a_cache(config, checkpoint, tmp_path):
    """Train and test by stock loops: the probe that predicts is the checkpoint's."""
    for split in ('train', 'val'):
        extract_features(config, checkpoint, str(tmp_path / split), split)
    config.model.backbone = dict(type='torch.nn.Identity')
    config.model.data_preprocessor = dict(type='ActionDataPreprocessor')
    for split, name in dict(train='train', val='val', test='val').items():
        config[f'{split}_dataloader'].dataset = dict(
            type='CachedFeatures', ann_file=str(tmp_path / name)
        )
    config.work_dir = str(tmp_path / 'run')
    runner = Runner.from_cfg(config)
    runner.train()
    (best,) = (tmp_path / 'run').glob('best_acc_top1_*.pth')
    state = torch.load(best, weights_only=False)['state_dict']
    chosen = int(state['cls_head.best'])
    assert 0 <= chosen < 4

    log = next((tmp_path / 'run').glob('*/vis_data/scalars.json')).read_text()
    rows = [json.loads(line) for line in log.splitlines()]
    rows = [row for row in rows if 'acc/top1' in row]
    epoch = max(rows, key=lambda row: row['acc/top1'])
    assert epoch['acc/best_probe'] == chosen
    each = [epoch[f'acc/top1_{name}'] for name in runner.model.cls_head.names]
    assert each[chosen] == max(each) == epoch['acc/top1']

    def test(checkpoint):
        cfg = config.copy()
        cfg.load_from = str(checkpoint)
        dump = dict(type='DumpResults', out_file_path=str(tmp_path / 'result.pkl'))
        cfg.test_evaluator = [*cfg.test_evaluator, dump]
        return Runner.from_cfg(cfg).test()

    metrics = test(best)
    assert metrics['acc/top1'] == metrics['probes/top1'] == epoch['acc/top1']
    results = load_results(tmp_path / 'result.pkl')
    right = sum(int(r['pred_label']) == int(r['gt_label']) for r in results) / 8
    assert right == epoch['acc/top1']

    state['cls_head.best'].fill_(-1)
    torch.save(dict(state_dict=state), tmp_path / 'unchosen.pth')
    with pytest.raises(UsageError, match='before the first validation'):
        test(tmp_path / 'unchosen.pth')


def test_damaged_samples_are_reported(config, checkpoint, tmp_path):
    """A file of another cache or sample, another shape, a number that is not finite."""
    cache = extract_features(config, checkpoint, str(tmp_path / 'val'))
    other = FeatureCache.create(str(tmp_path / 'more'), 8, dict(weights='others'))
    other.save(3, *cache.load(3))
    whole = (tmp_path / 'val/00000/00000003.pth').read_bytes()

    def refused(message):
        dataset = DATASETS.build(dict(type='CachedFeatures', ann_file=cache.folder))
        with pytest.raises(FeatureCacheError, match=message):
            dataset[3]
        (tmp_path / 'val/00000/00000003.pth').write_bytes(whole)

    shutil.copy(other.path(3), cache.path(3))
    refused(r'0003\.pth belongs to another cache or another sample: delete it')
    shutil.copy(cache.path(4), cache.path(3))
    refused('belongs to another cache or another sample')
    features, label = cache.load(3)
    cache.save(3, features[:, :-1], label)
    refused(r'has features of shape .*, expected \(')
    features[0, 5, 2] = torch.nan
    cache.save(3, features, label)
    refused('has features that are not finite')
    torch.save([features], cache.path(3))
    refused('is not a sample of a cache')
    assert DATASETS.build(dict(type='CachedFeatures', ann_file=cache.folder))[3]


def test_a_replaced_video_makes_its_cache_stale(config, checkpoint, clips, tmp_path):
    shutil.copytree(clips, tmp_path / 'clips')
    config.val_dataloader.dataset.update(
        ann_file=str(tmp_path / 'clips/val_videos.txt'),
        data_prefix=dict(video=str(tmp_path / 'clips')),
    )
    folder = str(tmp_path / 'cache')
    cache = extract_features(config, checkpoint, folder)
    video, another = sorted((tmp_path / 'clips/videos/val').iterdir())[:2]
    shutil.copy(another, video)
    with pytest.raises(FeatureCacheError, match='features of other files: choose'):
        extract_features(config, checkpoint, folder)
    assert not cache.missing()


def test_caches_of_one_training_have_the_same_weights(tmp_path):
    folders = [str(tmp_path / name) for name in ('train', 'val')]
    for folder, weights in zip(folders, 'ab'):
        FeatureCache.create(folder, 1, dict(weights=weights, backbone='one'))
    loaders = [
        dict(dataset=dict(type='CachedFeatures', ann_file=folder)) for folder in folders
    ]
    cfg = Config(dict(train_dataloader=loaders[0], val_dataloader=loaders[1]))
    check_files(cfg, ('train_dataloader',))
    with pytest.raises(FeatureCacheError, match='have features of different weights'):
        check_files(cfg, ('train_dataloader', 'val_dataloader'))


@pytest.mark.parametrize('index', ['[]', '{"num_samples": 1e12, "origin": {}}', '{'])
def test_an_index_that_makes_no_sense(tmp_path, index):
    (tmp_path / 'cache.json').write_text(index)
    with pytest.raises(FeatureCacheError, match='is not a feature cache'):
        FeatureCache(str(tmp_path))
