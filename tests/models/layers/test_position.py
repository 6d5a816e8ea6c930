import math

import torch

from mmaction_videomambapro.models.layers.position import (
    resize_pos_embed,
    resize_temporal_embed,
    sincos_pos_embed,
)


def cubic(column, length):
    """Cubic convolution by hand, a = -0.75, centres aligned, borders repeated."""

    def kernel(x):
        x = abs(x)
        if x <= 1:
            return 1.25 * x**3 - 2.25 * x**2 + 1
        return -0.75 * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0

    out = []
    for i in range(length):
        centre = (i + 0.5) * len(column) / length - 0.5
        taps = range(math.floor(centre) - 1, math.floor(centre) + 3)
        value = 0.0
        for tap in taps:
            value += kernel(centre - tap) * column[min(max(tap, 0), len(column) - 1)]
        out.append(value)
    return torch.tensor(out)


def test_resize_is_bicubic_and_keeps_extra_tokens():
    column = [0.3, -1.0, 2.0, 0.5]
    grid = torch.tensor(column)[:, None].expand(4, 6)
    pos_embed = torch.cat([torch.full((1, 1, 1), 7.0), grid.reshape(1, 24, 1)], dim=1)
    resized = resize_pos_embed(pos_embed, (4, 6), (9, 3))
    assert resized.shape == (1, 28, 1)
    assert resized[0, 0] == 7
    expected = cubic(column, 9)[:, None].expand(9, 3)
    torch.testing.assert_close(resized[0, 1:, 0].view(9, 3), expected)


def test_resize_to_the_same_size_changes_nothing():
    pos_embed = torch.randn(1, 13, 4)
    assert resize_pos_embed(pos_embed, (3, 4), (3, 4)) is pos_embed
    temporal = torch.randn(1, 8, 4)
    assert resize_temporal_embed(temporal, 8) is temporal


def test_temporal_resize_by_hand():
    temporal = torch.tensor([0.0, 4.0]).view(1, 2, 1)
    expected = torch.tensor([0.0, 1.0, 3.0, 4.0]).view(1, 4, 1)
    torch.testing.assert_close(resize_temporal_embed(temporal, 4), expected)


def test_sincos_by_hand():
    table = sincos_pos_embed((2, 3, 4), 18)
    assert table.shape == (1, 24, 18)
    token = 1 * 12 + 2 * 4 + 3  # t=1, y=2, x=3 in raster order
    omega = 10000.0 ** -(torch.arange(3) / 3)
    expected = [f(n * omega) for n in (1.0, 2.0, 3.0) for f in (torch.sin, torch.cos)]
    torch.testing.assert_close(table[0, token], torch.cat(expected))


def test_sincos_cuts_to_size():
    assert sincos_pos_embed((1, 1, 1), 64).shape == (1, 1, 64)
