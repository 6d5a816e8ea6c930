"""Pre-training as a whole: what depends on what, and the numbers of each step."""

import pytest
import torch
from mmaction.registry import MODELS
from torch.nn import functional as F

from mmaction_videomambapro.models.layers.position import sincos_pos_embed
from mmaction_videomambapro.models.selfsup.ema import LinearEMA

VIDEOMAMBA = dict(
    type='VideoMambaPro',
    arch=dict(embed_dims=24, depth=2),
    img_size=32,
    patch_size=8,
    tubelet_size=2,
    num_frames=8,
    ssm_cfg=dict(d_state=4),
    drop_path_rate=0.5,
    pos_embed='sincos3d',
    with_cls_token=False,
    out_type='raw',
    weight_init='mamba',
)
VIT = dict(
    type='TokenVisionTransformer',
    img_size=32,
    patch_size=8,
    num_frames=8,
    embed_dims=24,
    depth=2,
    num_heads=2,
    drop_path_rate=0.5,
)
PREDICTORS = {
    'mamba': dict(
        type='JEPAMambaPredictor', embed_dims=16, depth=2, mixer_cfg=dict(d_state=4)
    ),
    'transformer': dict(
        type='JEPATransformerPredictor', embed_dims=16, depth=2, num_heads=2
    ),
}
MASKS = [
    dict(type='MultiBlock3DMask', num_blocks=3, spatial_scale=(0.25, 0.25)),
    dict(type='RandomTubeMask', ratio=0.75),
]
PAIRS = [(VIDEOMAMBA, 'mamba'), (VIT, 'transformer'), (VIDEOMAMBA, 'transformer')]

pytestmark = pytest.mark.usefixtures('scope')


def jepa(backbone=VIDEOMAMBA, predictor='mamba', order='raster', **changes):
    torch.manual_seed(0)
    config = dict(
        type='VideoJEPA',
        backbone=backbone,
        predictor=dict(PREDICTORS[predictor], token_order=order),
        masks=MASKS,
    )
    model = MODELS.build({**config, **changes})
    model.init_weights()
    with torch.no_grad():  # nothing is zero or symmetric
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    model.target.module.load_state_dict(model.backbone.state_dict())
    return model


def clips(batch=3, views=1):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, views, 3, 8, 32, 32, generator=generator)


@pytest.mark.parametrize(('backbone', 'predictor'), PAIRS)
@pytest.mark.parametrize('order', ['raster', 'append'])
def test_a_clip_depends_on_itself_alone(backbone, predictor, order):
    """The gradient of prediction b is zero for every clip but b."""
    model = jepa(backbone, predictor, order).eval()
    x = clips().requires_grad_()
    for index, (keep, hidden) in enumerate(model._masks((4, 4, 4), 3, 5)):
        context = model.backbone(x.flatten(0, 1), keep)
        pred = model.predictor(context, keep, hidden, (4, 4, 4), index)
        assert pred.shape == (3, hidden.shape[1], 24)
        weight = torch.randn(24)
        for b in range(3):
            (grad,) = torch.autograd.grad(
                (pred[b] * weight).sum(), x, retain_graph=True
            )
            reached = grad.abs().flatten(1).sum(1) > 0
            assert reached.tolist() == [i == b for i in range(3)]


@pytest.mark.parametrize(('backbone', 'predictor'), PAIRS)
def test_loss_is_the_mean_of_what_clips_lose_alone(backbone, predictor):
    """Clip by clip, with its own masks, written down once more."""
    model = jepa(backbone, predictor).eval()
    x = clips()
    losses = []
    for index, (keep, hidden) in enumerate(model._masks((4, 4, 4), 3, 0)):
        for b in range(3):
            targets = model.target(x[b])[0]
            targets = (targets - targets.mean(1, keepdim=True)) / (
                targets.var(1, unbiased=False, keepdim=True) + 1e-5
            ).sqrt()
            context = model.backbone(x[b], keep[b : b + 1])
            pred = model.predictor(
                context, keep[b : b + 1], hidden[b : b + 1], (4, 4, 4), index
            )
            losses.append((pred[0] - targets[hidden[b]]).abs().mean())
    result = model(x, mode='loss')
    torch.testing.assert_close(result['loss_jepa'], torch.stack(losses).mean())
    assert [k for k in result if 'loss' in k] == ['loss_jepa']


