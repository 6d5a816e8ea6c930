"""The zoo adds rows, writes tables, and detects every kind of false entry."""

import json
import pickle
import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest
import torch
import yaml
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmaction_videomambapro.errors import UsageError
from mmaction_videomambapro.evaluation.results import ResultError, accuracies
from mmaction_videomambapro.files import sha256
from mmaction_videomambapro.safe_load import CheckpointError
from mmaction_videomambapro.zoo.add import add
from mmaction_videomambapro.zoo.check import check, unseen
from mmaction_videomambapro.zoo.metafiles import Zoo
from mmaction_videomambapro.zoo.references import load_references
from tests.conftest import DEMO_CONFIG, ROOT

PUBLISHED = 'configs/recognition/videomamba/published.yml'
NAMES = [f'videomambapro-{size}_8x2x1-15e_clips-rgb' for size in ('femto', 'pico')]
RECIPE = 'videomamba-tiny-p16_16x4x1_kinetics400-rgb'
LINK = 'https://huggingface.co/OpenGVLab/VideoMamba/resolve/main/'


def test_the_zoo_is_true():
    """Every config builds and has a row, and no row says more than is known."""
    assert check(Zoo(ROOT)) == []


def make_run(folder, config, seed, samples=20):
    """What the training and test of a config left."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    init_default_scope('mmaction')
    cfg = Config.fromfile(config).model
    results, lines = [], []
    for i in range(samples):
        scores = torch.rand(cfg.cls_head.num_classes)
        results.append(dict(
            pred_score=scores, pred_label=scores.argmax(0, keepdim=True),
            gt_label=torch.tensor([i % 8 if i else -1]),
        ))  # fmt: skip
        lines.append(f'{i}.mp4 {i % 8}\n')
    (folder / 'result.pkl').write_bytes(pickle.dumps(results))
    (folder / 'list.txt').write_text(''.join(lines))
    state = {k: v.bfloat16() for k, v in MODELS.build(cfg).state_dict().items()}
    torch.save(dict(state_dict=state), folder / 'epoch_2.pth')
    log = folder / 'time' / 'vis_data'
    log.mkdir(parents=True)
    steps = [dict(step=s, loss=1.0, time=36 + seed, memory=2048) for s in (100, 200)]
    (log / 'scalars.json').write_text('\n'.join(map(json.dumps, steps)))
    return folder


def list_of(run):
    return {'test_dataloader.dataset.ann_file': str(run / 'list.txt')}


def add_run(zoo, config, run, **other):
    arguments = dict(checkpoint=run / 'epoch_2.pth', result=run / 'result.pkl', log=run,
                     options=list_of(run))  # fmt: skip
    return add(zoo, config, **{**arguments, **other})


@pytest.fixture(scope='module')
def template(tmp_path_factory):
    """A zoo with two measured rows."""
    root = tmp_path_factory.mktemp('zoo')
    zoo = Zoo(root, create=True)
    for seed, name in enumerate(NAMES):
        config = root / 'configs' / f'{name}.py'
        config.parent.mkdir(exist_ok=True)
        width = 8 + 8 * seed
        config.write_text(
            f"_base_ = '{ROOT / DEMO_CONFIG}'\n"
            f'model = dict(backbone=dict(arch=dict(embed_dims={width}, depth=1)),\n'
            f'             cls_head=dict(in_channels={width}))\n'
        )
        add_run(zoo, config, make_run(root / 'runs' / name, config, seed))
    page = root / 'configs' / 'README.md'
    page.write_text('# A\n<!-- zoo:begin -->\n<!-- zoo:end -->\nB\n')
    zoo.save()
    return root


@pytest.fixture
def root(template, tmp_path):
    return shutil.copytree(template, tmp_path / 'zoo')


def metafile(root):
    return root / 'configs' / 'metafile.yml'


def edit(root, change):
    """Change the first entry of the metafile directly."""
    content = yaml.safe_load(metafile(root).read_text())
    change(content['Models'][0], content['Models'][1])
    metafile(root).write_text(yaml.safe_dump(content))


def faults(root):
    return check(Zoo(root))


def test_added_rows_are_true_and_in_the_tables(root):
    assert faults(root) == []
    assert unseen(Zoo(root)) == []
    first, second = (entry for _, entry in Zoo(root).entries())
    results = pickle.loads((root / f'runs/{NAMES[0]}/result.pkl').read_bytes())
    right = sum(int(r['pred_label']) == int(r['gt_label']) for r in results)
    metrics = first['Results'][0]['Metrics']
    assert metrics['Top 1 Accuracy'] == pytest.approx(100 * right / 20)
    assert first['Results'][0]['Samples'] == 20
    assert first['Results'][0]['Broken Samples'] == 1
    metadata = first['Metadata']
    assert metadata['Training Memory (GB)'] == 2.0
    assert metadata['Training Time (h)'] == 2.0
    assert metadata['Parameters'] < second['Metadata']['Parameters']
    assert first['Weights SHA-256'] == sha256(root / first['Weights'])
    row = next(x for x in lines(page_of(root)) if first['Config'].endswith(x['config']))
    assert row == {
        'frame sampling strategy': '8x2x1',
        'resolution': '48x48',
        'backbone': 'VideoMambaPro',
        'top1 acc': str(metrics['Top 1 Accuracy']),
        'top5 acc': str(metrics['Top 5 Accuracy']),
        'testing protocol': '4 clips x 3 crops',
        'FLOPs': f'{metadata["FLOPs"] / 1e9:.3g}G',
        'projection FLOPs': f'{metadata["Projection FLOPs"] / 1e9:.3g}G',
        'params': f'{metadata["Parameters"] / 1e6:.2f}M',
        'config': Path(first['Config']).name,
        'ckpt': f'../{first["Weights"]}',
        'log': f'../runs/{NAMES[0]}',
    }
    page = page_of(root).read_text()
    assert page.startswith('# A\n')
    assert page.endswith('\nB\n')
    assert '[How to read the tables](../model_zoo.md)' in page
    size = f'{metadata["Parameters"] / 1e6:.3g}M'
    overview = (root / 'model_zoo.md').read_text()
    link = '[VideoMambaPro](configs/README.md)'
    assert f'| {link} | {size} | clips | 2 | 2 | 0 |' in overview
    best = max(x['Results'][0]['Metrics']['Top 1 Accuracy'] for x in (first, second))
    assert f'| clips | 2 | {best} | [VideoMambaPro, 8 x 48x48](configs/' in overview


def page_of(root):
    return root / 'configs' / 'README.md'


def lines(path):
    """Rows of Markdown tables, without empty cells; links as their targets."""
    for line in path.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip('|').split(' | ')]
        if line.startswith('| frame'):
            header = cells
        elif line.startswith('|') and '---' not in line:
            cells = [x.split('](')[-1].rstrip(')') if '](' in x else x for x in cells]
            yield {k: v for k, v in zip(header, cells) if v}


def set_metric(first, second):
    first['Results'][0]['Metrics']['Top 1 Accuracy'] = 99.5


def set_samples(first, second):
    first['Results'][0]['Samples'] = 10**4


def set_fact(key, value):
    def change(first, second):
        first['Metadata'][key] = value

    return change


def copy_metrics(first, second):
    first['Results'][0]['Metrics'] = second['Results'][0]['Metrics']


def copy_results(first, second):
    first['Results'] = second['Results']


def copy_weights(first, second):
    first['Weights'] = second['Weights']
    first['Weights SHA-256'] = second['Weights SHA-256']


def forget(key):
    def change(first, second):
        del (first if key in first else first['Results'][0])[key]

    return change


def set_key(key, value):
    def change(first, second):
        first[key] = value

    return change


@pytest.mark.parametrize(
    ('change', 'expected'),
    [
        (set_metric, 'Top 1 Accuracy is .*, not 99.5'),
        (set_samples, 'Samples is 20, not 10000'),
        (set_fact('Parameters', 7), 'Parameters is .*, not 7'),
        (set_fact('FLOPs', 7), 'FLOPs is .*, not 7'),
        (set_fact('Epochs', 100), 'Epochs is 15, not 100'),
        (set_fact('Training Data', 'Kinetics-400'), 'Training Data is clips'),
        (set_fact('Training Time (h)', 0.1), 'training took'),
        (set_fact('Inference Time (ms)', 12), 'Inference Time .* 12 has no source'),
        (copy_metrics, 'and .* have the same: accuracies'),
        (copy_results, 'and .* have the same: predictions'),
        (copy_weights, 'and .* have the same: Weights'),
        (forget('Training Log'), 'Training Time .* has no source'),
        (forget('Predictions'), 'without a source: Predictions is missing'),
        (forget('Weights SHA-256'), 'without a source: Weights SHA-256'),
        (forget('Metadata'), 'Architecture is VideoMambaPro, not None'),
        (set_key('Name', NAMES[1]), 'its config is called'),
        (set_key('Name', NAMES[1]), 'the name'),
        (set_key('Config', 'configs/nowhere.py'), 'nowhere.py does not exist'),
        (set_key('In Collection', 'MViT'), 'In Collection is MViT'),
        (set_key('Weights', 'nowhere.pth'), 'nowhere.pth does not exist'),
        (set_key('Weights', 'https://x.org/a_20260101-00000000.pth'), 'disagree'),
        (set_key('Weights', 'model_zoo.md'), 'is not the checkpoint that was tested'),
        (set_key('Reference', 'my_paper'), 'my_paper is in no published.yml'),
        (set_key('Converted From', {}), 'are not those of its Reference'),
    ],
)
def test_lies_in_a_metafile(change, expected, root):
    edit(root, change)
    found = [x for x in faults(root) if x.startswith('configs/metafile.yml, ') or
             'the same' in x]  # fmt: skip
    assert any(re.search(expected, x) for x in found), found


def test_lies_elsewhere(root):
    folder, table = root / 'configs', page_of(root)
    run = root / 'runs' / NAMES[0]
    for lie, undo, expected in (
        (lambda: (folder / f'{NAMES[0]}.py').rename(folder / 'better.py'),
         lambda: (folder / 'better.py').rename(folder / f'{NAMES[0]}.py'),
         ['better.py has no entry', f'{NAMES[0]}.py does not exist']),
        (lambda: table.write_text(table.read_text().replace('48x48', '96x96')),
         lambda: table.write_text(table.read_text().replace('96x96', '48x48')),
         ['configs/README.md: its tables']),
        (lambda: table.write_text(table.read_text().replace('zoo:end', 'end')),
         lambda: table.write_text(table.read_text().replace('- end', '- zoo:end')),
         ['needs <!-- zoo:begin --> once']),
        (lambda: (run / 'result.pkl').rename(run / 'mine.pkl') and shutil.copy(
            root / 'runs' / NAMES[1] / 'result.pkl', run),
         lambda: (run / 'mine.pkl').rename(run / 'result.pkl'),
         ['result.pkl is not the file that was measured']),
        (lambda: (folder / f'{NAMES[1]}.py').write_text('model = 1'),
         lambda: None,
         [f'{NAMES[1]}: ']),
    ):  # fmt: skip
        assert faults(root) == []
        lie()
        found = faults(root)
        for fragment in expected:
            assert any(fragment in fault for fault in found), (fragment, found)
        undo()


def test_predictions_may_stay_where_they_were_made(root):
    run = f'runs/{NAMES[0]}'
    for name in ('result.pkl', 'list.txt'):
        (root / run / name).unlink()
        assert faults(root) == []
    assert unseen(Zoo(root)) == [
        f'{NAMES[0]}: {run}/result.pkl', f'{NAMES[0]}: {run}/list.txt'
    ]  # fmt: skip


def test_update_mends_what_can_be_measured(root):
    def unmeasured(first, second):
        del first['Results'], first['Weights SHA-256'], first['Weights']
        first['Metadata']['Parameters'] = 7

    edit(root, unmeasured)
    (root / 'model_zoo.md').unlink()
    (root / 'configs' / 'videomambapro-new_8x2x1_clips-rgb.py').write_text(
        f"_base_ = './{NAMES[0]}.py'\n"
    )
    zoo = Zoo(root)
    zoo.update()
    zoo.save()
    assert faults(root) == []
    assert len(list(zoo.entries())) == 3
    before = (root / 'model_zoo.md').stat().st_mtime_ns
    zoo.save()
    assert (root / 'model_zoo.md').stat().st_mtime_ns == before


def test_update_leaves_no_result_to_another_config(root):
    config = root / 'configs' / f'{NAMES[0]}.py'
    config.write_text(
        config.read_text() + 'test_pipeline = _base_.test_pipeline\n'
        "test_pipeline[1]['num_clips'] = 1\n"
        'test_dataloader = dict(dataset=dict(pipeline=test_pipeline))\n'
    )
    with pytest.raises(UsageError, match='with Testing protocol 4 clips x 3 crops'):
        Zoo(root).update()
    assert any('is 1 clip x 3 crops' in fault for fault in faults(root))


def test_a_row_is_measured_again(root):
    zoo = Zoo(root)
    config = root / 'configs' / f'{NAMES[0]}.py'
    other = make_run(root / 'runs' / 'again', config, seed=5)
    entry = add_run(zoo, config, other)
    zoo.save()
    assert faults(root) == []
    assert len(list(zoo.entries())) == 2
    assert entry['Weights'] == 'runs/again/epoch_2.pth'


def test_a_config_outside_the_zoo(tmp_path):
    """As in the README's demo, whose zoo is in its work directory."""
    run = make_run(tmp_path / 'run', ROOT / DEMO_CONFIG, seed=0)
    zoo = Zoo(tmp_path / 'run' / 'zoo', create=True)
    add_run(zoo, ROOT / DEMO_CONFIG, run)
    zoo.save()
    assert faults(tmp_path / 'run' / 'zoo') == []
    assert (tmp_path / 'run/zoo/videomambapro.yml').is_file()


