import math

import numpy as np
import pytest
import torch

from mmaction_videomambapro.ops.cpu import functions
from mmaction_videomambapro.ops.cpu.compiler import this_cpu
from mmaction_videomambapro.ops.cpu.lanes import LANES, Features, Kernel
from mmaction_videomambapro.ops.cpu.threads import run

pytestmark = pytest.mark.base

PRECISION = {torch.float32: 4e-7, torch.float64: 5e-15}


@pytest.fixture(params=['all', 'no_table', 'no_table_no_fma'])
def features(request):
    """With and without the instructions that only some CPUs have."""
    found = this_cpu().features
    if request.param == 'all':
        if not found.permute:
            pytest.skip('this CPU permutes no lanes')
        return found
    return Features(fma=found.fma and request.param == 'no_table')


def apply(function, *arrays, features=None):
    """Compile ``function`` and apply it to arrays whose size is a multiple of LANES."""
    double = arrays[0].dtype == torch.float64
    names = [f'x{i}' for i in range(len(arrays))]
    features = features or this_cpu().features
    k = Kernel('probe', (*names, 'y', 'count'), double, features)
    with k.loop(k.count) as i:
        lanes = [k.load(getattr(k, name) + i * k.size) for name in names]
        k.store(k.y + i * k.size, function(*lanes))
    y = torch.empty_like(arrays[0])
    params = torch.tensor([x.data_ptr() for x in (*arrays, y)] + [len(y) // LANES])
    run(this_cpu().compile(k), params.data_ptr(), 1)
    return y


def largest_error(x, expected):
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
def test_exp2(dtype, how, features):
    x = torch.linspace(-250, 250, 64 * LANES, dtype=dtype)
    found = apply(
        lambda a, b: functions.exp2(a, b, **how),
        x,
        torch.full_like(x, 0.5),
        features=features,
    )
    assert largest_error(found, np.exp2(0.5 * x.double().numpy())) < PRECISION[dtype]


@pytest.mark.parametrize('in_range', [True, False])
def test_exp2_of_little_and_nothing(in_range, features):
    x = torch.tensor([-130.0, -1e3, -1e5, 0.0] * (LANES // 4))
    found = apply(
        lambda a, b: functions.exp2(a, b, in_range),
        x,
        torch.ones_like(x),
        features=features,
    )
    assert found.tolist() == [0.0, 0.0, 0.0, 1.0] * (LANES // 4)


def test_exp2_of_anything():
    x = torch.tensor([-math.inf, -1e30, 128.0, 1e30, math.inf, math.nan, -1e15, 127.0])
    x = x.repeat(LANES // 8)
    found = apply(lambda a, b: functions.exp2(a, b, False), x, torch.ones_like(x))
    torch.testing.assert_close(found, torch.exp2(x), equal_nan=True)


@pytest.mark.parametrize('dtype', PRECISION)
def test_softplus_and_sigmoid(dtype, features):
    x = torch.linspace(-60, 60, 64 * LANES, dtype=dtype)
    exact = x.double().numpy()
    found = apply(lambda a: functions.softplus(a)[0], x, features=features)
    expected = np.log1p(np.exp(-abs(exact))) + np.maximum(exact, 0)
    assert largest_error(found, expected) < 10 * PRECISION[dtype]
    for function in (functions.sigmoid, lambda a: functions.softplus(a)[1]):
        found = apply(function, x, features=features)
        assert largest_error(found, 1 / (1 + np.exp(-exact))) < 10 * PRECISION[dtype]


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
    run(this_cpu().compile(k), params.data_ptr(), 1)
    x[-1] = 0
    torch.testing.assert_close(y, x.sum(1))
