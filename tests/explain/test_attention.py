"""Rows and columns against dense float64 matrices, written as the formula is."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from mmaction_videomambapro.errors import UsageError
from mmaction_videomambapro.explain.attention import HiddenAttention
from mmaction_videomambapro.models.layers.mixer import MaskedResidualBiMamba

BATCH, TOKENS, CHANNELS = 2, 7, 4
EXACT = dict(rtol=0, atol=1e-10)
VARIANTS = [
    dict(bimamba=bimamba, scan_input=scan_input, residual=residual, masked=masked)
    for bimamba, scan_input, residual, masked in itertools.product(
        ('separate', 'shared', 'none'), ('conv', 'raw'), (True, False), (True, False)
    )
]


def names(variant):
    return '-'.join(map(str, variant.values()))


def make(**variant):
    mixer = MaskedResidualBiMamba(CHANNELS, d_state=3, **variant).double()
    with torch.no_grad():
        for name, x in mixer.named_parameters():  # no two channels or directions alike
            if name.split('.')[0] in ('A_log', 'A_b_log', 'D', 'D_b'):
                x.normal_()
            if 'dt_proj' in name:
                x.add_(1)
    return mixer, torch.randn(BATCH, TOKENS, CHANNELS, dtype=torch.float64)


def dense_scan(scan):
    """(B, D, L, L) from products of decays."""
    u, delta, A, B, C, _, delta_bias = scan.inputs
    delta = F.softplus(delta + delta_bias[:, None])
    order = range(TOKENS)[::-1] if scan.reverse else range(TOKENS)
    matrix = u.new_zeros(BATCH, u.shape[1], TOKENS, TOKENS)
    for at, i in enumerate(order):
        for before, j in enumerate(order[: at + 1]):
            between = delta[..., order[before + 1 : at + 1]].sum(-1)  # (B, D)
            decay = torch.exp(between[..., None] * A)
            read = C[:, None, :, i] * decay * B[:, None, :, j] * delta[..., j, None]
            if not (scan.masked and i == j):
                matrix[..., i, j] = read.sum(-1)
        if scan.residual and not (scan.masked and at == 0):
            decay = torch.exp(delta[..., order[: at + 1]].sum(-1)[..., None] * A)
            matrix[..., i, order[0]] += (C[:, None, :, i] * decay).sum(-1)
    return matrix


def dense(attention, direction, skip, gate, conv):
    scan = attention.scans[direction]
    matrix = dense_scan(scan)
    if skip:
        matrix = matrix + scan.inputs.D[:, None, None] * torch.eye(TOKENS)
    if gate:
        matrix = attention.gate[..., None] * matrix
    if conv and scan.sigmoid is not None:
        taps = torch.zeros(len(scan.weight), TOKENS, TOKENS, dtype=torch.float64)
        for j, lag in itertools.product(range(TOKENS), range(scan.weight.shape[1])):
            i = j - lag if scan.conv_reverse else j + lag
            if 0 <= i < TOKENS:
                taps[:, i, j] = scan.weight[:, -1 - lag]
        matrix = matrix @ (scan.sigmoid[..., None] * taps)
    return matrix


@pytest.mark.parametrize('variant', VARIANTS, ids=names)
def test_rows_and_columns_are_those_of_the_dense_matrix(variant):
    attention = HiddenAttention(*make(**variant))
    everything = range(TOKENS)
    for direction, skip, gate, conv in itertools.product(
        attention.scans, (True, False), (True, False), (True, False)
    ):
        parts = dict(skip=skip, gate=gate, conv=conv)
        matrix = dense(attention, direction, **parts)
        rows = attention.rows(direction, everything, **parts)
        columns = attention.columns(direction, everything, **parts)
        torch.testing.assert_close(rows.movedim(0, -2), matrix, **EXACT)
        torch.testing.assert_close(columns.movedim(0, -1), matrix, **EXACT)


@pytest.mark.parametrize('variant', VARIANTS, ids=names)
def test_the_mixer_is_an_affine_map_of_its_tokens(variant):
    mixer, hidden = make(**variant)
    attention = HiddenAttention(mixer, hidden)
    matrices = sum(dense(attention, x, True, True, True) for x in attention.scans)
    into, out = mixer.in_proj.weight.chunk(2)[0], mixer.out_proj.weight
    # (B, L, C, L, C): from every entry of the input to every entry of the output
    whole = torch.einsum('cd,bdij,de->bicje', out, matrices, into)
    found = torch.einsum('bicje,bje->bic', whole, hidden) + attention.offset()
    torch.testing.assert_close(found, mixer(hidden), **EXACT)
    parts = torch.einsum('bicje,bje->ibjc', whole, hidden)
    torch.testing.assert_close(attention.contributions(range(TOKENS)), parts, **EXACT)


def test_mask_and_residual_of_other_mixers_on_the_same_selection():
    mixer, hidden = make(residual=True, masked=True)
    plain = HiddenAttention(mixer, hidden, residual=False, masked=False)
    pro = HiddenAttention(mixer, hidden)
    token = [3]
    off, on = (x.rows('backward', token, skip=False) for x in (plain, pro))
    changed = (off != on).flatten(0, 2).any(0).nonzero().flatten().tolist()
    assert changed == [3, TOKENS - 1]  # the diagonal, and where the scan starts
    assert not on[..., 3].any()
    torch.testing.assert_close(
        plain.scans['backward'].inputs.delta, pro.scans['backward'].inputs.delta
    )


@pytest.mark.parametrize('backend', ['llvm', 'chunked', 'naive'])
def test_every_backend_gives_the_same_rows(backend, monkeypatch):
    mixer, hidden = make()
    attention = HiddenAttention(mixer, hidden)
    expected = dense(attention, 'backward', True, True, True)[..., 2, :]
    monkeypatch.setenv('MMACTION_VIDEOMAMBAPRO_SCAN', backend)
    (rows,) = attention.rows('backward', [2], gate=True, conv=True)
    torch.testing.assert_close(rows, expected, **EXACT)


def test_parameters_get_no_gradients():
    mixer, hidden = make()
    with torch.no_grad():
        rows = HiddenAttention(mixer, hidden).rows('forward', [0])
    assert not rows.requires_grad
    assert all(x.grad is None for x in mixer.parameters())


def test_two_orders_are_refused():
    with pytest.raises(UsageError, match="without scan_order='spatiotemporal_v2'"):
        HiddenAttention(*make(spatiotemporal='v2'))