def test_nothing_unmeasurable_is_added(root, tmp_path):
    config, run = root / 'configs' / f'{NAMES[0]}.py', root / 'runs' / NAMES[0]
    good = dict(config=config, run=run)
    (tmp_path / 'bad.pkl').write_bytes(b'no predictions')
    for key, value, error, reason in (
        ('config', 'nowhere.py', UsageError, 'nowhere.py does not exist'),
        ('checkpoint', 'nowhere.pth', UsageError, 'nowhere.pth does not exist'),
        ('result', tmp_path / 'bad.pkl', ResultError, 'bad.pkl was refused'),
        ('log', tmp_path, UsageError, 'has no'),
    ):
        with pytest.raises(error, match=reason):
            add_run(Zoo(root), **{**good, key: value})


def cut(results):
    return results[:18]


def fewer_classes(results):
    return [
        {**r, 'pred_score': r['pred_score'][:7], 'pred_label': r['pred_label'] % 7,
         'gt_label': r['gt_label'].clamp(max=6)} for r in results
    ]  # fmt: skip


def other_labels(results):
    return [{**r, 'gt_label': (r['gt_label'] + 1) % 8} for r in results]


def another_order(results):
    return results[::-1]


def better_guesses(results):
    return [{**r, 'pred_label': r['gt_label'].clamp(min=0)} for r in results]


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (cut, r'18 predictions, but 20 samples in .*list\.txt'),
        (fewer_classes, '7 scores of sample 0, but the model has 8 classes'),
        (other_labels, r'sample 0 has the label 0 in the predictions|label 2 .* and 1'),
        (another_order, 'sample 0 has the label 3 in the predictions and 0 in'),
        (better_guesses, 'label predicted for sample 0 is not that of the highest'),
    ],
)
def test_predictions_are_of_the_model_and_its_list(root, change, reason, tmp_path):
    """When they are added, and when their hash is written by hand."""
    config, run = root / 'configs' / f'{NAMES[0]}.py', root / 'runs' / NAMES[0]
    results = change(pickle.loads((run / 'result.pkl').read_bytes()))
    (tmp_path / 'result.pkl').write_bytes(pickle.dumps(results))
    before = metafile(root).read_text()
    with pytest.raises(UsageError, match=reason):
        add_run(Zoo(root), config, run, result=tmp_path / 'result.pkl')
    assert metafile(root).read_text() == before

    def by_hand(first, second):
        result = first['Results'][0]
        result['Predictions SHA-256'] = sha256(run / 'result.pkl')
        result.update(Samples=len(results), Metrics=accuracies(results))

    (run / 'result.pkl').write_bytes(pickle.dumps(results))
    edit(root, by_hand)
    assert any(re.search(f'{reason}|Samples is 20', x) for x in faults(root))


