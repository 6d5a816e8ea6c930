"""Sequences against lists that were written down by hand."""

import pytest
import torch

from mmaction_videomambapro.models.layers.orders import (
    change,
    layer_orders,
    reorder,
    sequence,
)

GRID = 2, 2, 3  # frame 0 has the patches 0 to 5, frame 1 has 6 to 11
WITHOUT = None  # a class token

# (order, cls_position): indices of tokens; with a class token, that is 0
EXPECTED = {
    ('spatial_first', WITHOUT): None,
    ('spatial_first', 'first'): None,
    ('spatial_first', 'middle'): [1, 2, 3, 4, 5, 6, 0, 7, 8, 9, 10, 11, 12],
    ('spatial_first', 'last'): [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0],
    ('temporal_first', WITHOUT): [0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11],
    ('temporal_first', 'first'): [0, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11, 6, 12],
    ('temporal_first', 'middle'): [1, 7, 2, 8, 3, 9, 0, 4, 10, 5, 11, 6, 12],
    ('temporal_first', 'last'): [1, 7, 2, 8, 3, 9, 4, 10, 5, 11, 6, 12, 0],
}
# the first sample sees place 0 in both frames, the second place 2
VISIBLE = torch.tensor([[0, 1, 6], [2, 7, 8]])
EXPECTED_VISIBLE = {
    ('spatial_first', WITHOUT): None,
    ('spatial_first', 'first'): None,
    ('spatial_first', 'middle'): [[1, 0, 2, 3], [1, 0, 2, 3]],
    ('spatial_first', 'last'): [[1, 2, 3, 0], [1, 2, 3, 0]],
    ('temporal_first', WITHOUT): [[0, 2, 1], [1, 0, 2]],
    ('temporal_first', 'first'): [[0, 1, 3, 2], [0, 2, 1, 3]],
    ('temporal_first', 'middle'): [[1, 0, 3, 2], [2, 0, 1, 3]],
    ('temporal_first', 'last'): [[1, 3, 2, 0], [2, 1, 3, 0]],
}


@pytest.mark.parametrize('order', EXPECTED)
def test_sequences(order):
    found = sequence(GRID, *order)
    assert (found if found is None else found.tolist()) == EXPECTED[order]
    found = sequence(GRID, *order, keep_indices=VISIBLE)
    assert (found if found is None else found.tolist()) == EXPECTED_VISIBLE[order]


def test_hidden_patches_do_not_change_the_order_of_visible_ones():
    everything = torch.arange(12).expand(3, 12)
    for order, cls_position in EXPECTED:
        whole = sequence(GRID, order, cls_position)
        visible = sequence(GRID, order, cls_position, everything)
        if whole is None:
            assert visible is None
        else:
            assert torch.equal(visible, whole.expand(3, -1))


@pytest.mark.parametrize(
    ('scan_order', 'four', 'five'),
    [
        ('spatial_first', 'ssss', 'sssss'),
        ('temporal_first', 'tttt', 'ttttt'),
        ('spatial_temporal', 'sstt', 'ssttt'),
        ('temporal_spatial', 'ttss', 'ttsss'),
        ('alternating', 'stst', 'ststs'),
        ('spatiotemporal_v1', 'ssss', 'sssss'),
        ('spatiotemporal_v2', 'ssss', 'sssss'),
    ],
)
def test_order_of_each_layer(scan_order, four, five):
    for layers in (four, five):
        found = layer_orders(scan_order, len(layers))
        assert ''.join(order[0] for order in found) == layers
    assert set(found) <= {'spatial_first', 'temporal_first'}


@pytest.mark.parametrize('keep_indices', [None, VISIBLE])
def test_changes_lead_to_every_order_and_back(keep_indices):
    length = 3 if keep_indices is not None else 12
    tokens = torch.randn(2, length + 1, 5)
    sequences = [
        sequence(GRID, order, cls_position, keep_indices)
        for order, cls_position in EXPECTED
        if cls_position
    ]
    walked = [reorder(tokens, x) for x in sequences]
    for i, old in enumerate(sequences):
        for j, new in enumerate(sequences):
            assert torch.equal(reorder(walked[i], change(old, new)), walked[j])
        assert torch.equal(reorder(walked[i], change(old, None)), tokens)


def test_nothing_is_copied_without_need():
    tokens, order = torch.randn(2, 12, 5), sequence(GRID, 'temporal_first', None)
    assert reorder(tokens, change(None, None)) is tokens
    assert reorder(tokens, change(order, order)) is tokens
