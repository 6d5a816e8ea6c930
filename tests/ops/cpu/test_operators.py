"""The kernels as operators: what PyTorch asks of them."""

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from mmaction_videomambapro.models import VideoMambaPro
from mmaction_videomambapro.ops.backends import FORCE_VARIABLE
from mmaction_videomambapro.ops.cpu import conv1d_operator, scan_operator

from ..helpers import make_inputs

ARGUMENTS = ('u', 'delta', 'A', 'B', 'C', 'D', 'delta_bias')


def scan_arguments(directions, dtype=torch.float32, leave_out=(), **kwargs):
    """Tensors, and the flags by direction."""
    tensors = [None] * 15
    for i in range(directions):
        inputs = make_inputs(2, 20, 40, 4, dtype=dtype, **kwargs)
        inputs = {k: None if k in leave_out else v for k, v in inputs.items()}
        tensors[0] = inputs['z']
        tensors[1 + 7 * i : 8 + 7 * i] = [inputs[name] for name in ARGUMENTS]
    flags = [False, True][:directions]
    return tensors, (True, True, flags, flags)


@pytest.mark.parametrize(
    'arguments',
    [
        dict(directions=1),
        dict(directions=2),
        dict(directions=2, dtype=torch.bfloat16),
        dict(directions=1, groups=2, leave_out=('D', 'z', 'delta_bias')),
    ],
    ids=str,
)
def test_scan_operators(arguments):
    tensors, flags = scan_arguments(**arguments)
    y, ungated, states = scan_operator.scan(*tensors, *flags, True)
    torch.library.opcheck(scan_operator.scan.op, (*tensors, *flags, False))
    torch.library.opcheck(
        scan_operator.backward.op,
        (torch.randn_like(y), *tensors, ungated, states, *flags),
    )
    for x in tensors:
        if x is not None:
            x.requires_grad_()
    torch.library.opcheck(scan_operator.scan.op, (*tensors, *flags, True))


@pytest.mark.parametrize('bias', [False, True])
def test_convolution_operators(bias):
    x, weight = torch.randn(2, 9, 20).mT, torch.randn(20, 4)
    arguments = x, weight, torch.randn(20) if bias else None, True, True
    torch.library.opcheck(
        conv1d_operator.backward.op, (torch.randn_like(x), *arguments)
    )
    x.requires_grad_()
    torch.library.opcheck(conv1d_operator.conv1d.op, arguments)


@pytest.fixture
def backbone():
    net = VideoMambaPro(
        arch=dict(embed_dims=16, depth=2),
        img_size=16,
        num_frames=2,
        drop_path_rate=0,
        out_type='avg_featmap',
    )
    net.init_weights()
    return net


def clip(batch=2):
    return torch.randn(batch, 3, 2, 16, 16)


def test_compiled_backbone_has_no_graph_break(backbone):
    compiled = torch.compile(backbone, fullgraph=True, backend='aot_eager')
    for x in (clip(2), clip(3)):
        results = []
        for net in (compiled, backbone):
            backbone.zero_grad()
            y = net(x)
            y.square().sum().backward()
            results.append([y, *(p.grad.clone() for p in backbone.parameters())])
        for found, expected in zip(*results):
            torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('backend', ['llvm', 'triton'])
def test_exported_backbone_takes_other_batches(backbone, backend, monkeypatch):
    monkeypatch.setenv(FORCE_VARIABLE, backend)
    batch = torch.export.Dim('batch', min=1, max=8)
    program = torch.export.export(
        backbone.eval(), (clip(),), dynamic_shapes={'x': {0: batch}}
    )
    x = clip(3)
    torch.testing.assert_close(program.module()(x), backbone(x))


@pytest.mark.parametrize('transform', [torch.func.vmap, torch.func.grad])
def test_transforms_are_refused_with_a_way_out(transform):
    inputs = make_inputs(1, 4, 11, 3)
    u = inputs.pop('u')

    def scan(u):
        return scan_operator.run(u.view(1, 4, 11), **inputs).sum()

    with pytest.raises(NotImplementedError, match='SCAN=naive'):
        transform(scan)(u)


def test_second_derivative_is_refused():
    inputs = make_inputs(1, 4, 11, 3)
    u = inputs['u'].requires_grad_()
    (grad,) = torch.autograd.grad(
        scan_operator.run(**inputs).square().sum(), u, create_graph=True
    )
    with pytest.raises(RuntimeError, match='for second derivatives set'):
        grad.sum().backward()


def test_whoever_watches_operators_sees_them():
    inputs = make_inputs(1, 4, 11, 3)
    traced = make_fx(lambda u: scan_operator.run(**{**inputs, 'u': u}))(inputs['u'])
    assert 'mmaction_videomambapro.selective_scan_llvm' in traced.code


@pytest.mark.parametrize('gradients', [False, True])
def test_traced_backbone(gradients, tmp_path):
    """By torch.jit, as counters of operations do; what is saved runs and trains."""
    net = VideoMambaPro(
        arch=dict(embed_dims=16, depth=2), img_size=16, num_frames=2, drop_path_rate=0
    )
    clip, other = torch.randn(2, 1, 3, 2, 16, 16)
    with torch.set_grad_enabled(gradients):
        traced = torch.jit.trace(net, clip)
    torch.jit.save(traced, tmp_path / 'traced.pt')
    loaded = torch.jit.load(tmp_path / 'traced.pt')
    expected, found = net(other), loaded(other)
    torch.testing.assert_close(found, expected)
    expected.sum().backward()
    found.sum().backward()
    for (name, p), q in zip(net.named_parameters(), loaded.parameters()):
        torch.testing.assert_close(q.grad, p.grad, msg=name)


def test_operations_are_counted_by_mmengine():
    from mmengine.analysis import get_model_complexity_info

    net = VideoMambaPro(arch=dict(embed_dims=16, depth=1), img_size=16, num_frames=2)
    found = get_model_complexity_info(net, (3, 2, 16, 16))
    assert found['params'] == sum(p.numel() for p in net.parameters())
    assert found['flops'] > 2 * 768 * 16  # of the patch embedding alone


def test_profiles_show_the_operators():
    net = VideoMambaPro(arch=dict(embed_dims=16, depth=1), img_size=16, num_frames=2)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as p:
        net(torch.randn(1, 3, 2, 16, 16)).sum().backward()
    spent = {event.key: event.self_cpu_time_total for event in p.key_averages()}
    for name in ('selective_scan_llvm', 'causal_conv1d_llvm'):
        assert spent[f'mmaction_videomambapro::{name}'] > 0
        assert spent[f'mmaction_videomambapro::{name}_backward'] > 0