def test_checkpoints_are_of_the_model(root, tmp_path):
    config, run = root / 'configs' / f'{NAMES[0]}.py', root / 'runs' / NAMES[0]
    other = root / 'runs' / NAMES[1] / 'epoch_2.pth'
    state = torch.load(run / 'epoch_2.pth', weights_only=True)['state_dict']
    del state['cls_head.fc_cls.bias'], state['cls_head.fc_cls.weight']
    torch.save(dict(state_dict=state), tmp_path / 'headless.pth')
    for checkpoint, reason in (
        (other, '1 layers of 16 channels against 1 layers of 8 channels'),
        (tmp_path / 'headless.pth', r'random: cls_head\.fc_cls'),
        (run / 'result.pkl', 'result.pkl'),
    ):
        with pytest.raises((UsageError, CheckpointError), match=reason):
            add_run(Zoo(root), config, run, checkpoint=checkpoint)

    def by_hand(first, second):
        first['Weights SHA-256'] = sha256(run / 'epoch_2.pth')

    shutil.copy(tmp_path / 'headless.pth', run / 'epoch_2.pth')
    edit(root, by_hand)
    assert any('random: cls_head.fc_cls' in fault for fault in faults(root))


def test_lists_are_bound_to_predictions(root):
    config, run = root / 'configs' / f'{NAMES[0]}.py', root / 'runs' / NAMES[0]
    with pytest.raises(UsageError, match=r'list\.txt of the test set does not exist'):
        add_run(Zoo(root), config, run, options=list_of(root / 'nowhere'))
    lines = (run / 'list.txt').read_text()
    for other in (lines.replace('7.mp4', 'x.mp4'), lines + 'y.mp4 1\n'):
        (run / 'list.txt').write_text(other)
        assert any('list.txt is not the list that was tested' in x
                   for x in faults(root))  # fmt: skip
    (run / 'list.txt').write_text('no list')
    assert any('list.txt cannot be read as a test set: ' in x for x in faults(root))
    # wherever the videos are
    absolute = ''.join(f'{run}/videos/{line}\n' for line in lines.splitlines())
    (run / 'list.txt').write_text(absolute)
    config.write_text(
        config.read_text() + 'test_dataloader = dict('
        f"dataset=dict(data_prefix=dict(video='{run}/videos')))\n"
    )
    assert faults(root) == []


