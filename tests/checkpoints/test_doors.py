"""No function that reads checkpoints lets a file execute code."""

import os
import runpy
import sys
from functools import partial

import pytest
import torch
from mmaction.apis.inferencers import ActionRecogInferencer
from mmaction.registry import MODELS
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.runner import FlexibleRunner, Runner, load_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader, load_from_http
from torch.utils.data import DataLoader

from mmaction_videomambapro.datasets.feature_cache import FeatureCache
from mmaction_videomambapro.safe_load import CheckpointError
from tests.conftest import DEMO_CONFIG, ROOT
from tests.fuzz.pickles import attack_by_state, call, mapping, name, text
from tests.fuzz.pickles import write_checkpoint as write

ATTACKS = {
    'by name': lambda marker: call(name('os.system'), text(f'touch {marker}')),
    'by state': lambda marker: attack_by_state(f'open({str(marker)!r}, "w").close()'),
    'by alias': lambda marker: call(
        name('builtins.getattr'),
        name('mmengine.logging.history_buffer.HistoryBuffer'),
        text('__init__'),
    ),
}


class Model(BaseModel):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, *args, **kwargs):
        raise NotImplementedError


@pytest.fixture
def doors(tmp_path, monkeypatch, demo_options):
    """Functions that read a file from outside, by name."""
    runner = partial(
        dict, model=Model(), work_dir=str(tmp_path / 'runs'), default_scope='mmaction'
    )

    def run(kind, **kwargs):
        kind(experiment_name=tmp_path.name, **runner(), **kwargs).load_or_resume()

    def tool(script, *arguments):
        """Run in this process; errors are raised as by a library."""
        monkeypatch.setattr(sys, 'argv', [script, *map(str, arguments)])
        cli = 'mmaction_videomambapro.apis.cli'
        monkeypatch.setattr(f'{cli}.keep_freed_memory', lambda: None)
        monkeypatch.setattr(f'{cli}.run_tool', lambda main: main())
        runpy.run_path(str(ROOT / 'tools' / script), run_name='__main__')

    def teacher(file):
        net = dict(type='VideoMamba', arch=dict(embed_dims=16, depth=1), img_size=32)
        init_cfg = dict(type='Pretrained', checkpoint=file)
        MODELS.build(dict(
            type='DistilledRecognizer3D', backbone=net,
            cls_head=dict(type='TimeSformerHead', num_classes=5, in_channels=16),
            teacher={**net, 'init_cfg': init_cfg},
        )).init_weights()  # fmt: skip

    def sample(file):
        cache = FeatureCache.create(str(tmp_path / 'cache'), 1, {})
        os.makedirs(os.path.dirname(cache.path(0)), exist_ok=True)
        os.replace(file, cache.path(0))
        cache.load(0)

    def url(file):
        monkeypatch.setenv('TORCH_HOME', str(tmp_path))
        load_from_http(f'file://{file}')

    def init_cfg(file):
        Model(init_cfg=dict(type='Pretrained', checkpoint=file)).init_weights()

    config = ROOT / DEMO_CONFIG
    return {
        'load_from': lambda file: run(Runner, load_from=file),
        'resume': lambda file: run(Runner, load_from=file, resume=True),
        'FlexibleRunner': lambda file: run(FlexibleRunner, load_from=file),
        'init_cfg': init_cfg,
        'load_checkpoint': lambda file: load_checkpoint(Model(), file),
        'CheckpointLoader': CheckpointLoader.load_checkpoint,
        'teacher': teacher,
        'sample of a cache': sample,
        'URL': url,
        'test': lambda file: tool(
            'test.py', config, file, '--work-dir', tmp_path, *demo_options()
        ),
        'convert': lambda file: tool(
            'checkpoints/convert.py', file, tmp_path / 'new.pth', '--config', config
        ),
        'publish': lambda file: tool('model_zoo.py', 'publish', file, tmp_path / 'new'),
        'extract': lambda file: tool(
            'extract_features.py', config, file, tmp_path / 'features',
            *demo_options('model.backbone.out_type=raw'),
        ),
    }  # fmt: skip


DOORS = [
    *('load_from', 'resume', 'FlexibleRunner', 'init_cfg', 'load_checkpoint'),
    *('CheckpointLoader', 'teacher', 'sample of a cache', 'URL'),
    *('test', 'convert', 'publish', 'extract'),
]


@pytest.mark.parametrize('door', DOORS)
def test_no_reader_executes_code(doors, tmp_path, door):
    marker, methods = tmp_path / 'marker', dict(HistoryBuffer._statistics_methods)
    for attack in ATTACKS.values():
        file = tmp_path / 'hostile.pth'
        weights = mapping(('layer.weight', attack(marker)))
        write(file, mapping(('meta', b'}'), ('state_dict', weights)))
        with (
            DefaultScope.overwrite_default_scope('mmaction'),
            pytest.raises(CheckpointError) as error,
        ):
            doors[door](str(file))
        assert '\n' not in str(error.value)
        assert '.pth' in str(error.value)
        (tmp_path / 'hub' / 'checkpoints' / 'hostile.pth').unlink(missing_ok=True)
    assert not marker.exists()
    assert HistoryBuffer._statistics_methods == methods


@pytest.mark.parametrize(
    'config', ['__import__("os").mkdir("ran")', 'a = open("ran", "w")', 'import os', 3]
)
def test_configs_in_checkpoints_are_not_run(tmp_path, monkeypatch, config):
    """MMEngine executes that text when it resumes, and when only weights are given."""
    monkeypatch.chdir(tmp_path)
    hub = dict(log_scalars={}, runtime_info=dict(cfg=config), resumed_keys={})
    content = dict(
        meta=dict(config=config, epoch=0, iter=0), state_dict=Model().state_dict(),
        message_hub=hub, optimizer={}, param_schedulers=[],
    )  # fmt: skip
    torch.save(content, 'hostile.pth')
    runner = Runner(
        Model(), str(tmp_path), load_from='hostile.pth', resume=True,
        train_dataloader=DataLoader([1]), train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.0)),
        experiment_name=tmp_path.name, default_scope='mmaction',
    )  # fmt: skip
    for door in (runner.train, lambda: ActionRecogInferencer(None, 'hostile.pth')):
        with pytest.raises(CheckpointError, match='config in the checkpoint'):
            door()
    assert not os.path.exists('ran')
