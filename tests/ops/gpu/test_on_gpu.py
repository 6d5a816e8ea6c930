"""What only a GPU can show: large sizes, graphs, PyTorch's compiler."""

import pytest
import torch

from mmaction_videomambapro.models import VideoMambaPro
from mmaction_videomambapro.ops import BACKENDS, ScanInputs, bidirectional_scan
from mmaction_videomambapro.ops.backends import FORCE_VARIABLE

from ..helpers import PRECISION

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')


def directions(batch, channels, length, dtype, states=16):
    def tokens(last):
        x = torch.randn(batch, length, last, device='cuda', dtype=dtype)
        return x.mT.requires_grad_()

    def direction():
        A = -torch.rand(channels, states, device='cuda').mul(3).exp()
        D = torch.randn(channels, device='cuda')
        bias = torch.rand(channels, device='cuda') * 2 - 4
        weights = (x.requires_grad_() for x in (D, bias))
        inputs = tokens(channels), tokens(channels), A.requires_grad_()
        return ScanInputs(*inputs, tokens(states), tokens(states), *weights)

    return direction(), direction(), tokens(channels)


def scan(forward, backward, z):
    flags = dict(delta_softplus=True, residual=True, masked=True)
    y = bidirectional_scan(forward, backward, z, **flags)
    dy = torch.randn(y.shape, device='cuda', generator=torch.Generator('cuda')).to(y)
    return y, *torch.autograd.grad(y, (*forward, *backward, z), dy)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    'sizes', [(8, 1152, 1569), (8, 384, 3137), (1, 1152, 12545)], ids=str
)
def test_large(sizes, dtype, monkeypatch):
    inputs = directions(*sizes, dtype)
    monkeypatch.setenv(FORCE_VARIABLE, 'triton')
    found = scan(*inputs)
    again = scan(*inputs)
    assert all(torch.equal(x, y) for x, y in zip(found, again))
    monkeypatch.setenv(FORCE_VARIABLE, 'chunked')

    def double(x):
        return x.detach().double().requires_grad_()

    forward, backward, z = inputs
    forward, backward = (ScanInputs(*map(double, x)) for x in (forward, backward))
    expected = scan(forward, backward, double(z))
    for i, (x, reference) in enumerate(zip(found, expected)):
        error = (x - reference).norm() / reference.norm()
        assert error <= PRECISION[dtype][i > 0]


def backbone(**kwargs):
    net = VideoMambaPro(arch='tiny', num_frames=2, drop_path_rate=0, **kwargs)
    net.init_weights()
    return net.cuda()


def clip(batch=2):
    return torch.randn(batch, 3, 2, 224, 224, device='cuda')


@pytest.mark.parametrize('with_cp', [False, 'selection'])
def test_graph_replays_a_training_step(with_cp):
    net, x = backbone(with_cp=with_cp), clip()
    expected = net(x)
    expected.square().sum().backward()
    gradients = [p.grad.clone() for p in net.parameters()]
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        net.zero_grad()
        net(x).square().sum().backward()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    net.zero_grad()
    with torch.cuda.graph(graph):
        y = net(x)
        y.square().sum().backward()
    graph.replay()
    torch.testing.assert_close(y, expected)
    for p, gradient in zip(net.parameters(), gradients):
        torch.testing.assert_close(p.grad, gradient)


def test_compiled_for_speed():
    net, x = backbone(), clip()
    compiled = torch.compile(net, mode='max-autotune', fullgraph=True)
    for _ in range(3):  # to warm up, to record, to replay
        y = compiled(x)
        y.square().sum().backward()
    torch.testing.assert_close(y, net(x), rtol=1e-3, atol=1e-3)


def test_every_backend_on_this_device():
    chosen = [name for name, b in BACKENDS.items() if not b.why_not(clip(), 16)]
    assert chosen[0] == 'triton'
