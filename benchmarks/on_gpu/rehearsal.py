"""Stand-ins for a GPU on any CPU, so that every line has run before a GPU is paid for.

Sizes are tiny. The kernels run in Triton's interpreter where they are checked; being
slow, plain PyTorch takes their place in the other stages. The clock, the memory and the
name of the GPU, and mamba-ssm, are replaced; what calls them is not.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import sys
import time
from types import ModuleType, SimpleNamespace

import numpy
import torch
import triton

from mmaction_videomambapro.ops import BACKENDS

from .device import Plan
from .missing import skip

PLAN = Plan(
    device='cpu',
    shapes=((1, 8, 5), (2, 4, 7)),
    odd_shapes=(),
    repeats=2,
    longest_peer=5,
    compiler='eager',
    archs=(dict(embed_dims=16, depth=1),),
    frames=(2, 4),
    clips=1,
    pixels=32,
    vit=dict(embed_dims=16, depth=1, num_heads=2),
    copied=1 << 10,
    tests=('tests/ops/gpu/test_on_gpu.py',),  # collected, and skipped on a CPU
    workers=1,
    rehearsed=True,
)


def begin(stage: str) -> Plan:
    """Put the stand-ins in place."""
    assert os.environ.get('TRITON_INTERPRET') == '1', 'set by benchmarks/gpu.sh'
    _replace_gpu()
    if stage == 'mamba_ssm':
        _replace_mamba_ssm()
    if stage != 'correctness':
        BACKENDS['triton'] = BACKENDS['chunked']
        return PLAN
    if reason := interpreter_fails(triton.__version__, numpy.__version__):
        skip(reason)
    return dataclasses.replace(PLAN, shapes=PLAN.shapes[:1])


def interpreter_fails(triton_version: str, numpy_version: str) -> str | None:
    """Why Triton's interpreter cannot run here; compiled kernels always can."""
    of_triton, of_numpy = (
        tuple(map(int, x.split('.')[:2])) for x in (triton_version, numpy_version)
    )
    if of_triton < (3, 7) and of_numpy >= (2, 4):
        return (
            f'the interpreter of Triton {triton_version} fails with NumPy '
            f'{numpy_version}: rehearse with NumPy 2.3; on a GPU, nothing is wrong'
        )
    return None


def _replace_gpu():
    real = inspect.signature(triton.testing.do_bench)

    def do_bench(*args, **kwargs):
        function = real.bind(*args, **kwargs).arguments['fn']
        start = time.perf_counter()
        function()
        return 1e3 * (time.perf_counter() - start)

    triton.testing.do_bench = do_bench
    for name, value in dict(
        synchronize=None,
        reset_peak_memory_stats=None,
        memory_allocated=0,
        max_memory_allocated=1 << 20,
        get_device_name='no GPU',
        get_device_properties=SimpleNamespace(
            major=0, minor=0, multi_processor_count=1, total_memory=1 << 30
        ),
    ).items():
        setattr(torch.cuda, name, lambda *args, value=value: value)


def _replace_mamba_ssm():
    """The package, on the scan in plain PyTorch."""
    interface = ModuleType('mamba_ssm.ops.selective_scan_interface')
    interface.selective_scan_fn = BACKENDS['chunked'].run
    for name in ('mamba_ssm', 'mamba_ssm.ops'):
        sys.modules[name] = ModuleType(name)
    sys.modules[interface.__name__] = interface
    BACKENDS['mamba_ssm'] = dataclasses.replace(
        BACKENDS['mamba_ssm'], why_not=lambda u, states: None
    )
