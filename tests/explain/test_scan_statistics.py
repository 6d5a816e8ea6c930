"""Statistics of scans against what they must be of matrices that are known."""

import math

import pytest
import torch

from mmaction_videomambapro.errors import UsageError
from mmaction_videomambapro.explain import scan_figures
from mmaction_videomambapro.explain.attention import HiddenAttention
from mmaction_videomambapro.explain.scan_figures import draw_scan_statistics
from mmaction_videomambapro.explain.scan_statistics import (
    Rows,
    effective_rank,
    sample_rows,
    scan_statistics,
    summarise,
)
from mmaction_videomambapro.models.backbones import VideoMambaPro
from mmaction_videomambapro.models.layers.mixer import MaskedResidualBiMamba
from tests.conftest import DEMO_CONFIG, ROOT

TOKENS, FRAMES, DECAY = 9, 4, 0.5  # a class token, and frames of two patches
EVERY = torch.arange(TOKENS)


def decaying(forward=1.0, backward=1.0, residual=0.0):
    """Both directions' matrices, whose weights halve with every token."""
    lag = EVERY - EVERY[:, None]
    weights = DECAY ** lag.abs()
    scans = dict(forward=forward * weights.tril(), backward=backward * weights.triu())
    scans['forward'][:, 0] += residual
    return {name: x[:, None].double() for name, x in scans.items()}


def summary(weights, magnitudes=None, skip=0.0, queries=EVERY[1:]):
    rows = Rows(
        {name: x[queries] for name, x in weights.items()},
        {name: x[queries].abs() for name, x in (magnitudes or weights).items()},
        {k: x[..., -1 if k == 'backward' else 0].T for k, x in weights.items()},
        weights['forward'].permute(2, 1, 0)[queries],
        torch.tensor([skip]),
    )  # fmt: skip
    return summarise(rows, queries, FRAMES, cls=1)


def test_decay_by_tokens_and_frames():
    found = summary(decaying(), queries=torch.tensor([3]))  # the frame's first token
    # three tokens before, without the first, and five after, without the last
    expected = [DECAY**2, DECAY, 2, DECAY, DECAY**2, DECAY**3, DECAY**4]
    seen = found.tokens[~found.tokens.isnan()]
    assert seen.tolist() == pytest.approx(expected)
    weight = [DECAY ** abs(j - 3) if j != 3 else 2 for j in range(TOKENS)]
    frames = [sum(weight[i : i + 2]) / sum(weight) for i in range(1, TOKENS, 2)]
    assert found.frames[FRAMES - 2 : 2 * FRAMES - 2].tolist() == pytest.approx(frames)
    assert found.frames.isnan().sum() == FRAMES - 1
    earlier, later = found.first[: TOKENS - 1], found.first[TOKENS:]
    distances = range(1, TOKENS)
    assert later.tolist() == pytest.approx([DECAY**k for k in distances])
    assert earlier.flip(0).tolist() == pytest.approx([DECAY**k for k in distances])
    steps = [abs(j - 3) for j in range(TOKENS)]
    off = sum(weight) - 2
    assert found.distance == pytest.approx(
        sum(w * s for w, s in zip(weight, steps)) / off
    )
    assert found.diagonal == pytest.approx(2 / sum(weight))


def test_residual_and_skip_have_their_shares():
    plain, residual = summary(decaying()), summary(decaying(residual=10.0))
    assert residual.first_share > 0.6 > 0.3 > plain.first_share
    assert residual.distance > plain.distance
    torch.testing.assert_close(residual.tokens, plain.tokens, equal_nan=True)
    with_skip = summary(decaying(), skip=-2.0)  # which cancels the diagonal
    assert with_skip.diagonal == plain.diagonal
    assert with_skip.diagonal_with_skip == 0


def test_contradictions():
    agree = summary(decaying())
    assert agree.states == agree.channels == 0
    assert agree.directions == pytest.approx(0, abs=1e-12)
    assert summary(decaying(backward=-1.0)).directions == pytest.approx(1)
    half = {k: x / 2 for k, x in decaying().items()}
    assert summary(half, decaying()).states == pytest.approx(0.5)
    opposed = {k: torch.cat([x, -x / 3], 1) for k, x in decaying().items()}
    assert summary(opposed).channels == pytest.approx(0.5)


