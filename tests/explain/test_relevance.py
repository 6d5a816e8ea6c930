"""Relevance adds up to the score, is that of dense matrices, and changes no model."""

from copy import deepcopy

import pytest
import torch
from mmaction.registry import MODELS
from torch import nn
from torch.nn import functional as F

from mmaction_videomambapro.errors import UsageError
from mmaction_videomambapro.explain.freezing import twin_of
from mmaction_videomambapro.explain.relevance import METHODS, relevance, shares
from mmaction_videomambapro.models.layers import MambaBlock
from mmaction_videomambapro.ops.backends import FORCE_VARIABLE

C, CLASSES = 12, 5
HEAD = dict(type='TimeSformerHead', num_classes=CLASSES, in_channels=C)
MAMBA = dict(
    type='VideoMambaPro',
    arch=dict(embed_dims=C, depth=2),
    img_size=16,
    patch_size=8,
    tubelet_size=2,
    num_frames=4,
    ssm_cfg=dict(d_state=4),
    weight_init='mamba',
    out_type='avg_featmap',
)
VIT = dict(
    type='VisionTransformer',
    img_size=16,
    patch_size=8,
    embed_dims=C,
    depth=2,
    num_heads=2,
    num_frames=4,
)
ATTENTIVE = dict(HEAD, type='AttentiveHead', num_heads=2, depth=2, num_clips=2)

pytestmark = pytest.mark.usefixtures('scope')


def build(backbone=MAMBA, head=HEAD, **options):
    """A recognizer none of whose parameters is 0 or 1."""
    model = MODELS.build(
        dict(type='Recognizer3D', backbone={**backbone, **options}, cls_head=head)
    )
    model.init_weights()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model.eval()


def clips(count=2, height=16):
    return torch.randn(count, 3, 4, height, 16)


@pytest.mark.parametrize(
    ('backbone', 'head', 'options'),
    [
        (MAMBA, HEAD, dict()),
        (MAMBA, HEAD, dict(type='VideoMamba', out_type='cls_token')),
        (MAMBA, HEAD, dict(scan_input='raw', pos_embed='sincos3d')),
        (MAMBA, HEAD, dict(bimamba='shared', masked=False, with_cls_token=False)),
        (MAMBA, HEAD, dict(bimamba='none', residual=False, with_cp=True)),
        (MAMBA, HEAD, dict(with_cp='selection')),
        (MAMBA, HEAD, dict(scan_order='temporal_spatial', cls_position='middle')),
        (MAMBA, HEAD, dict(scan_order='spatiotemporal_v1', bimamba='shared')),
        (MAMBA, HEAD, dict(scan_order='spatiotemporal_v2', cls_position='last')),
        (MAMBA, ATTENTIVE, dict(out_type='raw')),
        (VIT, HEAD, dict()),
        (VIT, HEAD, dict(use_mean_pooling=False, init_values=0.5, qkv_bias=False)),
    ],
)
def test_shares_add_up_to_the_score(backbone, head, options):
    model, x = build(backbone, head, **options), clips()
    share = shares(model, x)
    scores = model.cls_head(model.backbone(x))
    assert share['score'] == pytest.approx(scores.amax(1).sum().item(), rel=1e-4)
    parts = sum(value for name, value in share.items() if name != 'score')
    assert parts == pytest.approx(share['score'], rel=1e-3)
    relevances = relevance(model, x)
    assert relevances.shape == (2, 2, 2, 2)
    assert relevances.sum().item() == pytest.approx(share['patches'], abs=1e-5)


def selection(mixer, x, suffix):
    """Convolution (Di, L, L) and its output, steps, A, B and C of a scan, by hand."""
    own = suffix if mixer.bimamba == 'separate' else ''
    conv1d, x_proj, dt_proj = (
        getattr(mixer, name + own) for name in ('conv1d', 'x_proj', 'dt_proj')
    )
    taps = conv1d.weight[:, 0]
    order = torch.arange(x.shape[1])
    lag = order[:, None] - order
    inside = (lag >= 0) & (lag < taps.shape[1])
    conv = taps[:, (taps.shape[1] - 1 - lag).clamp(0, taps.shape[1] - 1)] * inside
    c = torch.einsum('dij,dj->di', conv, x) + conv1d.bias[:, None]
    sizes = [mixer.dt_rank, mixer.d_state, mixer.d_state]
    dt, B, C = x_proj(F.silu(c).T).split(sizes, dim=1)
    A = -getattr(mixer, 'A_b_log' if suffix else 'A_log').exp()
    return conv, c, F.softplus(dt_proj(dt)).T, A, B, C