def test_loss_exponent_and_variance_term():
    model = jepa(loss_exponent=2.0, var_coeff=0.1).eval()
    x = clips(batch=2)
    result = model(x, mode='loss')
    targets = F.layer_norm(model.target(x.flatten(0, 1)), (24,))
    squares, stds = [], []
    for index, (keep, hidden) in enumerate(model._masks((4, 4, 4), 2, 0)):
        context = model.backbone(x.flatten(0, 1), keep)
        pred = model.predictor(context, keep, hidden, (4, 4, 4), index)
        error = pred - torch.stack([targets[b, hidden[b]] for b in range(2)])
        squares.append(error.square().mean() / 2)
        stds.append((pred.var(1, unbiased=False) + 1e-4).sqrt())
    hinge = (1 - sum(stds) / 2).clamp(min=0).mean()
    torch.testing.assert_close(result['loss_jepa'], sum(squares) / 2)
    torch.testing.assert_close(result['loss_var'], 0.1 * hinge)
    torch.testing.assert_close(result['var_hinge'], hinge)


def test_metrics_show_a_collapse():
    """Features of nothing, of the place alone, and of the clip too."""
    model = jepa(VIT, 'transformer').eval()
    watched = model(clips(), mode='loss')
    assert watched['target_std'] > watched['clip_std'] > 0.05
    with torch.no_grad():
        model.target.module.patch_embed.projection.weight.zero_()
    watched = model(clips(), mode='loss')
    assert watched['clip_std'] < 1e-6
    assert watched['target_std'] > 0.05
    with torch.no_grad():
        model.target.module.norm.weight.zero_()
        model.predictor.proj_out.weight.zero_()
    watched = model(clips(), mode='loss')
    assert watched['target_std'] < 1e-6
    assert watched['pred_std'] < 1e-6
    assert watched['var_hinge'] == pytest.approx(0.99, abs=1e-3)


@pytest.mark.parametrize(('backbone', 'predictor'), PAIRS)
def test_every_trained_parameter_gets_a_gradient_and_the_target_none(
    backbone, predictor
):
    model = jepa({**backbone, 'drop_path_rate': 0.0}, predictor).train()
    losses, _ = model.parse_losses(model(clips(), mode='loss'))
    losses.backward()
    for name, parameter in model.named_parameters():
        if name.startswith('target.'):
            assert not parameter.requires_grad
            assert parameter.grad is None
        else:
            assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(('backbone', 'predictor'), PAIRS)
def test_bfloat16_is_close_to_float32(backbone, predictor):
    results = []
    for enabled in (False, True):
        model = jepa({**backbone, 'drop_path_rate': 0.0}, predictor).train()
        with torch.autocast('cpu', torch.bfloat16, enabled):
            loss = model(clips(), mode='loss')['loss_jepa']
        assert loss.dtype == torch.float32
        loss.backward()
        grads = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        results.append((loss.detach(), torch.cat(grads)))
    torch.testing.assert_close(results[1][0], results[0][0], rtol=0.01, atol=0)
    assert torch.cosine_similarity(results[0][1], results[1][1], dim=0) > 0.99


def test_target_is_never_in_training_mode():
    model = jepa()
    for mode in (True, False, True):
        model.train(mode)
        assert model.backbone.training == model.predictor.training == mode
        assert not any(module.training for module in model.target.modules())
    x = clips()
    torch.testing.assert_close(model(x), model(x))  # no path is dropped


