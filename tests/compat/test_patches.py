import argparse
import importlib.util
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmaction.registry import DATASETS, MODELS, TRANSFORMS
from mmengine.config import Config, DictAction
from mmengine.logging import MMLogger
from mmengine.optim import AmpOptimWrapper, build_optim_wrapper

from mmaction_videomambapro import compat, diagnosis
from mmaction_videomambapro.datasets.videos import Video
from tests.conftest import DEMO_CONFIG, ROOT

pytestmark = pytest.mark.usefixtures('scope')


def test_import_is_light():
    """No heavy module is loaded, and no import of an optional one is tried."""
    code = (
        'import sys, mmaction_videomambapro\n'
        "heavy = {'torch', 'mmaction.models', 'mmcv', 'decord', 'mmpretrain',\n"
        "         'mamba_ssm', 'causal_conv1d', 'triton', 'numba'}\n"
        'print(sorted(heavy & set(sys.modules)))'
    )
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert out.stdout.strip() == '[]', out.stderr


@pytest.mark.parametrize(
    'order',
    [
        'mmaction_videomambapro, mmaction',
        'mmaction.registry, mmaction_videomambapro',
    ],
)
def test_models_are_registered_whatever_is_imported_first(order):
    code = (
        f'import {order}\n'
        'from mmaction.registry import MODELS, HOOKS, TRANSFORMS\n'
        "print(MODELS.get('VideoMambaPro'), HOOKS.get('EpochSeedHook'),\n"
        "      TRANSFORMS.get('ShuffleFrames'), MODELS.get('BMN'))"
    )
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert out.stdout.count('<class') == 4, out.stderr


def test_functions_are_patched_whatever_is_imported_first():
    """Packages import them from their modules, whose patch comes too late for that."""
    code = (
        'import mmengine.runner, mmaction.apis, mmaction_videomambapro\n'
        'for package, module, name in [\n'
        "    (mmengine.runner, 'checkpoint', 'load_checkpoint'),\n"
        "    (mmengine.runner, 'checkpoint', 'load_state_dict'),\n"
        "    (mmengine.runner, 'amp', 'autocast'),\n"
        "    (mmaction.apis, 'inference', 'init_recognizer'),\n"
        ']:\n'
        '    patched = getattr(getattr(package, module), name)\n'
        '    print(name, hasattr(patched, "__wrapped__"), '
        'getattr(package, name) is patched)'
    )
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert out.stdout.count(' True True') == 4, out.stdout + out.stderr


def test_what_a_module_imports_is_replaced_there_alone():
    from mmaction import evaluation
    from mmaction.evaluation.metrics import acc_metric

    assert hasattr(acc_metric.mean_class_accuracy, '__wrapped__')
    assert not hasattr(evaluation.mean_class_accuracy, '__wrapped__')


def test_every_patch_says_when_it_can_go():
    for patch in compat.PATCHES:
        assert patch.symptom
        assert patch.until
        assert patch.issue


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_low_precision_logits_train_and_test(dtype):
    from mmaction.evaluation import AccMetric
    from mmaction.structures import ActionDataSample

    head = MODELS.build(
        dict(type='TimeSformerHead', num_classes=3, in_channels=4, average_clips='prob')
    )
    samples = [ActionDataSample().set_gt_label(i) for i in (0, 2)]
    features = torch.randn(2, 4)
    with torch.autocast('cpu', dtype):
        losses = head.loss(features, samples)
        with torch.no_grad():
            predicted = head.predict(features, samples)
    assert losses['loss_cls'].dtype == torch.float32
    assert all(s.pred_score.dtype == torch.float32 for s in predicted)
    metric = AccMetric()
    low = [dict(pred_score=s.pred_score.to(dtype), gt_label=s.gt_label)
           for s in predicted]  # fmt: skip
    metric.process(None, low)
    assert 0 <= metric.evaluate(2)['acc/top1'] <= 1


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_amp_trains_on_a_cpu(dtype):
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scale = 'dynamic' if dtype == 'float16' else dict(enabled=False)
    wrapper = AmpOptimWrapper(loss_scale=scale, dtype=dtype, optimizer=optimizer)
    before = model.weight.clone()
    for _ in range(2):
        with wrapper.optim_context(model):
            out = model(torch.randn(8, 4))
            assert out.dtype == getattr(torch, dtype)
            loss = out.float().square().mean()
        wrapper.update_params(loss)
    assert (model.weight != before).any()
    assert model.weight.isfinite().all()


def test_a_compiled_step_takes_groups_of_parameters():
    model = torch.nn.Linear(4, 4)
    cfg = Config(
        dict(
            optimizer=dict(type='SGD', lr=0.1, momentum=0.9),
            paramwise_cfg=dict(bias_lr_mult=0.0),
        )
    )
    wrapper = build_optim_wrapper(model, cfg._cfg_dict)
    before = [x.clone() for x in (model.weight, model.bias)]

    def step(x):
        wrapper.update_params(model(x).square().mean())

    torch.compile(step, backend='eager')(torch.randn(8, 4))
    assert not torch.equal(model.weight, before[0])
    assert torch.equal(model.bias, before[1])


