"""The kernels as they are compiled for a GPU, which takes none."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

triton = pytest.importorskip('triton')

# Limits are those of Triton 3.9, with at most 3 % to spare. Other versions arrange the
# same kernels differently: up to 3.5 there are more barriers, one for each conversion.
VERSION = tuple(map(int, triton.__version__.split('.')[:2]))
TOLERANCE = 1.0 if VERSION == (3, 9) else 1.05 if VERSION >= (3, 6) else 1.2
SPILLS_ELSEWHERE = 10  # more per unit, of kernels that are limited in registers


class Limits(NamedTuple):
    """Of a loop, per unit: 32 channels of a token in one direction."""

    units: int  # in a turn
    instructions: float
    exponentials: float  # and reciprocals
    spills: float = 0


class Kernel(NamedTuple):
    """Limits of registers, and of the loops in the order of the program."""

    registers: int
    loops: tuple[Limits, ...]


BOTH = 2  # directions
WALK = Limits(2, 103, 17, spills=1)
KERNELS = {
    'chunk_state': Kernel(80, (Limits(4, 99, 17),) * BOTH),
    'chunk_scan, first launch': Kernel(80, (Limits(4, 126, 17),) * BOTH),
    'chunk_scan, last launch': Kernel(80, (Limits(4, 146, 19),) * BOTH),
    'conv1d_bwd': Kernel(72, (Limits(8, 45.5, 2),)),
    'chunk_scan_bwd_dstates': Kernel(152, (Limits(4, 109, 19),) * BOTH),
    # with the gate's gradient, then masked
    'chunk_scan_bwd': Kernel(
        168, (WALK, Limits(2, 342, 20, spills=5), WALK, Limits(2, 328, 20, spills=9.5))
    ),
}


NAMES = {
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


def compile_for(target, folder):
    """Names of kernels, with their registers and loops."""
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'tests.ops.gpu.compiled', target],
        cwd=Path(__file__).parents[3],
        env={'PATH': '', 'TRITON_CACHE_DIR': folder, 'HOME': folder},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture(scope='module')
def compiled(tmp_path_factory):
    return compile_for('sm_90', str(tmp_path_factory.mktemp('triton')))


def test_compiles(compiled):
    """The compiler refuses some of what the interpreter runs."""
    assert {name for name, _, _ in compiled} == NAMES


def test_compiles_for_an_amd_gpu(tmp_path):
    """Whose warps are twice as wide. Nothing is known of its speed."""
    assert {x[0] for x in compile_for('gfx942', str(tmp_path))} == NAMES


@pytest.mark.parametrize('name', KERNELS)
def test_instructions(compiled, name):
    """What loops take; a GPU's time is theirs."""
    plain, _, launch = name.partition(', ')
    found = [x[1:] for x in compiled if x[0] == plain]
    registers, loops = found[-1 if launch == 'last launch' else 0]
    if loops is None:
        pytest.skip("Triton's package has no disassembler")
    limits = KERNELS[name]
    assert registers <= limits.registers
    loops = [loop for loop in loops if loop.get('MUFU', 0) > 3]
    assert len(loops) == len(limits.loops)
    for loop, (units, instructions, exponentials, spills) in zip(loops, limits.loops):
        assert loop.get('SHFL', 0) == 0
        assert loop['MUFU'] <= units * exponentials
        assert sum(loop.values()) <= units * instructions * TOLERANCE
        if spills and VERSION != (3, 9):
            spills += SPILLS_ELSEWHERE
        assert loop.get('LDL', 0) + loop.get('STL', 0) <= units * spills
