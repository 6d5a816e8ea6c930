"""The kernels as they are compiled for a GPU, which takes none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('triton')


@pytest.fixture(scope='module')
def compiled(tmp_path_factory):
    """Names of kernels, with their registers and loops."""
    folder = str(tmp_path_factory.mktemp('triton'))
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'tests.ops.gpu.compiled'],
        cwd=Path(__file__).parents[3],
        env={'PATH': '', 'TRITON_CACHE_DIR': folder, 'HOME': folder},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_compiles(compiled):
    """The compiler refuses some of what the interpreter runs."""
    assert {name for name, _, _ in compiled} == {
        'interleave',
        'chunk_state',
        'state_passing',
        'chunk_scan',
        'chunk_scan_bwd_dstates',
        'chunk_scan_bwd',
        'separate',
        'conv1d_fwd',
        'conv1d_bwd',
    }