def test_effective_rank():
    assert effective_rank(torch.eye(5)) == pytest.approx(5)
    ones = torch.ones(3, 8)
    assert effective_rank(torch.stack([ones, ones])).tolist() == pytest.approx([1, 1])
    shares = torch.tensor([0.5, 0.25, 0.25])
    entropy = 0.5 * math.log(2) + 0.5 * math.log(4)
    assert effective_rank(shares.diag()) == pytest.approx(math.exp(entropy))


@pytest.mark.parametrize('bimamba', ['separate', 'shared', 'none'])
def test_rows_of_both_settings_are_those_of_the_scans(bimamba):
    mixer = MaskedResidualBiMamba(4, d_state=3, bimamba=bimamba).double()
    hidden = torch.randn(1, TOKENS, 4, dtype=torch.float64)
    queries, channels = torch.tensor([8, 0, 3]), torch.tensor([5, 2])
    for on, rows in sample_rows(mixer, hidden, queries, channels).items():
        attention = HiddenAttention(mixer, hidden, residual=on, masked=on)
        for direction, found in rows.weights.items():
            everything = attention.rows(direction, EVERY.tolist(), skip=False)[:, 0]
            expected = everything[:, channels]
            torch.testing.assert_close(found, expected[queries])
            start = -1 if direction == 'backward' else 0
            torch.testing.assert_close(rows.first[direction], expected[..., start].T)
            assert (rows.magnitudes[direction] >= found.abs() - 1e-12).all()
    assert len(rows.weights) == (1 if bimamba == 'none' else 2)


def test_a_model_and_its_picture(monkeypatch):
    backbone = VideoMambaPro(
        arch=dict(embed_dims=8, depth=2), img_size=16, patch_size=8, num_frames=4,
        bimamba='none',
    ).eval()  # fmt: skip
    clips = torch.randn(2, 3, 4, 16, 16)
    layers = scan_statistics(backbone, clips, tokens=5)
    assert len(layers) == 2
    for layer in layers:
        assert layer[True].first_share > layer[False].first_share
        assert layer[True].tokens.shape == (2 * 17 - 1,)
        assert layer[True].directions.isnan()  # there is one direction
        assert 1 <= layer[True].rank <= 5
    drawn = []
    monkeypatch.setattr(scan_figures, 'save', lambda figure, out: drawn.append(figure))
    draw_scan_statistics(dict(one=layers, other=layers), 'unused.png')
    (figure,) = drawn
    labels = [x.get_text() for legend in figure.findobj(type(figure.axes[0].legend_))
              for x in legend.get_texts()]  # fmt: skip
    assert {'one', 'other', 'mask and residual off'} <= set(labels)
    figure.canvas.draw()


def test_the_tool(tool, tmp_path, demo_options):
    out = tmp_path / 'scan.png'
    options = demo_options('model.backbone.num_frames=8')
    printed = tool(
        'analysis/scan_statistics.py',
        DEMO_CONFIG,
        '--out',
        out,
        '--tokens',
        4,
        *options,
    )
    assert 'has mask and residual; on noise' in printed.stdout
    assert (
        len([x for x in printed.stdout.splitlines() if x.split()[1:2] == ['on']]) == 2
    )
    assert out.read_bytes().startswith(b'\x89PNG')


def test_a_model_without_scans_is_one_line(tool, tmp_path):
    config = tmp_path / 'resnet.py'
    config.write_text(
        f'_base_ = {str(ROOT / DEMO_CONFIG)!r}\n'
        "model = dict(backbone=dict(_delete_=True, type='ResNet', depth=18))\n"
    )
    process = tool(
        'analysis/scan_statistics.py', config, '--out', tmp_path / 'x.png', check=False
    )
    assert process.returncode == 2
    assert 'is not a VideoMamba(Pro)' in process.stderr


@pytest.mark.parametrize(
    'options', [dict(scan_order='alternating'), dict(cls_position='last')]
)
def test_other_orders_are_refused(options):
    backbone = VideoMambaPro(arch=dict(embed_dims=8, depth=1), img_size=16, **options)
    with pytest.raises(UsageError, match=str(*options.values())):
        scan_statistics(backbone, [torch.zeros(3, 2, 16, 16)])