def test_a_kinetics_row_of_another_model(tmp_path):
    """A demo's checkpoint and predictions, presented as proof of 100 % accuracy."""
    run = make_run(tmp_path / 'run', ROOT / DEMO_CONFIG, seed=0)
    config = ROOT / PUBLISHED.replace('published.yml', f'{RECIPE}.py')
    with pytest.raises(UsageError, match='4 layers of 64 channels against 24 layers'):
        add_run(Zoo(tmp_path, create=True), config, run)
    whole = make_run(tmp_path / 'whole', config, seed=0, samples=2)
    with pytest.raises(UsageError, match=r'8 scores .* has 400 classes'):
        add_run(Zoo(tmp_path, create=True), config, whole, result=run / 'result.pkl')


def test_siblings_of_an_added_config(root):
    """A new metafile also has entries for them, except those that cannot have a row."""
    folder = root / 'demo'
    shutil.copytree(ROOT / 'configs' / 'demo', folder)
    shutil.copytree(ROOT / 'configs' / '_base_', root / '_base_', dirs_exist_ok=True)
    (folder / 'scratch.py').write_text('model = dict(\n')
    run = make_run(root / 'runs' / 'demo', folder / Path(DEMO_CONFIG).name, seed=9)
    zoo = Zoo(root)
    add_run(zoo, folder / Path(DEMO_CONFIG).name, run)
    zoo.save()
    found = faults(root)
    assert len(found) == 1, found
    (fault,) = found
    assert 'demo/scratch.py has no entry' in fault
    (folder / 'scratch.py').unlink()
    assert faults(root) == []
    assert len(list(Zoo(root).entries())) == 2 + 3
    zoo = Zoo(root)
    zoo.update()
    zoo.save()
    assert faults(root) == []


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        ('Models: [', 'cannot be read: line 1: while parsing'),
        ('- 1', 'cannot be read: it is not a mapping'),
        ('Collections: []', 'lacks Collections or Models'),
        ('{Collections: [], Models: [{Name: x}]}', 'an entry lacks one of'),
    ],
)
def test_damaged_metafiles_are_named(content, reason, root):
    metafile(root).write_text(content)
    with pytest.raises(UsageError, match=rf'metafile\.yml:? {reason}'):
        Zoo(root)


