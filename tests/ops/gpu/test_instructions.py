"""The kernels as they are compiled for a GPU, which takes none."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from mmaction_videomambapro.ops.gpu import plan

triton = pytest.importorskip('triton')

# Limits are those of Triton 3.9, with at most 3 % to spare. Other versions arrange the
# same kernels differently: up to 3.5 there are more barriers, one for each conversion.
VERSION = tuple(map(int, triton.__version__.split('.')[:2]))
TOLERANCE = 1.0 if VERSION == (3, 9) else 1.05 if VERSION >= (3, 6) else 1.2
MORE_SPILLS = 0 if VERSION == (3, 9) else 2 if VERSION >= (3, 6) else 12  # per unit


class Limits(NamedTuple):
    """Of a loop, per unit: 32 channels of a token in one direction."""

    units: int  # in a turn
    instructions: float
    exponentials: float  # and reciprocals
    words: float  # times 4, as a processor has four partitions that wait for them
    spills: float = 0


class Kernel(NamedTuple):
    """Limits of registers, and of the loops in the order of the program."""

    registers: int
    loops: tuple[Limits, ...]


BOTH = 2  # directions
WALK = Limits(2, 102, 17, words=80, spills=1)
FIRST, LAST = 'chunk_scan, first launch', 'chunk_scan, last launch'
KERNELS = {
    'chunk_state': Kernel(80, (Limits(4, 97, 17, words=60),) * BOTH),
    FIRST: Kernel(80, (Limits(4, 122, 17, words=110),) * BOTH),
    LAST: Kernel(80, (Limits(4, 142, 19, words=116),) * BOTH),
    'conv1d_bwd': Kernel(72, (Limits(8, 45.5, 2, words=6),)),
    'chunk_scan_bwd_dstates': Kernel(152, (Limits(4, 107, 19, words=62),) * BOTH),
    # with the gate's gradient, then masked
    'chunk_scan_bwd': Kernel(
        168,
        (
            WALK,
            Limits(2, 335, 20, words=340, spills=4),
            WALK,
            Limits(2, 322, 20, words=340, spills=8),
        ),
    ),
    'chunk_state, narrow': Kernel(80, (Limits(2, 107, 17, words=80),) * BOTH),
    f'{FIRST}, narrow': Kernel(80, (Limits(2, 136, 17, words=150),) * BOTH),
    f'{LAST}, narrow': Kernel(80, (Limits(2, 161, 19, words=160),) * BOTH),
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
    """Registers and loops of kernels, by name."""
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-m', 'tests.ops.gpu.compiled', target],
        cwd=Path(__file__).parents[3],
        env={'PATH': '', 'TRITON_CACHE_DIR': folder, 'HOME': folder},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def plain_names(compiled):
    return {name.partition(',')[0] for name in compiled}


@pytest.fixture(scope='module')
def compiled(tmp_path_factory):
    return compile_for('sm_90', str(tmp_path_factory.mktemp('triton')))


def test_compiles(compiled):
    """The compiler refuses some of what the interpreter runs."""
    assert plain_names(compiled) == NAMES


def test_compiles_for_an_amd_gpu(tmp_path):
    """Whose warps are twice as wide. Nothing is known of its speed."""
    assert plain_names(compile_for('gfx942', str(tmp_path))) == NAMES


def find(compiled, name):
    """Registers, and the loops that compute."""
    registers, loops = compiled[name]
    if loops is None:
        pytest.skip("Triton's package has no disassembler")
    return registers, [loop for loop in loops if loop.get('MUFU', 0) > 3]


def instructions(loop):
    return sum(count for kind, count in loop.items() if kind != 'words')


@pytest.mark.parametrize('name', KERNELS)
def test_instructions(compiled, name):
    """What loops take; a GPU's time is theirs."""
    registers, loops = find(compiled, name)
    limits = KERNELS[name]
    assert registers <= limits.registers
    assert len(loops) == len(limits.loops)
    for loop, limit in zip(loops, limits.loops):
        units, most, exponentials, words, spills = limit
        assert loop.get('SHFL', 0) == 0
        assert loop['MUFU'] <= units * exponentials
        assert instructions(loop) <= units * most * TOLERANCE
        assert 4 * loop['words'] <= units * words * TOLERANCE
        if spills:  # of kernels that are limited in registers
            spills += MORE_SPILLS
        assert loop.get('LDL', 0) + loop.get('STL', 0) <= units * spills


@pytest.mark.parametrize(
    ('cost', 'name', 'launches'),
    [
        (plan.FORWARD[2].scan, '', (FIRST, LAST)),
        (plan.FORWARD[2].ends, '', ('chunk_state',)),
        (plan.FORWARD[1].scan, ', narrow', (FIRST, LAST)),
        (plan.FORWARD[1].ends, ', narrow', ('chunk_state',)),
        (plan.BACKWARD[2].scan, '', ('chunk_scan_bwd',)),
        (plan.BACKWARD[2].ends, '', ('chunk_scan_bwd_dstates',)),
    ],
)
def test_plans_know_what_kernels_take(compiled, cost, name, launches):
    """A mean over directions and launches."""
    names = [launch + name for launch in launches]
    limits = [limit for name in names for limit in KERNELS[name].loops]
    loops = [loop for name in names for loop in find(compiled, name)[1]]
    per_unit = [
        (instructions(loop), 8 * loop['MUFU'], 4 * loop['words']) for loop in loops
    ]
    means = [
        sum(x[i] / limit.units for x, limit in zip(per_unit, limits))
        / (BOTH * len(launches))
        for i in range(3)
    ]
    assert means == pytest.approx(list(cost), rel=0.025 if VERSION == (3, 9) else 0.2)