def matrices(mixer, x, sizes=False):
    """Both directions: scan after SiLU after convolution (Di, L, L), and its output."""
    total = y = 0
    for suffix in ('', '_b'):
        backward = bool(suffix)
        ordered = x.flip(1) if backward else x
        conv, c, delta, A, B, C = selection(mixer, ordered, suffix)
        D = getattr(mixer, f'D{suffix}')
        if sizes:
            conv, B, C, D = conv.abs(), B.abs(), C.abs(), D.abs()
        scan = torch.zeros_like(conv)
        for i in range(x.shape[1]):
            for j in range(i + 1):
                decay = (A * delta[:, j + 1 : i + 1].sum(1)[:, None]).exp()
                weight = delta[:, j, None] * B[j] * (not (backward and i == j))
                if j == 0 and not (backward and i == 0):
                    weight = weight + (A * delta[:, :1]).exp()
                scan[:, i, j] = (C[i] * decay * weight).sum(1)
        scan += torch.diag_embed(D[:, None].expand(-1, x.shape[1]))
        whole = scan * c.sigmoid()[:, None] @ conv
        total = total + (whole.flip(1, 2) if backward else whole)
        out = torch.einsum('dij,dj->di', scan, F.silu(c))
        y = y + (out.flip(1) if backward else out)
    return total, y


def dense(model, clip):
    """Rows of the head over the inputs of layer 0 (CLASSES, L, C), and of rollout."""
    backbone = model.backbone
    content = F.conv3d(
        clip - clip.mean((2, 3, 4), keepdim=True),
        backbone.patch_embed.proj.weight,
        stride=backbone.patch_shape,
    )
    content = content.flatten(2).mT[0]
    tokens = []
    handle = backbone.layers[0].register_forward_pre_hook(
        lambda _, args: tokens.append(args[0][0])
    )
    backbone(clip)
    handle.remove()
    x = tokens[0]
    length = len(x)
    whole = torch.eye(length * C, dtype=x.dtype).view(length, C, length, C)
    mixing = identity = torch.eye(length, dtype=x.dtype)
    for block in backbone.layers:
        mixer = block.mixer
        scale = (x.square().mean(1) + block.norm.eps).rsqrt()
        to_x, to_z = (w * block.norm.weight for w in mixer.in_proj.weight.chunk(2))
        hidden = x * scale[:, None]
        inner, z = to_x @ hidden.T, to_z @ hidden.T
        S, y = matrices(mixer, inner)
        out = mixer.out_proj.weight
        left = torch.einsum('od,di,dij,dc,j->iojc', out, F.silu(z), S, to_x, scale)
        right = torch.einsum('od,di,di,dc,i->ioc', out, y, z.sigmoid(), to_z, scale)
        step = (left + torch.einsum('ioc,ij->iojc', right, identity)) / 2
        whole = whole + torch.einsum('iojc,jckd->iokd', step, whole)
        sizes = (F.silu(z).abs()[..., None] * matrices(mixer, inner, True)[0]).mean(0)
        mixing = (mixing + sizes / sizes.sum(1, keepdim=True) @ mixing) / 2
        x = block(x[None])[0]
    scale = (x.square().mean(1) + backbone.norm_f.eps).rsqrt()
    to_scores = model.cls_head.fc_cls.weight * backbone.norm_f.weight
    rows = torch.einsum('kc,i,icjd->ikjd', to_scores, scale, whole)[1:].mean(0)
    return (rows[:, 1:] * content).sum(2), mixing[1:, 1:].mean(0)


