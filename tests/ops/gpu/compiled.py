"""Compiles the kernels for a GPU that is not there, and counts what loops consist of.

A program of its own, as the tests have Triton interpret kernels. Its argument is
'sm_90', or 'gfx942', an AMD GPU, whose code is not counted. It prints, as JSON, the
registers and loops of each kernel that a training step of a mixer's scan and
convolution launches, in bfloat16 and with every flag; for an NVIDIA GPU in both
directions, and then those of a scan in narrow tiles. Loops are those without a loop
inside, each with its numbers of instructions by kind, and 'words': how many words per
lane pass between registers and the processor's memory.
"""

import collections
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction

CHANNELS, LENGTH, STATES = 1152, 333, 16
INSTRUCTION = re.compile(r'\s*/\*([0-9a-f]{4,6})\*/\s+(?:@!?U?P\w+\s+)?([A-Z]\w*)(.*);')
MEMORY = {'LDG', 'STG', 'LDS', 'STS', 'LDL', 'STL', 'LDSM', 'STSM'}
DISASSEMBLER = Path(triton.__file__).parent / 'backends/nvidia/bin/cuobjdump'


TARGETS = {'sm_90': GPUTarget('cuda', 90, 32), 'gfx942': GPUTarget('hip', 'gfx942', 64)}


class Driver:
    """Of the GPU that there is not."""

    target: GPUTarget
    is_active = staticmethod(lambda: True)

    def get_current_target(self):
        return self.target

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0


def disassemble(cubin, option):
    with tempfile.NamedTemporaryFile(suffix='.cubin') as file:
        Path(file.name).write_bytes(cubin)
        result = subprocess.run(
            [DISASSEMBLER, option, file.name],
            capture_output=True,
            text=True,
            check=True,
        )
    return result.stdout + result.stderr


def registers(cubin):
    return int(re.search(r'REG:(\d+)', disassemble(cubin, '-res-usage'))[1])


def loops(cubin):
    """Counts of instructions of the innermost loops, in the order of the program."""
    found = INSTRUCTION.finditer(disassemble(cubin, '-sass'))
    code = [(int(x[1], 16), x[2], x[3]) for x in found if x[2] != 'NOP']
    spans = {}  # the last jump back to each address
    for address, name, arguments in code:
        target = re.search(r'0x([0-9a-f]+)', arguments)
        if name == 'BRA' and target and int(target[1], 16) < address:
            spans[int(target[1], 16)] = address
    inner = [
        (a, b)
        for a, b in spans.items()
        if not any(a < c and d <= b for c, d in spans.items())
    ]
    return [count(x[1:] for x in code if a <= x[0] <= b) for a, b in sorted(inner)]


def count(code):
    code = list(code)
    kinds = collections.Counter(name for name, _ in code)
    return kinds | {'words': sum(words(*x) for x in code if x[0] in MEMORY)}


def words(name, arguments):
    """Loads of four are those of B and C, or states; pairs of lanes share theirs."""
    modifiers = arguments.split(' ')[0].split('.')
    if name.endswith('M'):  # a matrix of words
        return int(modifiers[-1])
    words = next((n for n in (4, 2) if str(32 * n) in modifiers), 1)
    return words / 2 if (name, words) == ('LDG', 4) else words


def compile_only(self, *args, grid, warmup, run=JITFunction.run, **kwargs):
    code = run(self, *args, grid=grid, warmup=True, **kwargs).asm
    launch = {True: ', last launch', False: ', first launch'}.get(kwargs.get('FINAL'))
    found = None, None
    if 'cubin' in code and DISASSEMBLER.exists():
        found = registers(code['cubin']), loops(code['cubin'])
    report[self.fn.__name__ + (launch or '') + tiles] = found


def tokens(channels):
    x = torch.randn(1, LENGTH, channels, dtype=torch.bfloat16)
    return x.mT.requires_grad_()


def scan(Q, both=True):
    """Several segments side by side, in tiles of a width.

    Narrow ones in turns of half the usual length: these compile in a quarter of the
    time and take 1 to 2 % more instructions.
    """
    from mmaction_videomambapro.ops import ScanInputs, gpu
    from mmaction_videomambapro.ops.gpu import plan, scan_ops

    scan_ops.plan_forward = lambda *_: plan.Plan(Q, W=2, FOURS=2, segments=4)
    scan_ops.plan_backward = lambda *_: plan.Plan(Q=2, W=4, FOURS=2, segments=2)

    def direction():
        weight, A = torch.ones(CHANNELS), -torch.rand(CHANNELS, STATES)
        per_token = [tokens(n) for n in (CHANNELS, CHANNELS, STATES, STATES)]
        return ScanInputs(*per_token[:2], A, *per_token[2:], weight, weight)

    z = tokens(2 * CHANNELS)[:, :CHANNELS]
    if both:
        return gpu.scan_operator.run_both(direction(), direction(), z, True, True, True)
    *inputs, bias = direction()
    flags = dict(residual=True, masked=True, reverse=True)
    return gpu.scan_operator.run(*inputs, z, bias, True, **flags)


def convolve(x):
    from mmaction_videomambapro.ops import gpu

    weight, bias = torch.ones(CHANNELS, 4), torch.ones(CHANNELS)
    return gpu.conv1d_operator.run(x, weight, bias, 'silu', True)


if __name__ == '__main__':
    report, tiles = {}, ''
    Driver.target = TARGETS[sys.argv[1]]
    triton.runtime.driver.set_active(Driver())
    JITFunction.run = compile_only
    setattr(torch.version, Driver.target.backend, 'any')
    nvidia = Driver.target.backend == 'cuda'
    convolve(scan(Q=2, both=nvidia)).sum().backward()
    if nvidia:
        tiles = ', narrow'
        scan(Q=1)
    json.dump(report, sys.stdout)