@pytest.mark.parametrize('factor', [-0.1, 0.1])
def test_color_jitter_turns_the_hue(factor):
    jitter = TRANSFORMS.build(dict(type='ColorJitter'))
    green = np.zeros((2, 2, 3), np.uint8)
    green[..., 1] = 200  # hue 60 of 180
    turned = jitter.adjust_hue(green, factor)
    # 25 steps of 2 degrees: towards blue, or towards red
    assert turned[0, 0].argmax() == 1
    assert turned[0, 0, 2 if factor > 0 else 0] > 100
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 200  # hue 0: wraps around
    assert jitter.adjust_hue(red, factor)[0, 0, 1 if factor > 0 else 2] > 100


def test_color_jitter_works_for_all_hues():
    jitter = TRANSFORMS.build(dict(type='ColorJitter', hue=0.5))
    frame = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    for _ in range(20):
        jitter.transform(dict(imgs=[frame]))


def test_decord_clash_is_told(monkeypatch):
    assert diagnosis.decord_clash() is None
    monkeypatch.setattr(diagnosis, 'version', lambda name: '1.0')
    clash = diagnosis.decord_clash()
    assert 'decord 1.0 and decord2 1.0' in clash
    assert 'pip uninstall' in clash


def test_stock_datasets_still_build(clips):
    dataset = DATASETS.build(
        dict(
            type='VideoDataset',
            ann_file=str(clips / 'val_videos.txt'),
            data_prefix=dict(video=str(clips)),
            pipeline=[],
        )
    )
    assert len(dataset) == 8


HOOK = dict(type='EMAHook', momentum=1e-4)


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('[dict(type=EMAHook,momentum=1e-4)]', [HOOK]),
        ('[dict(type="EMAHook", momentum=1e-4)]', [HOOK]),
        ("'[dict(type=EMAHook,momentum=1e-4),dict(type=B)]'", [HOOK, dict(type='B')]),
        ('dict(type=A.b,x=(1,None,-2.5),y=true)',
         dict(type='A.b', x=(1, None, -2.5), y=True)),
        ("dict(a={'b':[]},c=dict())", dict(a={'b': []}, c={})),
        ('[(a,b),(c,d)]', [('a', 'b'), ('c', 'd')]),
        ('1,2', [1, 2]),
        ('a=b', 'a=b'),
    ],
)  # fmt: skip
def test_dictionaries_in_options(text, expected):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    args = parser.parse_args(['--cfg-options', f'custom_hooks={text}', 'seed=3'])
    assert args.cfg_options == dict(custom_hooks=expected, seed=3)


@pytest.mark.parametrize(
    'option',
    ['x', 'a=[(,', 'a=f(1,2)', 'a=dict(', 'a=dict(1)', 'a=dict(**b)', 'a={**dict(b=1)}',
     'a=dict(x=__import__("os").getpid())', 'a=dict(x=1+y)', 'a=dict(x=' + '(' * 999],
)  # fmt: skip
def test_options_that_cannot_be_read(option, capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    with pytest.raises(SystemExit) as error:
        parser.parse_args(['--cfg-options', option])
    assert error.value.code == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert 'cannot be read: expected KEY=VALUE' in last


def test_initialisation_is_not_printed(caplog, capfd, tmp_path):
    """They are still written to the log file."""
    MMLogger.get_instance('quiet')
    config = dict(type='VideoMamba', arch=dict(embed_dims=8, depth=1))
    MODELS.build(config).init_weights()
    assert 'norm_f' not in caplog.text + ''.join(capfd.readouterr())
    file = tmp_path / 'run.log'
    MMLogger.get_instance('filed', log_file=str(file))
    MODELS.build(config).init_weights()
    assert 'norm_f.weight' in file.read_text()


@pytest.mark.parametrize('timm', [False, True])
def test_multimodal_models_only_with_timm(timm, monkeypatch):
    item = next(p for p in compat.PATCHES if p.module == 'mmaction.utils.dependency')
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name: object() if timm else None
    )
    module = SimpleNamespace(WITH_MULTIMODAL=True)
    item.function(module)
    assert module.WITH_MULTIMODAL is timm


BROKEN_TORCHVISION = """
import sys, warnings
warnings.simplefilter('ignore')
import mmaction_videomambapro, mmaction
import importlib.util
assert importlib.util.find_spec('torchvision').origin.startswith(sys.argv[1])
import mmaction.models
try:
    import torchvision
except ImportError as error:
    print(error)
"""