def test_maps_are_those_of_dense_matrices():
    model, x = build(arch=dict(embed_dims=C, depth=3)).double(), clips(1).double()
    with torch.no_grad():
        expected, mixed = dense(model, x)
    for target in range(CLASSES):
        found = relevance(model, x, target).flatten()
        torch.testing.assert_close(found, expected[target], rtol=1e-9, atol=1e-12)
    found = relevance(model, x, method='rollout').flatten()
    torch.testing.assert_close(found, mixed, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('backend', ['chunked', 'naive'])
def test_every_backend_gives_the_same(backend, monkeypatch):
    model, x = build(arch=dict(embed_dims=C, depth=1)), clips(1)
    methods = ('lrp', 'rollout')
    expected = [relevance(model, x, method=method) for method in methods]
    monkeypatch.setenv(FORCE_VARIABLE, backend)
    for method, values in zip(methods, expected):
        found = relevance(model, x, method=method)
        torch.testing.assert_close(found, values, rtol=1e-3, atol=1e-5)


def test_gradient_is_that_of_the_model():
    model, x = build(), clips(height=20)  # of which the last 4 rows are in no patch
    leaf = x.clone().requires_grad_()
    scores = model.cls_head(model.backbone(leaf))
    (gradient,) = torch.autograd.grad(scores[0, 3] + scores[1, 1], leaf)
    details = x - x.mean((2, 3, 4), keepdim=True)
    product = (details * gradient)[:, :, :, :16].sum(1)
    expected = product.unflatten(3, (2, 8)).unflatten(2, (2, 8)).unflatten(1, (2, 2))
    found = relevance(model, x, [3, 1], method='gradient')
    torch.testing.assert_close(found, expected.sum((2, 4, 6)), rtol=1e-3, atol=1e-6)


def test_a_clip_of_one_colour_has_nothing_to_see():
    model, x = build(), torch.ones(1, 3, 4, 16, 16)
    x[:, 1] = -2
    for method in ('lrp', 'gradient'):
        assert relevance(model, x, 0, method).abs().max() < 1e-6


def test_gradcam_weighs_channels_of_one_layer():
    model, x = build(), clips()
    tokens = []
    model.backbone.layers[1].register_forward_pre_hook(
        lambda _, args: tokens.append(args[0])
    )
    scores = model.cls_head(model.backbone(x))
    (gradient,) = torch.autograd.grad(scores[:, 2].sum(), tokens)
    weights = gradient[:, 1:].mean(1)
    expected = torch.einsum('nlc,nc->nl', tokens[0][:, 1:], weights).relu()
    found = relevance(model, x, 2, 'gradcam')
    torch.testing.assert_close(found.flatten(1), expected, rtol=1e-3, atol=1e-6)
    first = relevance(model, x, 2, 'gradcam', layer=0)
    assert not torch.allclose(found, first)


def test_a_layer_has_shares_of_its_own():
    model, x = build(pos_embed='sincos3d', with_cls_token=False), clips()
    pixels, tokens = relevance(model, x, 1), relevance(model, x, 1, layer=0)
    share = shares(model, x, 1)
    assert tokens.sum().item() == pytest.approx(
        share['patches'] + share['colour'] + share['embeddings'], abs=1e-5
    )
    assert not torch.allclose(pixels, tokens)


TEMPORAL = [0, 1, 5, 2, 6, 3, 7, 4, 8]  # a class token, two frames of 2 x 2 patches


class TemporalBlock(MambaBlock):
    """Scans in another order, which nobody outside sees."""

    def forward(self, x, temporal=None):
        y = super().forward(x[:, TEMPORAL], temporal)
        return torch.stack([y[:, TEMPORAL.index(i)] for i in range(9)], 1)


@pytest.mark.parametrize('method', ['lrp', 'gradient', 'gradcam'])
def test_maps_are_in_raster_order_whatever_is_scanned(method):
    model, x = build(scan_order='spatial_temporal'), clips()
    same = build()
    same.load_state_dict(model.state_dict())
    same.backbone.layers[1].__class__ = TemporalBlock
    for layer in (0, 1):
        expected = relevance(same, x, 1, method, layer)
        found = relevance(model, x, 1, method, layer)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


def test_rollout_follows_the_order_of_each_layer(monkeypatch):
    model, x = build(scan_order='temporal_first'), clips()
    same = build()
    same.load_state_dict(model.state_dict())
    embed = type(same.backbone)._embed
    for layer in (0, 1):
        found = relevance(model, x, method='rollout', layer=layer).flatten(1)
        with monkeypatch.context() as patch:
            patch.setattr(
                type(same.backbone), '_embed', lambda *x: embed(*x)[:, TEMPORAL]
            )
            walked = relevance(same, x, method='rollout', layer=layer).flatten(1)
        expected = torch.empty_like(walked)
        expected[:, [i - 1 for i in TEMPORAL[1:]]] = walked
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)
        assert not torch.allclose(walked, expected)


