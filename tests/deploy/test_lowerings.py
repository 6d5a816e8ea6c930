"""Every way of writing a scan in ONNX computes the definition."""

import sys
from itertools import product

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import nn

from mmaction_videomambapro.deploy import lowerings
from mmaction_videomambapro.deploy.graph import graph_of, lower
from mmaction_videomambapro.deploy.lowerings import LOWERINGS
from mmaction_videomambapro.ops import selective_scan
from mmaction_videomambapro.ops.naive import selective_scan_naive

D, N = 24, 5
OLD = sys.version_info < (3, 11)
FLAGS = [
    dict(zip(('delta_softplus', 'residual', 'masked', 'reverse'), flags))
    for flags in product((False, True), repeat=4)
]


class Scans(nn.Module):
    """All combinations of flags; tokens hold u, delta, z, B and C side by side."""

    def __init__(self, scan):
        super().__init__()
        self.scan = scan
        self.A = nn.Parameter(-torch.logspace(-2, 1.5, D * N).view(D, N))
        self.D, self.bias = nn.Parameter(torch.randn(D)), nn.Parameter(torch.randn(D))

    def forward(self, tokens):
        """(B, L, 3 D + 2 N) -> (B, 17, L, D)."""
        u, delta, z, B, C = (x.mT for x in tokens.split([D, D, D, N, N], -1))
        tensors = u, delta, self.A, B, C
        more = self.D, z, self.bias
        found = [
            # steps have to be positive
            self.scan(u, delta if x['delta_softplus'] else delta.exp(), *tensors[2:],
                      *more[:2], more[2] if x['delta_softplus'] else None, **x)
            for x in FLAGS
        ]  # fmt: skip
        found.append(self.scan(u, delta.exp(), *tensors[2:]))
        return torch.stack(found, 1).mT


@pytest.fixture(scope='module')
def scans():
    torch.manual_seed(0)
    return Scans(selective_scan)


@pytest.fixture(scope='module')
def graph(scans):
    """As bytes, since lowering changes it."""
    example = torch.randn(2, 7, 3 * D + 2 * N)
    return ir.to_proto(graph_of(scans, example, ('x', 'y'))).SerializeToString()


def session(graph, lowering):
    model = ir.from_proto(ir.serde.onnx.ModelProto.FromString(graph))
    lower(model, lowering)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    content = ir.to_proto(model).SerializeToString()
    if lowering in ('linear_attention', 'standard') and OLD:
        pytest.skip('this ONNX Runtime, for Python 3.10, has no LinearAttention')
    return onnxruntime.InferenceSession(content, options)


@pytest.mark.parametrize('lowering', LOWERINGS)
def test_all_flags(scans, graph, lowering, monkeypatch):
    # chunks of a few tokens, of which the last is not full
    monkeypatch.setattr(lowerings, '_TILE_BYTES', 4 * D * N * 21)
    run = session(graph, lowering).run
    exact = Scans(selective_scan_naive).double()
    exact.load_state_dict(scans.state_dict())
    for batch, length in ((3, 41), (1, 1), (1, 100), (30, 5)):
        tokens = torch.randn(batch, length, 3 * D + 2 * N)
        tokens[..., D : 2 * D] *= 2  # steps of 0.001 to 50
        with torch.inference_mode():
            expected = exact(tokens.double()).numpy()
        (found,) = run(None, {'x': tokens.numpy()})
        error, norm = (
            np.square(x).sum((0, 2, 3)) ** 0.5 for x in (found - expected, expected)
        )
        assert (error < 2e-6 * norm).all(), error / norm


def test_softplus():
    """Small steps are exact to 1e-7; large ones are not infinite."""

    class Softplus(nn.Module):
        def forward(self, x):
            one = torch.ones_like(x[:, :1])
            A = torch.zeros(x.shape[1], 1)  # of one token: y = dt
            return selective_scan(
                torch.ones_like(x), x, A, one, one, delta_softplus=True
            )

    x = torch.linspace(-20, 200, 480).view(20, 24, 1)
    graph = ir.to_proto(graph_of(Softplus(), x, ('x', 'y'))).SerializeToString()
    (found,) = session(graph, 'scan').run(None, {'x': x.numpy()})
    expected = torch.nn.functional.softplus(x.double(), threshold=300).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7)