def test_torchvision_of_another_torch_counts_as_absent(tmp_path):
    """What imports it falls back, as MMAction2 does around mmpretrain's backbones."""
    package = tmp_path / 'torchvision'
    package.mkdir()
    error = 'raise RuntimeError("operator torchvision::nms does not exist")\n'
    (package / '__init__.py').write_text(error)
    (tmp_path / 'mmpretrain').mkdir()
    (tmp_path / 'mmpretrain' / '__init__.py').write_text('')
    (tmp_path / 'mmpretrain' / 'models.py').write_text('import torchvision\n')
    out = subprocess.run(
        [sys.executable, '-c', BROKEN_TORCHVISION, str(tmp_path)],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert 'operator torchvision::nms does not exist' in out.stdout, out.stderr
    assert 'docs/install.md' in out.stdout


@pytest.mark.parametrize('kind', ['PoseCompact', 'MMCompact'])
def test_poses_are_cut_out(kind):
    keypoint = np.zeros((1, 2, 3, 2))
    keypoint[..., 0], keypoint[..., 1] = [30, 40, 50], [20, 30, 60]
    results = dict(img_shape=(100, 100), keypoint=keypoint)
    results['keypoint_score'] = np.ones((1, 2, 3))
    results['imgs'] = [np.zeros((100, 100, 3), np.uint8)] * 2
    transform = TRANSFORMS.build(dict(type=kind, padding=0.25, hw_ratio=1))
    assert transform(results)['img_shape'] == (50, 50)


def test_frames_are_extracted(clips, tmp_path):
    from mmaction.utils import frame_extract

    video = str(next(clips.rglob('*.mp4')))
    paths, frames = frame_extract(video, short_side=32, out_dir=str(tmp_path))
    assert len(paths) == len(frames) == 20
    assert min(frames[0].shape[:2]) == 32


def test_recall_of_retrieval():
    from mmaction.evaluation import RetrievalRecall

    scores = torch.tensor([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0]])
    recall = RetrievalRecall.calculate(
        scores, torch.eye(3)[:2], topk=(1, 2), pred_indices=False, target_indices=False
    )
    assert [float(x) for x in recall] == [50, 100]


def test_average_recall_of_proposals():
    from mmaction.evaluation import average_recall_at_avg_proposals

    truth = {'video': np.array([[0.0, 10.0]])}
    proposals = {'video': np.array([[0.0, 10.0, 0.9], [20.0, 30.0, 0.8]])}
    _, recall, counts, area = average_recall_at_avg_proposals(truth, proposals, 2)
    assert (recall[0], recall[-1]) == (0, 1)
    trapezoids = (recall[1:] + recall[:-1]) / 2 * np.diff(counts)
    assert area == pytest.approx(100 * trapezoids.sum() / counts[-1])


def test_precision_of_classes_without_truth():
    from mmaction.evaluation.functional.ava_evaluation import metrics

    assert np.isnan(metrics.compute_average_precision(None, None))


def test_multisports_metric(tmp_path):
    """Perfect tubes of two videos score 100 %; wrong ones do not."""
    import pickle

    from mmaction.evaluation import MultiSportsMetric

    names, frames = ['aerobic/one', 'aerobic/two'], 20
    box = np.array([10.0, 20, 50, 80])
    tube = np.array([[t, *box] for t in range(1, frames + 1)])
    truth = dict(
        labels=['jump'],
        train_videos=[[]],
        test_videos=[names],
        nframes=dict.fromkeys(names, frames),
        resolution=dict.fromkeys(names, (100, 100)),
        gttubes={name: {0: [tube]} for name in names},
    )
    with open(tmp_path / 'truth.pkl', 'wb') as file:
        pickle.dump(truth, file)
    metric = MultiSportsMetric(str(tmp_path / 'truth.pkl'), verbose=False)
    for name in names:
        for t in range(1, frames + 1):
            found = box / 100 if name == names[0] else np.array([0.8, 0.8, 0.9, 0.9])
            instances = dict(
                bboxes=torch.tensor(found[None]), scores=torch.tensor([[0.9]])
            )
            metric.process(
                None,
                [dict(video_id=f'{name}.mp4', timestamp=t, pred_instances=instances)],
            )
    scores = metric.evaluate(2 * frames)
    assert scores['mAP/v_map@0.5'] == pytest.approx(50, abs=1)


def test_inferencers_decode_as_the_config_says():
    from mmaction.apis.inferencers import ActionRecogInferencer

    def names(replace):
        cfg = Config.fromfile(ROOT / DEMO_CONFIG)
        steps = cfg.test_dataloader.dataset.pipeline
        steps[0] = dict(type=f'{replace}Init')
        steps[2] = dict(type=f'{replace}Decode')
        inferencer = SimpleNamespace(input_format='video', pack_cfg={})
        pipeline = ActionRecogInferencer._init_pipeline(inferencer, cfg)
        return [type(step).__name__ for step in pipeline.transforms][1:4]

    assert names('Video') == ['VideoInit', 'SampleFrames', 'VideoDecode']
    assert names('PyAV') == ['DecordInit', 'SampleFrames', 'DecordDecode']


def test_pictures_show_frames_of_ours(clips):
    from mmaction.visualization import ActionVisualizer

    path = str(next((clips / 'videos').rglob('*.mp4')))
    with Video(path) as video:
        frames = video.frames(range(len(video)))
    shown = ActionVisualizer._load_video(None, path)
    assert len(shown) == len(frames)
    for bgr, rgb in zip(shown, frames):
        assert np.array_equal(bgr[..., ::-1], rgb)
    (h, w, _), *_ = (x.shape for x in ActionVisualizer._load_video(None, path, (8, -1)))
    assert (w, h) == (8, 8 * frames[0].shape[0] // frames[0].shape[1])
