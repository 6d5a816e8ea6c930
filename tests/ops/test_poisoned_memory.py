"""That the fixture ``poisoned_memory`` catches kernels that read unwritten memory."""

import math

import pytest
import torch

from mmaction_videomambapro.ops import cpu

from .helpers import make_inputs, run


def test_new_memory_is_nan():
    x = torch.ones(3, 4)
    for new in (
        torch.empty(3),
        torch.empty_like(x.mT),
        torch.empty_strided((3,), (2,)),
        x.new_empty(3, dtype=torch.bfloat16),
    ):
        assert new.isnan().all()


@pytest.fixture
def uncached(monkeypatch, tmp_path):
    """Compiles CPU kernels anew, as the test changes them."""
    pytest.importorskip('llvmlite')
    from mmaction_videomambapro.ops.cpu import conv1d, scan

    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    for module in (conv1d, scan):
        for name in ('forward', 'backward'):
            monkeypatch.setattr(module, name, getattr(module, name).__wrapped__)


@pytest.fixture
def without_weights(uncached, monkeypatch):
    """CPU kernels that do not copy weights to their working memory."""
    from mmaction_videomambapro.ops.cpu.tiles import Tile

    monkeypatch.setattr(Tile, 'weights', lambda *args: None)


def test_cpu_scan(without_weights):
    inputs = make_inputs(1, 4, 9, 3, dtype=torch.float32)
    assert cpu.scan_operator.run(**inputs).isnan().any()


def test_cpu_convolution(without_weights):
    x, weight = torch.randn(1, 4, 9), torch.randn(4, 3)
    assert cpu.conv1d_operator.run(x, weight, None, None, False).isnan().any()


@pytest.mark.parametrize('masked', [False, True])
def test_stack_of_cpu_kernels(masked, uncached, monkeypatch):
    """Which the fixture does not reach: filled with NaN when a kernel begins."""
    from mmaction_videomambapro.ops.cpu.lanes import Kernel

    def buffer(self, size, reserve=Kernel.buffer):
        start = reserve(self, size)
        with self.loop(size // self.size) as i:
            self.store(start + i * self.size, self.lanes(math.nan))
        filled.append(size)
        return start

    filled = []
    monkeypatch.setattr(Kernel, 'buffer', buffer)
    inputs = make_inputs(2, 21, 70, 16, dtype=torch.float32)
    flags = dict(delta_softplus=True, residual=True, masked=masked)
    found = run(cpu.scan_operator.run, inputs, **flags)
    assert filled
    assert all(x.isfinite().all() for x in found.values())
