"""What kernels are launched with, on tensors without values: kernels are not run.

Launches wait for no value, so a CUDA graph can record them: whoever reads a number from
a fake tensor fails.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from mmaction_videomambapro.ops import ScanInputs, gpu

pytestmark = pytest.mark.skipif(
    gpu.scan_operator is None or torch.cuda.is_available(),
    reason=gpu._missing if gpu.scan_operator is None else 'kernels are not interpreted',
)
BATCH, CHANNELS, LENGTH, STATES = 2, 64, 300, 16


@pytest.fixture
def launches(monkeypatch):
    """Names of the kernels that are launched, their grids and arguments."""
    from triton.runtime.interpreter import InterpretedFunction

    found = []

    def launch(kernel, grid):
        return lambda *args, **kwargs: found.append((kernel.fn.__name__, grid, args))

    monkeypatch.setattr(InterpretedFunction, '__getitem__', launch)
    return found


def train(gate, length=LENGTH, dtype=torch.float32):
    def tokens(count):
        return torch.randn(BATCH, length, count, dtype=dtype).mT

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
        first = [launch[:2] for launch in launches]
        train(gate)
    found = [launch[:2] for launch in launches]
    assert first * 2 == found, 'the same launches in every call'
    assert {'chunk_scan', 'chunk_scan_bwd'} <= dict(first).keys()
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


def test_bytes_per_token(launches, monkeypatch):
    """In bfloat16, per channel and direction; B and C aside, which channels share."""
    from mmaction_videomambapro.ops.gpu import plan, scan_ops

    wide = plan.Plan(Q=2, W=4, FOURS=1, segments=1)
    monkeypatch.setattr(scan_ops, 'plan_backward', lambda *_: wide)
    with FakeTensorMode():
        train(True, length=1536, dtype=torch.bfloat16)
    units = 2 * BATCH * CHANNELS * 1536
    arguments = {name: args for name, _, args in launches}

    directions, _, z, outputs, states, *_ = arguments['chunk_scan']
    tokens = [x.data for d in directions for x in (d.u, d.delta)]
    assert outputs.partial.nbytes == outputs.y.nbytes
    read = *tokens, z.data, outputs.partial
    written = outputs.partial, outputs.ungated, outputs.y, states
    assert sum(x.nbytes for x in read + written) == 10 * units

    # u and delta are read twice, as what a chunk takes does not stay in caches for sure
    directions, _, shared, states, _, _, gradients, sums, *_ = arguments[
        'chunk_scan_bwd'
    ]
    per_direction = shared.z.data, shared.dy
    read = *tokens, *tokens, *2 * per_direction, shared.ungated, states
    written = *(x for found in gradients for x in found), shared.dz
    assert sum(x.nbytes for x in read + written) == 19 * units
    assert sums.dBC.nbytes == 2 * units
