"""Scan orders of a whole backbone: what is scanned is put together by hand."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmaction_videomambapro.models import VideoMamba, VideoMambaPro
from tests.ops.helpers import relative_error

SMALL = dict(
    arch=dict(embed_dims=16, depth=4), img_size=(16, 24), patch_size=8, num_frames=2,
    ssm_cfg=dict(d_state=4), drop_path_rate=0.0, weight_init='mamba',
)  # fmt: skip
# layer by layer: (s)patial- or (t)emporal-first, or (b)oth
LAYERS = {
    'spatial_first': 'ssss',
    'temporal_first': 'tttt',
    'spatial_temporal': 'sstt',
    'temporal_spatial': 'ttss',
    'alternating': 'stst',
    'spatiotemporal_v1': 'bbbb',
    'spatiotemporal_v2': 'bbbb',
}
TWICE = 'spatiotemporal_v2'


def make(kind=VideoMambaPro, **arguments):
    """A network of fixed weights, none of which is 0 or 1."""
    torch.manual_seed(0)
    net = kind(**{**SMALL, **arguments}).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return net


def clip(frames=2, height=16, width=24, batch=2):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, frames, height, width, generator=generator)


def walked(patches, grid, order, cls_position):
    """Which tokens a sample's scan visits in turn; the class token is number 0."""
    frames, places = grid[0], grid[1] * grid[2]
    if order == 't':
        wanted = [t * places + s for s in range(places) for t in range(frames)]
        tokens = [patches.index(p) + 1 for p in wanted if p in patches]
    else:
        tokens = list(range(1, len(patches) + 1))
    if cls_position is None:
        return [token - 1 for token in tokens]
    at = dict(first=0, middle=len(patches) // 2, last=len(patches))[cls_position]
    return [*tokens[:at], 0, *tokens[at:]]


def by_hand(net, x, layers, cls_position, keep=None):
    """All tokens, one sample at a time, from the layers alone."""
    grid = tuple(n // p for n, p in zip(x.shape[2:], net.patch_shape))
    count = grid[0] * grid[1] * grid[2]
    outputs = []
    for b in range(len(x)):
        patches = list(range(count)) if keep is None else keep[b].tolist()
        own = None if keep is None else keep[b : b + 1]
        embedded = net.patch_embed(x[b : b + 1]).flatten(2).mT
        tokens = net._embed(embedded, grid, own)
        for layer, order in zip(net.layers, layers):
            sequence = walked(patches, grid, order, cls_position)
            if order == 'b':
                later = walked(patches, grid, 't', cls_position)
                second = torch.tensor([sequence.index(i) for i in later])
                y = layer(tokens[:, sequence], second)
            else:
                y = layer(tokens[:, sequence])
            tokens = torch.stack([y[:, sequence.index(i)] for i in sorted(sequence)], 1)
        outputs.append(net.norm_f(tokens))
    return torch.cat(outputs)


@pytest.mark.parametrize('scan_order', LAYERS)
@pytest.mark.parametrize('cls_position', [None, 'first', 'middle', 'last'])
def test_layers_scan_what_they_should(scan_order, cls_position):
    net = make(
        scan_order=scan_order, cls_position=cls_position or 'first',
        with_cls_token=cls_position is not None, out_type='raw',
    )  # fmt: skip
    layers = LAYERS[scan_order]
    x = clip()
    expected = by_hand(net, x, layers, cls_position)
    torch.testing.assert_close(net(x), expected)
    # another size and length
    x = clip(frames=3, height=8, width=32)
    torch.testing.assert_close(net(x), by_hand(net, x, layers, cls_position))
    # each sample sees patches of its own
    keep = torch.tensor([[0, 2, 5, 6, 11], [1, 4, 7, 8, 10]])
    expected = by_hand(net, clip(), layers, cls_position, keep)
    torch.testing.assert_close(net(clip(), keep), expected)


def test_indices_in_any_order():
    """Temporal-first is temporal-first; outputs follow the indices."""
    net = make(scan_order='temporal_first', out_type='raw', with_cls_token=False)
    keep = torch.tensor([[0, 2, 5, 6, 11], [1, 4, 7, 8, 10]])
    shuffled = [3, 0, 4, 1, 2]
    out = net(clip(), keep)
    torch.testing.assert_close(net(clip(), keep[:, shuffled]), out[:, shuffled])


def test_the_default_is_what_it_was():
    net = make(out_type='raw')
    assert (net.scan_order, net.cls_position) == ('spatial_first', 'first')
    assert net.sequences((2, 2, 3)) == [None] * 4
    tokens = net._embed(net.patch_embed(clip()).flatten(2).mT, (2, 2, 3), None)
    for layer in net.layers:
        tokens = layer(tokens)
    assert torch.equal(net(clip()), net.norm_f(tokens))


class Copies(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten.index_select.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        (dict(), 0),
        (dict(scan_order='temporal_first'), 2),
        (dict(cls_position='last'), 2),
        (dict(scan_order='spatial_temporal'), 2),
        (dict(scan_order='spatial_temporal', cls_position='middle'), 3),
        (dict(scan_order='temporal_spatial'), 2),
        (dict(scan_order='alternating'), 4),
        (dict(scan_order='spatiotemporal_v2'), 8),  # there and back in every layer
    ],
)
def test_tokens_move_only_where_the_order_changes(changes, expected):
    net = make(**changes)
    with torch.no_grad(), Copies() as copies:
        net(clip())
    assert copies.count == expected


@pytest.mark.parametrize('scan_order', LAYERS)
def test_checkpoints_are_the_same(scan_order):
    plain, other = make(), make(scan_order=scan_order, cls_position='middle')
    other.load_state_dict(plain.state_dict(), strict=True)
    if scan_order != 'spatial_first':
        other.cls_position = 'first'
        assert relative_error(other(clip()), plain(clip())) > 1e-4


@pytest.mark.parametrize('scan_order', LAYERS)
def test_out_types_agree(scan_order):
    net = make(scan_order=scan_order, cls_position='middle', out_type='raw')
    raw = net(clip())
    outputs = {}
    for net.out_type in ('cls_token', 'avg_featmap', 'featmap'):
        outputs[net.out_type] = net(clip())
    torch.testing.assert_close(outputs['cls_token'], raw[:, 0])
    torch.testing.assert_close(outputs['avg_featmap'], raw[:, 1:].mean(1))
    assert outputs['featmap'].shape == (2, 16, 2, 2, 3)
    torch.testing.assert_close(outputs['featmap'].flatten(2).mT, raw[:, 1:])


@pytest.mark.parametrize('bimamba', ['separate', 'shared', 'none'])
@pytest.mark.parametrize('kind', [VideoMamba, VideoMambaPro])
def test_one_frame_has_one_order(kind, bimamba):
    """So everything is as by default, but for what is scanned twice."""
    options = dict(bimamba=bimamba, tubelet_size=2)
    expected = make(kind, **options)(clip())
    for scan_order in LAYERS:
        net = make(kind, scan_order=scan_order, **options)
        if scan_order == TWICE:
            for layer in net.layers:
                layer.mixer.out_proj.weight.data /= 2
        torch.testing.assert_close(net(clip()), expected)


@pytest.mark.parametrize('scan_order', ['alternating', 'spatiotemporal_v1', TWICE])
@pytest.mark.parametrize('keep', [None, torch.tensor([[0, 2, 5, 6], [1, 4, 7, 10]])])
def test_gradients_with_and_without_checkpointing(scan_order, keep):
    results = []
    for options in (dict(), dict(with_cp=True)):
        net = make(scan_order=scan_order, cls_position='middle', out_type='raw',
                   **options)  # fmt: skip
        x = clip().requires_grad_()
        out = net(x, keep)
        out.square().sum().backward()
        results.append([out, x.grad, *(p.grad for p in net.parameters())])
    for plain, recomputed in zip(*results):
        torch.testing.assert_close(plain, recomputed)
    # a derivative along the gradient itself; the paths back are permutations too
    grad, step = results[0][1], 1e-4
    net, x = net.double(), clip().double()
    ends = (net(x + s * step * grad, keep).square().sum() for s in (1, -1))
    plus, minus = (end.item() for end in ends)
    slope = (plus - minus) / (2 * step)
    assert slope == pytest.approx(grad.square().sum().item(), rel=1e-3)


@pytest.mark.parametrize('scan_order', ['temporal_first', 'spatiotemporal_v1', TWICE])
def test_autocast_keeps_the_residual_stream_in_float32(scan_order):
    net = make(scan_order=scan_order, cls_position='last')
    seen = []
    for layer in net.layers:
        layer.register_forward_hook(lambda _, __, out: seen.append(out.dtype))
    with torch.autocast('cpu', torch.bfloat16):
        out = net(clip())
    assert set(seen) == {torch.float32}
    assert relative_error(out.float(), net(clip())) < 0.05
    out.float().sum().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(scan_order='zigzag'), "scan_order must be one of .*'zigzag'"),
        (dict(cls_position='end'), "cls_position must be one of .*'end'"),
        (
            dict(cls_position='last', with_cls_token=False, out_type='raw'),
            "cls_position='last' needs with_cls_token=True",
        ),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        VideoMamba(**{**SMALL, **arguments})
