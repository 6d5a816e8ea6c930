"""Scans in two orders against the definition of a scan, each in its own order."""

import pytest
import torch
from torch.nn import functional as F

from mmaction_videomambapro.models.layers import MaskedResidualBiMamba
from mmaction_videomambapro.ops.naive import causal_conv1d_plain, selective_scan_naive
from tests.ops.helpers import relative_error

FRAMES, PLACES = 3, 4
TEMPORAL = [t * PLACES + s for s in range(PLACES) for t in range(FRAMES)]
OTHER = [11, 3, 8, 0, 1, 9, 2, 10, 4, 7, 5, 6]  # of a second sample


def make(**arguments):
    torch.manual_seed(0)
    mixer = MaskedResidualBiMamba(8, d_state=4, **arguments).double()
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return mixer, torch.randn(2, FRAMES * PLACES, 8, dtype=torch.float64)


def walk(mixer, hidden, backward):
    """One direction: convolution, scan and gate of tokens (B, L, C) as they come."""
    own = '_b' if backward and mixer.bimamba == 'separate' else ''
    x, z = mixer.in_proj(hidden).mT.chunk(2, dim=1)
    conv1d = getattr(mixer, f'conv1d{own}')
    taps = conv1d.weight[:, 0]
    conv = causal_conv1d_plain(x, taps, conv1d.bias, 'silu', reverse=bool(own))
    sizes = [mixer.dt_rank, mixer.d_state, mixer.d_state]
    dt, B, C = getattr(mixer, f'x_proj{own}')(conv.mT).mT.split(sizes, dim=1)
    dt_proj = getattr(mixer, f'dt_proj{own}')
    y = selective_scan_naive(
        conv if mixer.scan_input == 'conv' else x,
        dt_proj.weight @ dt,
        -(mixer.A_b_log if backward else mixer.A_log).exp(),
        B, C, getattr(mixer, f'D{own}'),
        delta_bias=dt_proj.bias, delta_softplus=True, residual=mixer.residual,
        masked=mixer.masked and backward, reverse=backward,
    )  # fmt: skip
    return (y * F.silu(z)).mT


def in_order(mixer, hidden, backward, orders):
    """The same in an order of each sample's own; the result is in that of hidden."""
    found = torch.empty(*hidden.shape[:2], mixer.d_inner, dtype=hidden.dtype)
    for b, order in enumerate(orders):
        y = walk(mixer, hidden[b : b + 1, order], backward)[0]
        for place, token in enumerate(order):
            found[b, token] = y[place]
    return found


@pytest.mark.parametrize('spatiotemporal', ['v1', 'v2'])
@pytest.mark.parametrize('bimamba', ['separate', 'shared', 'none'])
@pytest.mark.parametrize(
    ('scan_input', 'pro'), [('conv', True), ('raw', True), ('conv', False)]
)
def test_two_orders(spatiotemporal, bimamba, scan_input, pro):
    mixer, hidden = make(
        spatiotemporal=spatiotemporal, bimamba=bimamba, scan_input=scan_input,
        residual=pro, masked=pro,
    )  # fmt: skip
    directions = (False,) if bimamba == 'none' else (False, True)
    for second in ([TEMPORAL, TEMPORAL], [TEMPORAL, OTHER]):
        expected = 0
        for backward in directions:
            first = in_order(mixer, hidden, backward, [range(12)] * 2)
            later = in_order(mixer, hidden, backward, second)
            if spatiotemporal == 'v2':
                expected = expected + first + later
            else:
                expected = expected + (later if backward else first)
        expected = mixer.out_proj(expected)
        index = torch.tensor(TEMPORAL if second[0] == second[1] else second)
        assert relative_error(mixer(hidden, index), expected) < 1e-12


def test_they_have_no_parameters_of_their_own():
    plain = dict(make()[0].named_parameters())
    for spatiotemporal in ('v1', 'v2'):
        mixer, _ = make(spatiotemporal=spatiotemporal)
        assert list(mixer.state_dict()) == list(plain)


def test_a_second_order_has_to_be_given_where_it_is_used():
    index = torch.tensor(TEMPORAL)
    mixer, hidden = make(spatiotemporal='v2')
    with pytest.raises(ValueError, match=r"'v2', but the mixer was given no temporal"):
        mixer(hidden)
    mixer, hidden = make()
    with pytest.raises(ValueError, match=r"'none', but the mixer was given a temporal"):
        mixer(hidden, index)
    with pytest.raises(ValueError, match='spatiotemporal must be one of'):
        make(spatiotemporal='v3')
