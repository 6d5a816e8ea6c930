"""Compare the attentive probe with loops written out step by step."""

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from torch.nn import functional as F

from mmaction_videomambapro.models.heads import AttentiveHead

pytestmark = pytest.mark.usefixtures('scope')


def head(**config):
    torch.manual_seed(0)
    head = AttentiveHead(
        **{
            **dict(num_classes=5, in_channels=12, num_heads=3, average_clips='prob'),
            **config,
        }
    )
    head.init_weights()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return head.eval()


def by_hand(head, tokens):
    """Logits of the tokens (L, C) of one crop of one video, head by head."""
    for block in head.blocks:
        tokens = block(tokens[None])[0]
    normed = F.layer_norm(tokens, (12,), head.norm1.weight, head.norm1.bias)
    q = head.q(head.query[0, 0])
    k, v = head.kv(normed)[:, :12], head.kv(normed)[:, 12:]
    out = []
    for h in range(3):
        part = slice(4 * h, 4 * h + 4)
        weights = torch.softmax(k[:, part] @ q[part] / 4**0.5, dim=0)
        out.append(weights @ v[:, part])
    query = head.query[0, 0] + head.proj(torch.cat(out))
    normed = F.layer_norm(query, (12,), head.norm2.weight, head.norm2.bias)
    return head.fc_cls(query + head.mlp(normed))


@pytest.mark.parametrize('depth', [1, 3])
@pytest.mark.parametrize('use_out_proj', [False, True])
@pytest.mark.parametrize(('num_clips', 'crops'), [(1, 1), (2, 3), (8, 3), (1, 3)])
def test_clips_and_crops_one_by_one(depth, use_out_proj, num_clips, crops):
    """2 videos in the order of FormatShape: crop by crop, clip by clip."""
    probe = head(depth=depth, use_out_proj=use_out_proj, num_clips=num_clips)
    tokens = torch.randn(2, crops, num_clips, 7, 12)
    scores = probe(tokens.flatten(0, 2))
    samples = probe.predict(tokens.flatten(0, 2), [ActionDataSample() for _ in '12'])
    for video in range(2):
        probabilities = 0
        for crop in range(crops):
            together = torch.cat([tokens[video, crop, c] for c in range(num_clips)])
            logits = by_hand(probe, together)
            torch.testing.assert_close(scores[video * crops + crop], logits)
            probabilities = probabilities + logits.softmax(0) / crops
        torch.testing.assert_close(samples[video].pred_score, probabilities)


def test_in_a_recognizer_with_a_frozen_backbone():
    """Views from pipelines; only the head is trained, and no graph is kept."""
    model = MODELS.build(
        dict(
            type='Recognizer3D',
            backbone=dict(
                type='VideoMambaPro',
                arch=dict(embed_dims=12, depth=2),
                img_size=16,
                patch_size=8,
                tubelet_size=2,
                pos_embed='sincos3d',
                with_cls_token=False,
                out_type='raw',
                frozen_stages=2,
            ),
            cls_head=dict(
                type='AttentiveHead',
                num_classes=5,
                in_channels=12,
                num_heads=3,
                num_clips=2,
                average_clips='prob',
            ),
            data_preprocessor=dict(type='ActionDataPreprocessor'),
        )
    )
    model.init_weights()
    model.train()
    feats, _ = model.extract_feat(torch.randn(2, 2, 3, 4, 16, 16))
    assert not feats.requires_grad
    samples = [ActionDataSample().set_gt_label(i) for i in (3, 1)]
    losses = model(torch.randn(2, 2, 3, 4, 16, 16), samples, mode='loss')
    losses['loss_cls'].backward()
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == name.startswith('cls_head.'), name
    model.eval()
    with torch.no_grad():  # 2 clips x 3 crops
        results = model(torch.randn(2, 6, 3, 4, 16, 16), samples, mode='predict')
    assert [result.pred_score.shape for result in results] == [(5,), (5,)]


@pytest.mark.parametrize(('depth', 'last'), [(1, 1), (2, 1), (3, 2), (4, 3)])
def test_initial_weights_are_those_of_v_jepa_2(depth, last):
    """Std 0.02, outputs divided by the root of twice their layer's number.

    Of 4 layers the last MLP's is 0.02 / 6 ** 0.5 = 0.0082; the classifier starts as
    PyTorch's Linear does, uniform up to 1 / C ** 0.5: 0.0295 for 384 channels.
    """
    torch.manual_seed(0)
    probe = AttentiveHead(400, 384, 6, depth, use_out_proj=True)
    probe.init_weights()
    state = probe.state_dict()
    std = {n: float(p.std()) for n, p in state.items() if p.ndim > 1}
    expected = dict.fromkeys(std, 0.02)
    for i in range(1, depth):
        for name in ('attn.proj', 'mlp.layers.1'):
            expected[f'blocks.{i - 1}.{name}.weight'] = 0.02 / (2 * i) ** 0.5
    expected['mlp.2.weight'] = expected['proj.weight'] = 0.02 / (2 * last) ** 0.5
    expected['fc_cls.weight'] = (1 / 3 / 384) ** 0.5
    assert std == pytest.approx(expected, rel=0.1)
    biases = {n: float(p.abs().max()) for n, p in state.items() if 'bias' in n}
    assert 0.045 < biases.pop('fc_cls.bias') <= 384**-0.5
    assert set(biases.values()) == {0.0}


def test_published_sizes():
    """174 classes: 0.48, 1.84, 4.09 and 12.8 million parameters with V-JEPA's layer."""
    for channels, heads, millions in (
        (192, 3, 0.48), (384, 6, 1.84), (576, 9, 4.09), (1024, 16, 12.8)
    ):  # fmt: skip
        probe = AttentiveHead(174, channels, heads, use_out_proj=True)
        count = sum(p.numel() for p in probe.parameters()) / 1e6
        assert count == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: head(depth=5), r'depth must be in \[1, 4\]'),
        (lambda: head(num_heads=5), 'must divide in_channels=12'),
        (lambda: head()(torch.zeros(2, 12)), "out_type='raw'"),
        (lambda: head(num_clips=2)(torch.zeros(3, 7, 12)), 'of num_clips=2'),
    ],
)
def test_wrong_arguments_are_reported(make, message):
    with pytest.raises(ValueError, match=message):
        make()
