"""Compiled kernels on disk."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCAN = """
import torch
from mmaction_videomambapro.ops import selective_scan
u, A, B = torch.ones(1, 2, 3), -torch.ones(2, 4), torch.ones(1, 4, 3)
print(selective_scan(u, u, A, B, B).sum().item())
"""


def scan(cache, script=SCAN):
    """Scan in a process of its own; gives its output and what it printed of it."""
    result = subprocess.run(
        [sys.executable, '-c', script],
        env={**os.environ, 'XDG_CACHE_HOME': str(cache), 'TRITON_INTERPRET': '0'},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    printed = result.stdout + result.stderr
    return float(result.stdout.split()[-1]), printed


@pytest.fixture(scope='module')
def expected(tmp_path_factory):
    return scan(tmp_path_factory.mktemp('cache'))[0]


def test_kept_for_the_next_start(tmp_path, expected):
    value, printed = scan(tmp_path)
    assert value == expected
    assert 'Compiling kernels for this CPU' in printed
    kernels = list(tmp_path.rglob('scan_forward-*.o'))
    assert len(kernels) == 1
    value, printed = scan(tmp_path)
    assert value == expected
    assert 'Compiling' not in printed


def test_without_a_place_to_keep_them(tmp_path, expected):
    file = tmp_path / 'no_folder'
    file.touch()
    value, printed = scan(file)
    assert value == expected
    assert 'Compiled kernels are not kept' in printed


def test_without_llvmlite(tmp_path, expected):
    value, printed = scan(tmp_path, 'import sys; sys.modules["llvmlite"] = None' + SCAN)
    assert value == pytest.approx(expected)
    assert 'chunked' in printed
    assert 'pip install llvmlite' in printed
    assert not list(Path(tmp_path).rglob('*.o'))
