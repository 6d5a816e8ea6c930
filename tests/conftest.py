"""Fixtures: paths, a small dataset, and the tools as users call them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# tests run side by side, one on each core
os.environ.setdefault('OMP_NUM_THREADS', '1')

import hypothesis
import torch
from mmaction.visualization import ActionVisualizer
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer

if not torch.cuda.is_available():  # its kernels run in Triton's interpreter
    os.environ['TRITON_INTERPRET'] = '1'

import mmaction_videomambapro  # noqa: F401  patches and registers
from mmaction_videomambapro.datasets.demo_clips import DemoClips

from .warm_python import WarmPython

# speed is for benchmarks: a busy machine fails no test
hypothesis.settings.register_profile('suite', deadline=None)
hypothesis.settings.load_profile('suite')

ROOT = Path(__file__).parent.parent
TOOL_ENVIRONMENT = {'PYTHONWARNINGS': 'ignore', 'TRITON_INTERPRET': '0'}
DEMO_CONFIG = 'configs/demo/videomambapro-nano_8x2x1-15e_demo-clips-rgb.py'


@pytest.fixture(autouse=True)
def same_random_numbers():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def nothing_left_of_runners():
    """MMEngine keeps a runner's logger, whose file is closed, and its visualizer.

    A runner of the same config that starts in the same second would use them again.
    """

    def is_closed(logger):
        return any(getattr(x, 'stream', ...) is None for x in logger.handlers)

    loggers = MMLogger._instance_dict
    for name in [x for x, logger in loggers.items() if is_closed(logger)]:
        del loggers[name]  # of a fixture that several tests share
    kept = [kind._instance_dict for kind in (MMLogger, Visualizer, ActionVisualizer)]
    before = [list(instances) for instances in kept]
    yield
    for instances, names in zip(kept, before):
        for name in [x for x in instances if x not in names]:
            del instances[name]


@pytest.fixture(scope='session')
def root():
    return ROOT


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """An empty folder, for tests that write into it again and again."""
    return tmp_path_factory.mktemp('folder')


@pytest.fixture(scope='session')
def golden():
    """Loads a golden file by its name."""

    def load(name):
        return torch.load(ROOT / 'tests' / 'data' / f'{name}.pth', weights_only=True)

    return load


@pytest.fixture(scope='session')
def clips(tmp_path_factory):
    """A demo dataset of 16 training and 8 validation clips."""
    root = tmp_path_factory.mktemp('clips') / 'demo_clips'
    DemoClips(train=16, val=8, frames=20).make(root)
    return root


@pytest.fixture(scope='session')
def warm_python():
    python = WarmPython(TOOL_ENVIRONMENT)
    yield python
    python.close()


@pytest.fixture
def tool(warm_python):
    """Run a script in tools/ from the repository root, as a user would.

    Scripts of the shell, and those in another environment, start from scratch.
    """

    def run(name, *args, check=True, env=None, command=(sys.executable,)):
        line = [str(ROOT / 'tools' / name), *map(str, args)]
        if env or command != (sys.executable,):
            process = subprocess.run(
                [*command, *line],
                cwd=ROOT,
                env={**os.environ, **TOOL_ENVIRONMENT, **(env or {})},
                capture_output=True,
                text=True,
                timeout=300,
            )
        else:
            process = warm_python.run(line, cwd=ROOT)
        if check and process.returncode:
            raise AssertionError(f'{name} failed:\n{process.stdout}\n{process.stderr}')
        return process

    return run


@pytest.fixture
def demo_options(clips):
    """Arguments that shrink the demo to seconds and point it at ``clips``."""
    options = [
        'model.backbone.arch.embed_dims=32',
        'model.backbone.arch.depth=2',
        'model.cls_head.in_channels=32',
        'train_dataloader.batch_size=4',
        'train_cfg.max_epochs=3',
        'train_cfg.val_interval=3',
        'default_hooks.logger.interval=1',
    ]
    for split, name in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        dataset = f'{split}_dataloader.dataset'
        options.append(f'{dataset}.ann_file={clips}/{name}_videos.txt')
        options.append(f'{dataset}.data_prefix.video={clips}')

    def arguments(*more):
        return ['--cfg-options', *options, *more]

    return arguments


@pytest.fixture
def scope():
    """Set the scope from which configs are built, as a runner does."""
    with DefaultScope.overwrite_default_scope('mmaction'):
        yield
