"""The configs are complete, can be built, and are in the index of the zoo."""

import pytest
import torch
import yaml
from mmaction.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from tests.conftest import DEMO_CONFIG, ROOT

CONFIGS = sorted(
    str(p.relative_to(ROOT))
    for p in (ROOT / 'configs').rglob('*.py')
    if '_base_' not in p.parts
)
METAFILES = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmaction')


@pytest.mark.parametrize('path', CONFIGS)
def test_config_is_complete_and_builds(path, clips):
    cfg = Config.fromfile(ROOT / path)
    # what MMAction2's demos and tools look for by name
    for name in (
        'model', 'train_pipeline', 'val_pipeline', 'test_pipeline', 'auto_scale_lr',
        'train_dataloader', 'val_dataloader', 'test_dataloader', 'test_evaluator',
        'optim_wrapper', 'param_scheduler', 'train_cfg', 'val_cfg', 'test_cfg',
        'default_hooks', 'visualizer',
    ):  # fmt: skip
        assert name in cfg, name
    last = cfg.param_scheduler[-1]
    assert last.begin + last.T_max == cfg.train_cfg.max_epochs
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert model.cls_head.fc_cls.in_features == model.backbone.embed_dims

    loaders = {s: cfg[f'{s}_dataloader'] for s in ('train', 'val', 'test')}
    views = {}
    for split, loader in loaders.items():
        dataset = dict(loader.dataset)
        dataset.update(
            ann_file=str(clips / 'val_videos.txt'), data_prefix=dict(video=str(clips))
        )
        views[split] = DATASETS.build(dataset)[0]['inputs'].shape
    frames, size = (8, 48) if 'demo' in path else (16, 224)
    for split, count in (('train', 1), ('val', 1), ('test', 12)):
        assert views[split] == (count, 3, frames, size, size)


def test_mmaction2_recognizes_a_video(clips):
    """MMAction2's own functions take our config as it is."""
    from mmaction.apis import inference_recognizer, init_recognizer

    config = Config.fromfile(ROOT / DEMO_CONFIG)
    model = init_recognizer(config, device='cpu')
    result = inference_recognizer(model, str(clips / 'videos/val/00000.mp4'))
    assert float(result.pred_score.sum()) == pytest.approx(1, abs=1e-4)


def test_every_recipe_has_a_row():
    """That the rows are true is a test of the zoo."""
    listed = [
        entry['Config']
        for metafile in METAFILES
        for entry in yaml.safe_load((ROOT / metafile).read_text())['Models']
    ]
    assert sorted(listed) == [c for c in CONFIGS if '/recognition/' in c]


@pytest.mark.parametrize('name', ['videomamba', 'videomambapro'])
def test_packaged_configs_resolve(name, tmp_path):
    """``package::path`` finds the configs that the installation put into .mim."""
    leaf = f'recognition/{name}/{name}-small-p16_16x4x1_kinetics400-rgb.py'
    config = tmp_path / 'mine.py'
    config.write_text(
        f"_base_ = 'mmaction_videomambapro::{leaf}'\n"
        'model = dict(cls_head=dict(num_classes=7))\n'
    )
    cfg = Config.fromfile(config)
    assert cfg.model.backbone.arch == 'small'
    assert cfg.model.cls_head.num_classes == 7
