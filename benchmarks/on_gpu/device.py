"""What is measured on which device, its clock and its memory."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
import triton

from mmaction_videomambapro.ops.backends import FORCE_VARIABLE


@dataclass(frozen=True)
class Plan:
    """Sizes. A rehearsal has small ones, on a CPU."""

    device: str = 'cuda'
    shapes: tuple = ()  # (B, D, L) of scans
    odd_shapes: tuple = ((2, 70, 150), (3, 9, 3), (1, 33, 65))
    repeats: int = 20  # which must give the same bits
    longest_peer: int = 1569  # of peers that launch a kernel per token or unroll
    compiler: str = 'inductor'
    archs: tuple = ('tiny', 'small', 'middle')
    frames: tuple = ()
    clips: int = 32  # of 8 frames in a batch; as many tokens at other lengths
    pixels: int = 224
    vit: dict = field(
        default_factory=lambda: dict(embed_dims=768, depth=12, num_heads=12)
    )
    copied: int = 1 << 30  # bytes, to measure the memory's speed
    tests: tuple = ('tests/ops/gpu',)
    workers: int = 16  # of pytest, each with a context of its own on the GPU
    rehearsed: bool = False


def heading(plan: Plan) -> str:
    """The machine's name, and what decides the figures."""
    if not (plan.rehearsed or torch.cuda.is_available()):
        sys.exit('PyTorch finds no GPU on this machine')
    parts = (
        torch.cuda.get_device_name(),
        f'driver {driver()}',
        f'CUDA {torch.version.cuda}',
        f'torch {torch.__version__}',
        f'Triton {triton.__version__}',
        f'Python {platform.python_version()}',
        time.strftime('%Y-%m-%d'),
    )
    note = '**A rehearsal on a CPU: its figures mean nothing.** ' * plan.rehearsed
    return note + ', '.join(parts)


def driver() -> str:
    """Its version, from whoever knows it."""
    if shutil.which('nvidia-smi'):
        command = 'nvidia-smi', '--query-gpu=driver_version', '--format=csv,noheader'
        found = subprocess.run(command, capture_output=True, text=True, timeout=30)
        if found.returncode == 0 and found.stdout.strip():
            return found.stdout.split()[0]
    loaded = Path('/sys/module/nvidia/version')
    return loaded.read_text().strip() if loaded.exists() else 'unknown'


def milliseconds(function: Callable[[], object]) -> float:
    """Median time of a call by the GPU's clock, with a cold cache."""
    return triton.testing.do_bench(function, warmup=50, rep=300, return_mode='median')


def megabytes(function: Callable[[], object]) -> float:
    """Memory that a call takes at its peak, above what is there before."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    function()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def copy_bandwidth(plan: Plan) -> float:
    """Bytes per second, read and written."""
    x = torch.empty(plan.copied, dtype=torch.uint8, device=plan.device)
    y = torch.empty_like(x)
    return 2 * x.numel() / (1e-3 * milliseconds(lambda: y.copy_(x)))


@contextmanager
def forced(backend: str) -> Iterator[None]:
    """Have one backend compute every scan and convolution."""
    os.environ[FORCE_VARIABLE] = backend
    try:
        yield
    finally:
        del os.environ[FORCE_VARIABLE]