@pytest.mark.parametrize(
    ('key', 'value', 'reason'),
    [
        ('Name', '[x]', r'Models\.0\.Name is not a string'),
        ('Metadata', '{Resolution: big}', r'Metadata\.Resolution is not a string like'),
        ('Metadata', '{FLOPs: 1.5}', r'Metadata\.FLOPs is not an integer'),
        ('Results', '[{Metrics: {a: x}}]', r'Results\.0\.Metrics\.a is not a number'),
        ('Weights', '1', 'Weights is not a string'),
    ],
)
def test_entries_of_another_shape_are_named(key, value, reason, tmp_path):
    (tmp_path / 'model-index.yml').write_text('Import: [metafile.yml]')
    (tmp_path / 'metafile.yml').write_text(
        f'Collections: []\nModels:\n- {{Config: x, In Collection: x, {key}: {value}}}'
    )
    with pytest.raises(UsageError, match=rf'metafile\.yml cannot be read: .*{reason}'):
        Zoo(tmp_path)


@pytest.fixture
def ported(tmp_path):
    """A zoo with the published results and a recipe that they refer to."""
    folder = tmp_path / 'configs'
    folder.mkdir()
    shutil.copy(ROOT / PUBLISHED, folder)
    (tmp_path / 'model-index.yml').write_text('Import: [configs/metafile.yml]')
    metafile(tmp_path).write_text(
        'Collections: [{Name: VideoMamba, README: configs/README.md}]\nModels: []\n'
    )
    base = ROOT / PUBLISHED.replace('published.yml', f'{RECIPE}.py')
    for name, sampler in (('u16', 'SampleSparse'), ('16x4x1', 'SampleFrames')):
        path = folder / f'videomamba-tiny-p16_{name}_kinetics400-rgb.py'
        path.write_text(
            f"_base_ = '{base}'\n"
            'train_pipeline, test_pipeline = _base_.train_pipeline, '
            '_base_.test_pipeline\n'
            f"train_pipeline[1]['type'] = test_pipeline[1]['type'] = '{sampler}'\n"
            'train_dataloader = dict(dataset=dict(pipeline=train_pipeline))\n'
            'test_dataloader = dict(dataset=dict(pipeline=test_pipeline))\n'
        )
    zoo = Zoo(tmp_path)
    zoo.update()
    zoo.save()
    return tmp_path