@pytest.mark.parametrize(
    ('backbone', 'predictor'), [(VIDEOMAMBA, 'mamba'), (VIT, 'transformer')]
)
def test_clips_of_a_video_share_its_masks(backbone, predictor):
    model = jepa(backbone, predictor).eval()
    x = clips(batch=2, views=2)
    together = model(x, mode='loss')['loss_jepa']
    apart = [model(x[:, v : v + 1], mode='loss')['loss_jepa'] for v in range(2)]
    torch.testing.assert_close(together, sum(apart) / 2)


def test_order_matters_for_scans_and_not_for_attention():
    for predictor, equal in (('transformer', True), ('mamba', False)):
        models = [jepa(VIT, predictor, order).eval() for order in ('raster', 'append')]
        models[1].load_state_dict(models[0].state_dict())
        losses = [model(clips(), mode='loss')['loss_jepa'] for model in models]
        assert torch.isclose(*losses, rtol=1e-5) == equal


def test_predictions_stay_with_their_places():
    """Targets in any order give the same predictions in that order."""
    for order in ('raster', 'append'):
        model = jepa(order=order).eval()
        if order == 'append':  # where a scan sees the order of the mask tokens
            model = jepa(VIT, 'transformer', order).eval()
        keep = torch.tensor([[3, 20, 40], [1, 2, 63]])
        hidden = torch.tensor([[5, 21, 60], [0, 10, 11]])
        context = torch.randn(2, 3, 24)
        shuffled = torch.tensor([2, 0, 1])
        pred = model.predictor(context, keep, hidden, (4, 4, 4))
        other = model.predictor(context, keep, hidden[:, shuffled], (4, 4, 4))
        torch.testing.assert_close(other, pred[:, shuffled])
        kinds = model.predictor(context, keep, hidden, (4, 4, 4), mask_index=1)
        assert not torch.allclose(kinds, pred)


def test_keeping_all_tokens_masks_nothing():
    net = MODELS.build(VIT).eval()
    x = clips(batch=2).flatten(0, 1)
    everything = torch.arange(64).expand(2, 64)
    torch.testing.assert_close(net(x, everything), net(x))
    with pytest.raises(ValueError, match='B=2'):
        net(x, everything[:1])


def test_frozen_control_does_not_change():
    net = MODELS.build({**VIT, 'frozen': True}).train()
    assert not net.training
    assert not net(clips(batch=2).flatten(0, 1)).requires_grad


@pytest.mark.parametrize('interval', [1, 3])
def test_moving_average_is_the_closed_form(interval):
    """V-JEPA's line from 0.998 to 1 over 1.25 times the updates, in float64."""
    updates, total = 40, 50
    net = torch.nn.Linear(3, 2).double()
    ema = LinearEMA(net, 0.002, 0.0, total, interval)
    with torch.no_grad():
        net.weight += 1  # loaded after the average was made
    ema.update_parameters(net)
    expected = net.weight.detach().clone()
    assert torch.equal(ema.module.weight, expected)
    history = []
    for update in range(updates):
        for micro_step in range(interval):
            if micro_step == interval - 1:  # the optimizer's step
                with torch.no_grad():
                    net.weight += torch.randn(2, 3, dtype=torch.float64)
            ema.update_parameters(net)
        momentum = 0.998 + update * (1 - 0.998) / total
        expected = momentum * expected + (1 - momentum) * net.weight.detach()
        history.append((ema.module.weight - expected).abs().max())
    assert max(history) < 1e-12
    assert int(ema.steps) == updates * interval + 1


def test_initial_weights_of_the_control_are_those_of_v_jepa():
    """0.02, the outputs of layer i over the root of 2 i; the patch embedding, too."""
    net = MODELS.build({**VIT, 'embed_dims': 192, 'depth': 3, 'num_heads': 3})
    net.init_weights()
    state = net.state_dict()
    for i in range(3):
        for name in ('attn.proj', 'mlp.layers.1'):
            std = float(state[f'blocks.{i}.{name}.weight'].std())
            assert std == pytest.approx(0.02 / (2 * (i + 1)) ** 0.5, rel=0.05)
        assert float(state[f'blocks.{i}.attn.qkv.weight'].std()) == pytest.approx(
            0.02, rel=0.05
        )
    weight = state['patch_embed.projection.weight']
    assert float(weight.std()) == pytest.approx(0.02, rel=0.05)
    assert not state['patch_embed.projection.bias'].any()


