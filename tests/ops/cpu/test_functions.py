import math

import numpy as np
import pytest
import torch

from mmaction_videomambapro.ops.cpu import functions
from mmaction_videomambapro.ops.cpu.jit import LANES, Kernel
from mmaction_videomambapro.ops.cpu.threads import run

PRECISION = {torch.float32: 4e-7, torch.float64: 5e-15}


@pytest.fixture(params=['all', 'no_table', 'no_table_no_fma'])
def instructions(request, monkeypatch):
    """With and without the instructions that only some CPUs have."""
    if request.param == 'all' and not Kernel('probe', ()).has_permute:
        pytest.skip('this CPU permutes no lanes')
    if request.param != 'all':
        monkeypatch.setattr(Kernel, 'has_permute', False)
    if request.param == 'no_table_no_fma':
        monkeypatch.setattr(Kernel, 'has_fma', False)


def apply(function, *arrays):
    """Compile ``function`` and apply it to arrays whose size is a multiple of LANES."""
    double = arrays[0].dtype == torch.float64
    names = [f'x{i}' for i in range(len(arrays))]
    k = Kernel('probe', (*names, 'y', 'count'), double)
    with k.loop(k.count) as i:
        lanes = [k.load(getattr(k, name) + i * k.size) for name in names]
        k.store(k.y + i * k.size, function(*lanes))
    y = torch.empty_like(arrays[0])
    params = torch.tensor([x.data_ptr() for x in (*arrays, y)] + [len(y) // LANES])
    run(k.compile(), params.data_ptr(), 1)
    return y


def relative_error(x, expected):
    expected = torch.as_tensor(expected)
    scale = expected.abs().clamp(min=torch.finfo(x.dtype).tiny)
    return ((x.double() - expected).abs() / scale).max().item()


@pytest.mark.parametrize('dtype', PRECISION)
@pytest.mark.parametrize(
    'how',
    [
        dict(in_range=False),
        dict(in_range=True),
        dict(in_range=True, large_table=True),
    ],
)
def test_exp2(dtype, how, instructions):
    x = torch.linspace(-250, 250, 64 * LANES, dtype=dtype)
    found = apply(lambda a, b: functions.exp2(a, b, **how), x, torch.full_like(x, 0.5))
    assert relative_error(found, np.exp2(0.5 * x.double().numpy())) < PRECISION[dtype]


@pytest.mark.parametrize('in_range', [True, False])
def test_exp2_of_little_and_nothing(in_range, instructions):
    x = torch.tensor([-130.0, -1e3, -1e5, 0.0] * (LANES // 4))
    found = apply(lambda a, b: functions.exp2(a, b, in_range), x, torch.ones_like(x))
    assert found.tolist() == [0.0, 0.0, 0.0, 1.0] * (LANES // 4)


def test_exp2_of_anything():
    x = torch.tensor([-math.inf, -1e30, 128.0, 1e30, math.inf, math.nan, -1e15, 127.0])
    x = x.repeat(LANES // 8)
    found = apply(lambda a, b: functions.exp2(a, b, False), x, torch.ones_like(x))
    torch.testing.assert_close(found, torch.exp2(x), equal_nan=True)


@pytest.mark.parametrize('dtype', PRECISION)
def test_softplus_and_logistic(dtype, instructions):
    x = torch.linspace(-60, 60, 64 * LANES, dtype=dtype)
    exact = x.double().numpy()
    found = apply(lambda a: functions.softplus(a)[0], x)
    expected = np.log1p(np.exp(-abs(exact))) + np.maximum(exact, 0)
    assert relative_error(found, expected) < 10 * PRECISION[dtype]
    for function in (functions.sigmoid, lambda a: functions.softplus(a)[1]):
        found = apply(function, x)
        assert relative_error(found, 1 / (1 + np.exp(-exact))) < 10 * PRECISION[dtype]


def test_softplus_of_extremes():
    x = torch.tensor([-1e4, 1e4, -1e30, 1e30, math.inf, math.nan, -math.nan, 0.0])
    found = apply(lambda a: functions.softplus(a)[0], x.repeat(LANES // 8))
    expected = torch.nn.functional.softplus(x.repeat(LANES // 8))
    torch.testing.assert_close(found, expected, equal_nan=True)


def test_sums_over_lanes():
    x = torch.randn(LANES, LANES)
    k = Kernel('probe', ('x', 'y'))
    k.store(k.y, k.sums([k.load(k.x + i * k.size) for i in range(LANES - 1)]))
    y = torch.empty(LANES)
    params = torch.tensor([x.data_ptr(), y.data_ptr()])
    run(k.compile(), params.data_ptr(), 1)
    x[-1] = 0
    torch.testing.assert_close(y, x.sum(1))