def test_published_numbers_are_references_only(ported):
    dense, sparse = (entry for _, entry in Zoo(ported).entries())
    assert 'Reference' not in dense
    assert sparse['Reference'] == 'videomamba_t16_k400_f16_res224'
    assert sparse['Weights'] == f'{LINK}videomamba_t16_k400_f16_res224.pth'
    assert 'Results' not in sparse
    row = next(x for x in lines(page_of(ported)) if 'u16' in x['config'])
    assert row['reference top1 acc'] == '78.1'
    assert row['reference top5 acc'] == '93.5'
    assert row['reference'] == 'https://arxiv.org/abs/2403.06977'
    assert not {'top1 acc', 'top5 acc'} & set(row)
    assert '[official]' in page_of(ported).read_text()
    assert faults(ported) == []


def test_references_to_something_else_are_caught(ported):
    def refer(dense, sparse):
        dense['Reference'] = sparse['Reference']
        sparse['Reference'] = 'videomamba_m16_k400_f16_res224'

    edit(ported, refer)
    found = '\n'.join(faults(ported))
    assert 'Sampling method is uniform there and 16x4x1 here' in found
    assert 'Architecture is VideoMamba-M there and VideoMamba-Ti here' in found
    assert 'are not those of its Reference' in found


def test_official_weights_that_were_tested_here(ported, tmp_path):
    """The row keeps its link, and has both numbers."""
    zoo = Zoo(ported)
    config = ported / 'configs/videomamba-tiny-p16_u16_kinetics400-rgb.py'
    run = make_run(tmp_path / 'run', config, seed=0)
    weights = (run / 'epoch_2.pth').rename(run / 'videomamba_t16_k400_f16_res224.pth')
    entry = add_run(zoo, config, run, checkpoint=weights, log=None)
    zoo.save()
    assert entry['Weights'].startswith(LINK)
    assert entry['Weights SHA-256'] == sha256(weights)
    row = next(x for x in lines(page_of(ported)) if 'u16' in x['config'])
    assert {'top1 acc', 'reference top1 acc'} <= set(row)
    assert faults(ported) == []