def test_layers_of_the_control_one_after_the_other():
    """Each after the final norm, and the last one is what it gives without."""
    last = MODELS.build({**VIT, 'depth': 3, 'drop_path_rate': 0.0}).eval()
    both = MODELS.build(
        {**VIT, 'depth': 3, 'drop_path_rate': 0.0, 'out_layers': [0, 2]}
    ).eval()
    both.load_state_dict(last.state_dict())
    clips, keep = torch.randn(2, 3, 8, 32, 32), torch.tensor([[0, 5, 9], [1, 2, 3]])
    for indices, tokens in ((None, 64), (keep, 3)):
        out = both(clips, indices)
        assert out.shape == (2, 2 * tokens, 24)
        torch.testing.assert_close(out[:, tokens:], last(clips, indices))
    x = last.patch_embed(clips)[0] + sincos_pos_embed((4, 4, 4), 24)
    first = last.norm(last.blocks[0](x))
    torch.testing.assert_close(both(clips)[:, :64], first)
    with pytest.raises(ValueError, match='the 2 layers, which are numbered from 0'):
        MODELS.build({**VIT, 'out_layers': [2]})


def test_activation_checkpointing_changes_nothing():
    clips = torch.randn(2, 1, 3, 8, 32, 32)
    gradients = []
    for with_cp in (False, True):
        PREDICTORS['cp'] = {**PREDICTORS['transformer'], 'with_cp': with_cp}
        model = jepa({**VIT, 'drop_path_rate': 0.0, 'with_cp': with_cp}, 'cp')
        model(clips, mode='loss')['loss_jepa'].backward()
        gradients.append([p.grad for p in model.parameters() if p.grad is not None])
    del PREDICTORS['cp']
    assert gradients[0]
    torch.testing.assert_close(*gradients)


def test_moving_average_ends_where_the_papers_say():
    weights = torch.ones(1, dtype=torch.float64)
    for update, m in ((0, 0.998), (150 * 300, 0.9988), (300 * 300, 0.9996)):
        ema = LinearEMA(torch.nn.Linear(1, 1), 0.002, 0.0, 300 * 300 * 5 // 4)
        average = torch.zeros(1, dtype=torch.float64)
        ema.avg_func(average, weights, update + 1)
        assert float(1 - average) == pytest.approx(m, abs=1e-9)
    constant = LinearEMA(torch.nn.Linear(1, 1), 0.00075)
    average = torch.zeros(1, dtype=torch.float64)
    constant.avg_func(average, weights, 10**6)
    assert float(1 - average) == pytest.approx(0.99925, abs=1e-12)


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: jepa(masks=[]), 'at least one mask'),
        (lambda: jepa(order='random'), "token_order must be one of .*'random'"),
        (lambda: jepa()(torch.zeros(2, 3, 8, 32, 32)), 'FormatShape'),
        (lambda: jepa()(clips(), mode='train'), "mode is 'train'"),
        (
            lambda: jepa(ema=dict(type='LinearEMA', momentum=0.002, end_momentum=1.0)),
            '1 minus that of the papers',
        ),
        (
            lambda: jepa(ema=dict(type='LinearEMA', total_updates=0)),
            'total_updates and interval',
        ),
        (
            lambda: jepa({**VIDEOMAMBA, 'out_type': 'avg_featmap'}).eval()(
                clips(), mode='loss'
            ),
            "out_type='raw'",
        ),
    ],
)
def test_wrong_arguments_are_reported(make, message):
    with pytest.raises(ValueError, match=message):
        make()
