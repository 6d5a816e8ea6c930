"""The picture of the scan shows what the definition says."""

import runpy

import torch

from tests.conftest import ROOT

SCRIPT = runpy.run_path(str(ROOT / 'docs' / 'draw_scan.py'))
draw_scan, influence = SCRIPT['draw_scan'], SCRIPT['influence']


def test_a_token_counts_once_or_twice():
    plain = influence() + influence(reverse=True)
    pro = influence(residual=True) + influence(residual=True, masked=True, reverse=True)
    inner = slice(1, -1)  # the ends start the scans, and count for more
    assert torch.allclose(plain.diag()[inner], 2 * pro.diag()[inner])
    off = ~torch.eye(len(plain), dtype=torch.bool)[inner, inner]
    assert torch.allclose(plain[inner, inner][off], pro[inner, inner][off])


def test_picture_is_written(tmp_path):
    draw_scan(tmp_path / 'scan.svg')
    assert (tmp_path / 'scan.svg').read_text().count('<path') > 100