def test_links_of_the_published_zoo_are_mended():
    rows = load_references(ROOT / PUBLISHED)
    links = [row.weights for row in rows.values() if row.weights]
    assert len(set(links)) == len(links)
    for name in (
        'videomamba_t16_in1k_res224to448',
        'videomamba_m16_k400_mask_ft_f16_res224',
    ):
        assert rows[name].weights == f'{LINK}{name}.pth'
    assert rows['videomamba_m16_ssv2_mask_ft_f16_res224'].weights is None
    assert not any('Pro' in row.facts['Architecture'] for row in rows.values())


def test_the_index_is_read_as_mim_reads_it():
    """Mim builds a data frame from the index, with these requirements on entries."""
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    collections, models = {}, {}
    for path in index['Import']:
        content = yaml.safe_load((ROOT / path).read_text())
        collections.update({c['Name']: c for c in content['Collections']})
        for model in content['Models']:
            assert model['Name'] not in models
            models[model['Name']] = model
    assert models
    for name, model in models.items():
        # what follows its package's .mim folder, and is saved as NAME.py
        assert (ROOT / model['Config']).is_file()
        assert model['Config'].endswith(f'/{name}.py')
        assert model['In Collection'] in collections
        assert isinstance(model.get('Weights', ''), str)
        for value in model['Metadata'].values():  # lists are taken for inference times
            assert isinstance(value, (str, int, float))
        for result in model.get('Results', []):
            assert isinstance(result['Dataset'], str)
            assert isinstance(result['Task'], str)
            assert all(isinstance(x, (int, float)) for x in result['Metrics'].values())


def test_check_lists_all_faults_and_fails(root, tool):
    edit(root, set_fact('Parameters', 7))
    edit(root, set_metric)
    process = tool('model_zoo.py', 'check', '--zoo', root, check=False)
    assert process.returncode == 2
    assert 'Traceback' not in process.stderr
    message = process.stderr[process.stderr.index('model_zoo.py: error: ') :]
    first, *rest = message.strip().splitlines()
    assert first == 'model_zoo.py: error: 4 faults:'
    wanted = 'Parameters is', 'not 99.5', 'README.md: its', 'model_zoo.md: its'
    for line, expected in zip(rest, wanted):
        assert expected in line


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the main function of a tool in this process."""

    def run(name, *args):
        monkeypatch.setattr(sys, 'argv', [name, *map(str, args)])
        runpy.run_path(str(ROOT / 'tools' / name))['main']()
        return capsys.readouterr().out

    return run


def test_from_a_checkpoint_to_a_row(call, tmp_path):
    """The tool's commands, one after the other, as the documentation has them."""
    run, zoo = make_run(tmp_path / 'run', ROOT / DEMO_CONFIG, seed=0), tmp_path / 'zoo'
    options = [f'{k}={v}' for k, v in list_of(run).items()]
    published = call('model_zoo.py', 'publish', run / 'epoch_2.pth', zoo / 'nano')
    published = published.strip()
    out = call('model_zoo.py', 'add', DEMO_CONFIG, published, '--zoo', zoo,
               '--result', run / 'result.pkl', '--log', run,
               '--cfg-options', *options)  # fmt: skip
    assert out.startswith('videomambapro-nano_8x2x1-15e_demo-clips-rgb: Top 1 Accuracy')
    assert call('model_zoo.py', 'check', '--zoo', zoo) == 'rows without faults: 1\n'
    call('model_zoo.py', 'update', '--zoo', zoo)
    assert 'rows without faults: 1' in call('model_zoo.py', 'check', '--zoo', zoo)
    with pytest.raises(UsageError, match=r'result\.pkl does not exist'):
        call('model_zoo.py', 'add', DEMO_CONFIG, published, '--zoo', zoo,
             '--result', zoo / 'result.pkl')  # fmt: skip
    row = next(lines(zoo / 'README.md'))
    assert (zoo / row['ckpt']).samefile(published)


def test_get_flops(call):
    config = PUBLISHED.replace('published.yml', f'{RECIPE}.py')
    out = call('analysis/get_flops.py', ROOT / config)
    assert '1 x 3 x 16 x 224 x 224' in out
    assert '(7035280)' in out
    shape = 1, 3, 32, 224, 224
    longer = call('analysis/get_flops.py', ROOT / config, '--shape', *shape)
    macs, twice = (float(re.search(r'adds +(.+) G', x)[1]) for x in (out, longer))
    assert twice == pytest.approx(2 * macs, rel=0.01)
    with pytest.raises(UsageError, match=r'inputs \(3, 4\)'):
        call('analysis/get_flops.py', ROOT / config, '--shape', 3, 4)
