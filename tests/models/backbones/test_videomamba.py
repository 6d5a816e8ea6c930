import logging

import pytest
import torch
from mmaction.registry import MODELS
from torch import nn

from mmaction_videomambapro.models import VideoMamba, VideoMambaPro
from mmaction_videomambapro.models.layers.position import sincos_pos_embed
from tests.ops.helpers import relative_error

pytestmark = pytest.mark.base

SMALL = dict(
    arch=dict(embed_dims=24, depth=3), img_size=32, num_frames=4, drop_path_rate=0.0
)
GOLDEN = {
    'videomamba_official': dict(bimamba='separate', scan_input='conv'),
    'videomambapro_paper_v2': dict(
        bimamba='separate', scan_input='conv', residual=True, masked=True
    ),
    'videomambapro_paper_v1': dict(
        bimamba='shared', scan_input='conv', residual=True, masked=True
    ),
    'videomambapro_released_v1': dict(
        bimamba='shared', scan_input='raw', residual=True, masked=True
    ),
    'videomambapro_released_v2': dict(
        bimamba='separate', scan_input='raw', residual=True
    ),
}


def clip(frames=4, height=32, width=32, batch=2):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, 3, frames, height, width, generator=generator)


def randomised(net):
    """Make every parameter matter: no zeros, no symmetries."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return net


@pytest.mark.parametrize('name', GOLDEN)
def test_golden(golden, name):
    data = golden(name)
    meta, state_dict = data['meta'], data['state_dict']
    net = VideoMamba(
        arch=dict(embed_dims=meta['embed_dim'], depth=meta['depth']),
        img_size=meta['img_size'],
        patch_size=meta['patch_size'],
        tubelet_size=meta['kernel_size'],
        num_frames=meta['num_frames'],
        drop_path_rate=0.0,
        **GOLDEN[name],
    )
    head = nn.Linear(meta['embed_dim'], meta['num_classes'])
    model = nn.ModuleDict(dict(net=net, head=head))
    renamed = {
        k if k.startswith('head.') else f'net.{k}': v for k, v in state_dict.items()
    }
    model.load_state_dict(renamed, strict=True)

    features = net(data['input'])
    logits = head(features)
    (logits * data['weight']).sum().backward()
    assert relative_error(features, data['features']) <= 1e-5
    assert relative_error(logits, data['logits']) <= 1e-5
    grads = {k.removeprefix('net.'): p.grad for k, p in model.named_parameters()}
    assert set(grads) == set(data['grads'])
    for key, grad in data['grads'].items():
        assert relative_error(grads[key], grad) <= 3e-5, key


@pytest.mark.parametrize(
    ('arch', 'bimamba', 'parameters'),
    [
        # with a head of 400 classes, 8 frames (computed from the published code)
        ('tiny', 'separate', 7_033_744),
        ('small', 'separate', 25_568_656),
        ('middle', 'separate', 73_875_856),
        ('tiny', 'shared', 6_453_136),
        ('small', 'shared', 23_965_072),
        ('middle', 'shared', 69_783_952),
    ],
)
def test_parameter_counts(arch, bimamba, parameters):
    with torch.device('meta'):
        net = VideoMamba(arch, bimamba=bimamba)  # nothing is allocated
    count = sum(p.numel() for p in net.parameters())
    assert count + 400 * (net.embed_dims + 1) == parameters


def test_pro_is_videomamba_with_residual_and_mask():
    for pro, defaults in ((VideoMambaPro, True), (VideoMamba, False)):
        mixer = pro(**SMALL).layers[0].mixer
        assert (mixer.residual, mixer.masked) == (defaults, defaults)
    net, plain = VideoMambaPro(**SMALL), VideoMamba(**SMALL)
    plain.load_state_dict(net.state_dict(), strict=True)
    randomised(net), randomised(plain)
    assert relative_error(net(clip()), plain(clip())) > 1e-3


@pytest.mark.parametrize('tubelet', [1, 2])
@pytest.mark.parametrize('with_cls_token', [True, False])
@pytest.mark.parametrize('pos_embed', ['learned', 'sincos3d'])
def test_out_types_agree(tubelet, with_cls_token, pos_embed):
    net = VideoMambaPro(
        **SMALL,
        tubelet_size=tubelet,
        with_cls_token=with_cls_token,
        pos_embed=pos_embed,
        out_type='raw',
    ).eval()
    randomised(net)
    x, steps = clip(), 4 // tubelet
    raw = net(x)
    assert raw.shape == (2, steps * 4 + with_cls_token, 24)
    outputs = {}
    for out_type in ('cls_token', 'avg_featmap', 'featmap'):
        net.out_type = out_type
        if out_type != 'cls_token' or with_cls_token:
            outputs[out_type] = net(x)
    patches = raw[:, with_cls_token:]
    if with_cls_token:
        torch.testing.assert_close(outputs['cls_token'], raw[:, 0])
    torch.testing.assert_close(outputs['avg_featmap'], patches.mean(1))
    assert outputs['featmap'].shape == (2, 24, steps, 2, 2)
    torch.testing.assert_close(outputs['featmap'].flatten(2).mT, patches)


@pytest.mark.parametrize('shape', [(4, 48, 32), (7, 32, 32), (1, 16, 16), (9, 40, 70)])
@pytest.mark.parametrize('pos_embed', ['learned', 'sincos3d'])
def test_other_sizes_and_lengths(shape, pos_embed):
    net = VideoMambaPro(**SMALL, out_type='featmap', pos_embed=pos_embed)
    out = randomised(net)(clip(*shape))
    assert out.shape == (2, 24, shape[0], shape[1] // 16, shape[2] // 16)
    assert out.isfinite().all()
    out.sum().backward()


@pytest.mark.parametrize('bimamba', ['separate', 'shared', 'none'])
def test_samples_do_not_see_each_other(bimamba):
    net = randomised(VideoMambaPro(**SMALL, bimamba=bimamba)).eval()
    x = clip(batch=3)
    other = x.clone()
    other[[0, 2]] = torch.randn_like(other[[0, 2]])
    torch.testing.assert_close(net(x)[1], net(other)[1])
    torch.testing.assert_close(net(x)[1:2], net(x[1:2]))


RAW = dict(out_type='raw', pos_embed='sincos3d', with_cls_token=False, tubelet_size=2)


@pytest.mark.parametrize('pro', [VideoMamba, VideoMambaPro])
@pytest.mark.parametrize('changes', [{}, dict(with_cls_token=True)])
def test_keeping_all_tokens_masks_nothing(pro, changes):
    net = randomised(pro(**{**SMALL, **RAW, **changes})).eval()
    everything = torch.arange(8).expand(2, 8)
    torch.testing.assert_close(net(clip(), everything), net(clip()))


def test_visible_tokens_depend_on_their_own_clip_and_patches_alone():
    """The gradient of what is kept, clip by clip, down to the pixels."""
    net = randomised(VideoMambaPro(**SMALL, **RAW)).eval()
    keep = torch.tensor([[0, 3, 5], [1, 2, 6], [4, 6, 7]])
    x = clip(batch=3).requires_grad_()
    out = net(x, keep)
    assert out.shape == (3, 3, 24)
    weight = torch.randn(3, 24)  # a sum over channels could cancel
    for b in range(3):
        (grad,) = torch.autograd.grad((out[b] * weight).sum(), x, retain_graph=True)
        # 2 x 2 x 2 tokens of 2 x 16 x 16 pixels
        tokens = grad.abs().unflatten(4, (2, 16)).unflatten(3, (2, 16))
        tokens = tokens.unflatten(2, (2, 2)).sum((1, 3, 5, 7)).flatten(1)
        expected = torch.zeros(3, 8, dtype=torch.bool)
        expected[b, keep[b]] = True
        assert torch.equal(tokens > 0, expected)


def test_scans_of_a_subset_start_at_its_first_token():
    """A visible subset is encoded like a clip of only these tokens."""
    net = randomised(VideoMambaPro(**SMALL, **RAW)).eval()
    keep = torch.tensor([[1, 4, 6], [0, 2, 7]])
    tokens = net.patch_embed(clip()).flatten(2).mT
    tokens = tokens + sincos_pos_embed((2, 2, 2), 24)
    x = torch.stack([tokens[b, keep[b]] for b in range(2)])
    for layer in net.layers:
        x = layer(x)
    torch.testing.assert_close(net(clip(), keep), net.norm_f(x))


@pytest.mark.parametrize(
    ('keep', 'message'),
    [
        ([torch.zeros(2, 1, dtype=torch.long)], 'int64 tensor, but got list'),
        (torch.zeros(2, 3), 'int64 tensor, but got torch.float32'),
        (torch.zeros(3, dtype=torch.long), r'B=2 and K >= 1, but have \(3,\)'),
        (torch.zeros(1, 3, dtype=torch.long), r'B=2 and K >= 1, but have \(1, 3\)'),
        (torch.zeros(2, 0, dtype=torch.long), r'B=2 and K >= 1, but have \(2, 0\)'),
        (torch.tensor([[0, 8], [1, 2]]), r'in \[0, 8\), but range from 0 to 8'),
        (torch.tensor([[0, -1], [1, 2]]), r'in \[0, 8\), but range from -1 to 2'),
    ],
)
def test_wrong_indices_are_named(keep, message):
    net = VideoMambaPro(**SMALL, **RAW)
    with pytest.raises(ValueError, match=message):
        net(clip(), keep)


def test_indices_need_tokens_as_output():
    net = VideoMambaPro(**SMALL)
    with pytest.raises(ValueError, match="need out_type='raw'"):
        net(clip(), torch.zeros(2, 3, dtype=torch.long))


def test_checkpointing_changes_memory_only():
    results = []
    for with_cp in (False, 'selection', True):
        torch.manual_seed(0)
        net = randomised(VideoMambaPro(**{**SMALL, 'drop_path_rate': 0.5},
                                       with_cp=with_cp))  # fmt: skip
        torch.manual_seed(2)
        out = net(clip())
        out.square().sum().backward()
        results.append([out, *(p.grad for p in net.parameters())])
    for x, *others in zip(*results):
        for y in others:
            torch.testing.assert_close(y, x)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast_keeps_the_residual_stream_in_float32(dtype):
    net = randomised(VideoMambaPro(**SMALL))
    seen = []
    for layer in net.layers:
        layer.register_forward_hook(lambda _, __, out: seen.append(out.dtype))
    with torch.autocast('cpu', dtype):
        out = net(clip())
    assert set(seen) == {torch.float32}
    assert relative_error(out.float(), net(clip())) < 0.05
    out.float().sum().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_double_precision_is_kept():
    net = randomised(VideoMambaPro(**SMALL))
    single = net(clip())
    double = net.double()(clip().double())
    assert double.dtype == torch.float64
    assert relative_error(single.double(), double) < 1e-5


def test_drop_path_grows_linearly_from_zero():
    net = VideoMamba(**{**SMALL, 'drop_path_rate': 0.4})
    rates = [layer.drop_path.drop_prob for layer in net.layers]
    assert rates == pytest.approx([0, 0.2, 0.4])
    net = randomised(net).eval()
    torch.testing.assert_close(net(clip()), net(clip()))
    net.train()
    assert relative_error(net(clip()), net.eval()(clip())) > 1e-4


def test_official_initialisation(caplog):
    torch.manual_seed(0)
    with caplog.at_level(logging.ERROR):
        net = VideoMamba('tiny')
        net.init_weights()
    mixer = net.layers[5].mixer
    for name in ('in_proj', 'x_proj', 'x_proj_b', 'dt_proj', 'dt_proj_b'):
        std = getattr(mixer, name).weight.std().item()
        assert std == pytest.approx(0.02, rel=0.1), name
    assert not mixer.dt_proj.bias.any()
    assert not mixer.dt_proj_b.bias.any()
    # Kaiming-uniform bound 1 / sqrt(fan in), divided by sqrt(layers)
    bound = (384 * 24) ** -0.5
    assert mixer.out_proj.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert net.pos_embed.std().item() == pytest.approx(0.02, rel=0.1)
    assert not net.cls_token.any()
    assert not net.temporal_pos_embedding.any()
    states = torch.arange(1.0, 17).expand(384, 16)
    torch.testing.assert_close(mixer.A_log.exp(), states)
    torch.testing.assert_close(mixer.A_b_log.exp(), states)
    assert (mixer.D == 1).all()
    assert (mixer.D_b == 1).all()


def test_mamba_initialisation():
    net = VideoMamba('tiny', weight_init='mamba')
    net.init_weights()
    for projection in (net.layers[5].mixer.dt_proj, net.layers[5].mixer.dt_proj_b):
        step = nn.functional.softplus(projection.bias)
        assert step.min() >= 0.99e-3
        assert step.max() <= 0.101
        assert step.log().std() > 1  # spread over the whole range
    assert net.layers[5].mixer.in_proj.weight.std() > 0.03  # PyTorch's default


def test_pretrained_init_cfg_has_the_last_word(tmp_path):
    source = randomised(VideoMamba(**SMALL))
    torch.save(dict(state_dict=source.state_dict()), tmp_path / 'source.pth')
    net = VideoMamba(
        **SMALL,
        init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'source.pth')),
    )
    net.init_weights()
    for key, value in net.state_dict().items():
        torch.testing.assert_close(value, source.state_dict()[key])


@pytest.mark.parametrize('frozen_stages', [0, 2, 3])
def test_frozen_stages(frozen_stages):
    net = VideoMambaPro(**SMALL, frozen_stages=frozen_stages).train()
    frozen = {n for n, p in net.named_parameters() if not p.requires_grad}
    depths = {
        n: net.get_layer_depth(n, prefix='')[0] for n, _ in net.named_parameters()
    }
    expected = {n for n, depth in depths.items() if depth <= frozen_stages}
    if frozen_stages == 3:
        expected.add('norm_f.weight')
    assert frozen == expected
    assert [layer.training for layer in net.layers] == [
        i >= frozen_stages for i in range(3)
    ]


def test_layer_depth_and_weight_decay():
    net = VideoMamba(**SMALL)
    depth = net.get_layer_depth
    assert depth('backbone.pos_embed') == (0, 5)
    assert depth('backbone.temporal_pos_embedding') == (0, 5)
    assert depth('backbone.patch_embed.proj.weight') == (0, 5)
    assert depth('backbone.layers.0.mixer.A_log') == (1, 5)
    assert depth('backbone.layers.2.norm.weight') == (3, 5)
    assert depth('backbone.norm_f.weight') == (4, 5)
    assert depth('cls_head.fc_cls.weight') == (4, 5)
    names = dict(net.named_parameters())
    assert net.no_weight_decay() <= set(names)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(arch='huge'), "arch must be one of .*'huge'"),
        (dict(arch=dict(depth=3)), 'arch lacks embed_dims'),
        (dict(out_type='logits'), 'out_type must be one of'),
        (dict(with_cls_token=False), 'needs with_cls_token=True'),
        (dict(bimamba='v2'), 'bimamba must be one of'),
        (dict(scan_input='x'), 'scan_input must be one of'),
        (dict(pos_embed='rope'), 'pos_embed must be one of'),
        (dict(weight_init='zeros'), 'weight_init must be one of'),
        (dict(frozen_stages=4), r'frozen_stages must be in \[-1, 3\]'),
        (dict(img_size=8), 'smaller than one patch'),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        VideoMamba(**{**SMALL, **arguments})


def test_wrong_input_is_named():
    net = VideoMamba(**SMALL)
    with pytest.raises(ValueError, match='FormatShape'):
        net(torch.zeros(2, 3, 32, 32))
    with pytest.raises(ValueError, match='smaller than one patch'):
        net(torch.zeros(2, 3, 4, 8, 32))


@pytest.mark.parametrize('name', ['VideoMamba', 'VideoMambaPro'])
def test_registered(name):
    assert MODELS.build(dict(type=name, **SMALL)).depth == 3
    assert MODELS.build(dict(type='MaskedResidualBiMamba', embed_dims=8)).d_inner == 16