@pytest.mark.parametrize('bimamba', ['separate', 'shared', 'none'])
@pytest.mark.parametrize('version', ['v1', 'v2'])
def test_rollout_of_two_orders(version, bimamba):
    options = dict(scan_order=f'spatiotemporal_{version}', bimamba=bimamba)
    model, x = build(**options, with_cls_token=False), clips()
    total = relevance(model, x, method='rollout').sum((1, 2, 3))
    torch.testing.assert_close(total, torch.ones(2))
    # one frame has one order, and twice the same weights are the same shares
    x, same = x[:, :, :2], build(bimamba=bimamba, with_cls_token=False)
    same.load_state_dict(model.state_dict())
    if version == 'v2':
        for block in same.backbone.layers:
            block.mixer.out_proj.weight.data *= 2
    expected = relevance(same, x, method='rollout')
    found = relevance(model, x, method='rollout')
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


def test_rollout_of_attention_is_a_product_of_its_weights():
    model, x = build(VIT, use_mean_pooling=False), clips(1)
    weights = []
    for block in model.backbone.blocks:
        block.attn.attn_drop.register_forward_hook(
            lambda _, args, out: weights.append(out[0].mean(0))
        )
    with torch.no_grad():
        model.backbone(x)
    identity = torch.eye(len(weights[0]))
    first, second = ((weight + identity) / 2 for weight in weights)
    found = relevance(model, x, method='rollout').flatten()
    torch.testing.assert_close(found, (second @ first)[0], rtol=1e-4, atol=1e-6)


def test_random_depends_on_its_seed_alone():
    model, x = build(), clips()
    maps = [relevance(model, x, method='random', seed=seed) for seed in (0, 0, 1)]
    torch.manual_seed(5)
    assert torch.equal(maps[0], relevance(model, x, method='random'))
    assert torch.equal(maps[0], maps[1])
    assert not torch.equal(maps[0], maps[2])


@pytest.mark.parametrize('method', METHODS)
def test_the_model_is_left_alone(method):
    head = dict(HEAD, dropout_ratio=0.5)
    model = build(head=head, drop_rate=0.5, drop_path_rate=0.5, frozen_stages=1)
    x = clips()
    expected = relevance(model, x, method=method)
    model.train()
    before, state = deepcopy(vars(model.backbone)), deepcopy(model.state_dict())
    flags = [p.requires_grad for p in model.parameters()]
    kinds, modes = zip(*((type(m), m.training) for m in model.modules()))
    numbers = torch.get_rng_state()
    with torch.inference_mode(), torch.autocast('cpu', torch.bfloat16):
        found = relevance(model, x.clone(), method=method)
    torch.testing.assert_close(found, expected)
    assert torch.equal(torch.get_rng_state(), numbers)
    assert flags == [p.requires_grad for p in model.parameters()]
    assert all(p.grad is None for p in model.parameters())
    assert (kinds, modes) == tuple(
        zip(*((type(m), m.training) for m in model.modules()))
    )
    assert not any(m._forward_pre_hooks for m in model.modules())
    assert vars(model.backbone).keys() == before.keys()
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert not x.requires_grad


def test_layers_that_are_shared_stay_shared():
    layer = nn.Linear(3, 3)
    twin = twin_of(nn.Sequential(layer, nn.ReLU(), layer), frozen=True)
    assert twin[0] is twin[2]
    assert twin[0].weight.data_ptr() == layer.weight.data_ptr()


@pytest.mark.parametrize(
    ('arguments', 'reason'),
    [
        (dict(method='lpr'), "method is 'lpr', but must be one of"),
        (dict(layer=2), 'layer is 2, but the model has layers 0 to 1'),
        (dict(target=5), 'target is 5, but must be classes, 0 to 4'),
        (dict(target=[0, 1, 2]), '3 classes, but there are 2 scores'),
        (dict(target=0.5), 'must be classes'),
        (dict(inputs=torch.zeros(2, 3, 4, 4, 16)), 'smaller than one patch'),
        (dict(inputs=torch.zeros(2, 1, 3, 4, 16, 16)), 'must be clips'),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, reason):
    with pytest.raises(UsageError, match=reason):
        relevance(build(), **{'inputs': clips(), **arguments})


def test_models_that_cannot_be_explained_are_refused():
    x, model = clips(), build()
    with pytest.raises(UsageError, match='not Linear'):
        relevance(nn.Linear(3, 3), x)
    model.backbone.layers[1].drop_path = nn.SiLU()
    with pytest.raises(UsageError, match='the layer SiLU'):
        relevance(model, x)
    assert relevance(model, x, method='gradient').shape == (2, 2, 2, 2)
    model.cls_head = nn.Identity()
    with pytest.raises(UsageError, match='not Identity'):
        relevance(model, x)
    model = build()
    model.neck = nn.Identity()
    with pytest.raises(UsageError, match='with a neck'):
        relevance(model, x)
