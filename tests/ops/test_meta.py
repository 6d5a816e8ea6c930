"""On the meta device everything has the shape that it has elsewhere."""

import pytest
import torch

from mmaction_videomambapro.models import VideoMambaPro
from mmaction_videomambapro.ops import ScanInputs, bidirectional_scan, selective_scan
from mmaction_videomambapro.ops.backends import META_SCAN

from .helpers import make_inputs, run_with_gradients


def look(x):
    return x.shape, x.dtype, x.stride()


@pytest.mark.parametrize('groups', [None, 2])
def test_scan_and_its_gradients(groups):
    inputs = make_inputs(2, 4, 9, 3, groups, torch.float32)
    weight = torch.ones_like(inputs['u'])
    expected = run_with_gradients(selective_scan, inputs, weight, masked=True)
    meta = {k: v.to('meta') for k, v in inputs.items()}
    found = run_with_gradients(selective_scan, meta, weight.to('meta'), masked=True)
    for name, x in expected.items():
        assert found[name].device.type == 'meta'
        assert look(found[name]) == look(x), name


def test_both_directions_in_low_precision():
    inputs = make_inputs(2, 4, 9, 3, dtype=torch.bfloat16)
    inputs['A'] = inputs['A'].float()
    z = inputs.pop('z')
    names = ScanInputs._fields
    expected = ScanInputs(*(inputs[k] for k in names))
    meta = ScanInputs(*(inputs[k].to('meta') for k in names))
    expected = bidirectional_scan(expected, expected, z, True, residual=True)
    found = bidirectional_scan(meta, meta, z.to('meta'), True, residual=True)
    assert look(found) == look(expected)


def test_operator_does_what_pytorch_asks():
    inputs = {k: v.to('meta') for k, v in make_inputs(2, 4, 9, 3).items()}
    arguments = [inputs[k].requires_grad_() for k in ('z', *ScanInputs._fields)]
    flags = True, True, [False], [False], True
    torch.library.opcheck(
        META_SCAN.scan.op,
        (*arguments, *[None] * 7, *flags),
        test_utils=('test_schema', 'test_autograd_registration'),
    )


@pytest.mark.parametrize('forced', [None, 'naive'])
def test_backbone_trains_without_numbers(forced, monkeypatch):
    if forced:
        monkeypatch.setenv('MMACTION_VIDEOMAMBAPRO_SCAN', forced)
    with torch.device('meta'):
        model = VideoMambaPro(arch=dict(embed_dims=16, depth=2), out_type='featmap')
    out = model(torch.empty(2, 3, 4, 64, 48, device='meta'))
    assert out.shape == (2, 16, 4, 4, 3)
    out.sum().backward()
    for name, p in model.named_parameters():
        assert p.grad is None or p.grad.shape == p.shape, name
    assert model.layers[0].mixer.A_b_log.grad is not None
