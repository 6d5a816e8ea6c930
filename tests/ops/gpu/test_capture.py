"""A CUDA graph can record the kernels: launches wait for no value.

Tensors are fake, so whoever reads a number from one fails, and kernels are not run.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from mmaction_videomambapro.ops import ScanInputs, gpu

pytestmark = pytest.mark.skipif(
    gpu.scan_operator is None or torch.cuda.is_available(),
    reason=gpu._missing if gpu.scan_operator is None else 'kernels are not interpreted',
)
BATCH, CHANNELS, LENGTH, STATES = 2, 32, 300, 16


@pytest.fixture
def launches(monkeypatch):
    """Names of the kernels that are launched, and their grids."""
    from triton.runtime.interpreter import InterpretedFunction

    found = []

    def launch(kernel, grid):
        return lambda *args, **kwargs: found.append((kernel.fn.__name__, grid))

    monkeypatch.setattr(InterpretedFunction, '__getitem__', launch)
    return found


def train(gate):
    def tokens(count):
        return torch.randn(BATCH, LENGTH, count).mT

    def direction():
        weight = torch.randn(CHANNELS)
        per_token = [tokens(n) for n in (CHANNELS, CHANNELS, STATES, STATES)]
        A = torch.randn(CHANNELS, STATES)
        return ScanInputs(*per_token[:2], A, *per_token[2:], weight, weight)

    z = tokens(CHANNELS) if gate else None
    tensors = z, *direction(), *direction()
    flags = True, True, [False, True], [False, True]
    scan, backward = gpu.scan_operator.scan, gpu.scan_operator.backward
    y, ungated, states = scan.function(*tensors, *flags, True)
    backward.function(y, *tensors, ungated, states, *flags)
    conv1d = gpu.conv1d_operator
    arguments = tokens(CHANNELS), torch.randn(CHANNELS, 4), None, True, True
    convolved = conv1d.conv1d.function(*arguments)
    conv1d.backward.function(convolved, *arguments)


@pytest.mark.parametrize('gate', [False, True])
@pytest.mark.parametrize('segments', [1, 3])
def test_no_launch_reads_a_value(launches, monkeypatch, gate, segments):
    from mmaction_videomambapro.ops.gpu import plan, scan_ops

    for name in 'plan_forward', 'plan_backward':
        fixed = plan.Plan(Q=1, W=1, FOURS=1, segments=2 * segments)
        monkeypatch.setattr(scan_ops, name, lambda *_, fixed=fixed: fixed)
    with FakeTensorMode():
        train(gate)
        first = launches.copy()
        train(gate)
    assert first * 2 == launches, 'the same launches in every call'
    assert {'chunk_scan', 'chunk_scan_bwd'} <= {name for name, _ in first}
    assert ('chunk_state' in dict(first)) == (segments > 1)


def test_whoever_reads_a_value_is_found(launches, monkeypatch):
    from mmaction_videomambapro.ops.gpu import scan_ops

    plan = scan_ops.plan_forward
    reading = lambda work, n: plan(work, int(torch.ones(1).sum()))  # noqa: E731
    monkeypatch.setattr(scan_ops, 'plan_forward', reading)
    with (
        FakeTensorMode(),
        pytest.raises(torch._subclasses.fake_tensor.DataDependentOutputException),
    ):
        train(True)
