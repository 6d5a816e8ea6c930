"""What benchmarks/scan.py and benchmarks/model.py do with --device cuda."""

from __future__ import annotations

import os
import sys
from functools import partial

import torch
import triton
from common import header, row
from mmaction.registry import MODELS
from peers import cumulative_chunks, published_pair
from torch import nn
from torch.nn import functional as F

from mmaction_videomambapro.models import VideoMambaPro
from mmaction_videomambapro.ops import BACKENDS, ScanInputs
from mmaction_videomambapro.ops.backends import FORCE_VARIABLE

SCAN_SHAPES = (8, 1152, 1569), (8, 384, 3137), (1, 1152, 12545)
STATES = 16
FRAMES = 8, 16, 32, 64
CLIPS = 64  # of 8 frames in a batch; as many tokens at other lengths


def machine() -> str:
    """Its name, and what decides the figures."""
    if not torch.cuda.is_available():
        sys.exit('--device cuda: PyTorch finds no GPU on this machine')
    name = torch.cuda.get_device_name()
    return (
        f'{name}, CUDA {torch.version.cuda}, torch {torch.__version__}, '
        f'triton {triton.__version__}'
    )


def milliseconds(function) -> float:
    """Median time of a call by the GPU's clock, with a cold cache."""
    return triton.testing.do_bench(function, warmup=50, rep=300, return_mode='median')


def megabytes(function) -> float:
    """Memory that a call takes at its peak, above what is there before."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    function()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def copy_bandwidth() -> float:
    """Bytes a second, read and written."""
    x = torch.empty(1 << 30, dtype=torch.uint8, device='cuda')
    y = torch.empty_like(x)
    return 2 * x.numel() / (1e-3 * milliseconds(lambda: y.copy_(x)))


# The scan


def compare_scans(shapes=SCAN_SHAPES):
    """Print a table for each shape and type."""
    name, bandwidth = machine(), copy_bandwidth()
    print(f'{name}; a copy moves {bandwidth / 1e12:.2f} TB/s')
    for shape in shapes:
        for dtype in (torch.float32, torch.bfloat16):
            _compare_scans(shape, dtype, bandwidth)


def _compare_scans(shape, dtype, bandwidth):
    torch.manual_seed(0)
    forward, backward, z = _inputs(*shape, dtype)
    leaves = [*forward, *backward, z]
    dy = torch.randn_like(z)
    inputs = sum(x.numel() * x.element_size() for x in leaves)
    output = dy.numel() * dy.element_size()
    # each tensor once: forward reads the inputs and writes y; backward reads both
    # again, with the gradient of y, and writes a gradient for each input
    floors = inputs + output, 3 * inputs + 3 * output

    kind = str(dtype).removeprefix('torch.')
    print(f'\n(B, D, L) = {tuple(shape)}, N = {STATES}, {kind}, both directions\n')
    columns = 'ms', 'TB/s', 'of the floor', 'MB', 'times triton'
    header('', *columns, *(f'with backward {name}' for name in columns))
    base = {}
    for name, scan, backward_too in _scans(forward, backward, z):

        def infer(scan=scan):
            with torch.no_grad():
                return scan()

        def train(scan=scan):
            return torch.autograd.grad(scan(), leaves, dy, allow_unused=True)

        cells = []
        functions = dict(forward=infer, train=train if backward_too else None)
        for floor, (key, function) in zip(floors, functions.items()):
            if function is None:
                continue
            try:
                ms, mb = milliseconds(function), megabytes(function)
            except Exception as error:  # a peer that fails is a result as well
                cells += [type(error).__name__, *('',) * 4]
                continue
            achieved = floor / (1e-3 * ms)
            ratio = ms / base.setdefault(key, ms)
            cells += [ms, achieved / 1e12, achieved / bandwidth, mb, ratio]
        row(name, *cells)


def _inputs(batch, channels, length, dtype):
    def tokens(last):
        x = torch.randn(batch, length, last, device='cuda', dtype=dtype)
        return x.mT.requires_grad_()

    def direction():
        A = -torch.arange(1.0, STATES + 1, device='cuda').repeat(channels, 1)
        D = torch.ones(channels, device='cuda')
        bias = torch.rand(channels, device='cuda') * 2 - 4
        A, D, bias = (x.requires_grad_() for x in (A, D, bias))
        return ScanInputs(
            tokens(channels),
            tokens(channels),
            A,
            tokens(STATES),
            tokens(STATES),
            D,
            bias,
        )

    return direction(), direction(), tokens(channels)


def _scans(forward, backward, z):
    """Name, call, whether with gradients."""

    def with_backend(name):
        run = BACKENDS[name]
        if run.run_both is not None:
            return run.run_both(forward, backward, z, True, True, True)
        flags = dict(delta_softplus=True, residual=True)
        y = run.run(**forward._asdict(), **flags)
        y = y + run.run(**backward._asdict(), **flags, masked=True, reverse=True)
        return y * F.silu(z)

    yield 'this project, triton', partial(with_backend, 'triton'), True
    if BACKENDS['mamba_ssm'].why_not(z, STATES) is None:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

        def two_plain_scans():
            """As VideoMamba calls it: no residual state, no mask, flipped copies."""
            u, delta, A, B, C, D, bias = (
                x.contiguous() if x.ndim > 2 else x for x in forward
            )
            y = selective_scan_fn(u, delta, A, B, C, D, z, bias, True)
            u, delta, A, B, C, D, bias = (
                x.flip(-1) if x.ndim > 2 else x for x in backward
            )
            other = selective_scan_fn(u, delta, A, B, C, D, z.flip(-1), bias, True)
            return y + other.flip(-1)

        yield 'mamba-ssm, two plain scans and flips', two_plain_scans, True
        yield 'this project, mamba_ssm', partial(with_backend, 'mamba_ssm'), True
    yield 'this project, chunked', partial(with_backend, 'chunked'), True

    compiled = torch.compile(cumulative_chunks, dynamic=False)

    def floats():  # as the published code scans whatever type comes in
        return *([x.float() for x in d] for d in (forward, backward)), z.float()

    def two_compiled():
        first, second, gate = floats()
        return (compiled(*first, gate) + compiled(*second, gate)).to(z.dtype)

    def loops():
        return published_pair(*floats()).to(z.dtype)

    yield 'torch.compile of cumulative chunks, twice', two_compiled, True
    yield 'published loops', loops, False


# The backbone


class ScaledDotProduct(nn.Module):
    """MMAction2's VideoMAE attention on PyTorch's fused kernel."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x):
        a = self.attention
        bias = torch.cat((a.q_bias, torch.zeros_like(a.v_bias), a.v_bias))
        qkv = F.linear(x, a.qkv.weight, bias).unflatten(-1, (3, a.num_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, scale=a.scale)
        return a.proj(y.transpose(1, 2).flatten(2))


def compare_models(archs, frames=FRAMES):
    """Print clips a second, in bfloat16."""
    print(machine())
    for n in frames:
        batch = max(1, CLIPS * 8 // n)
        clip = torch.randn(batch, 3, n, 224, 224, device='cuda')
        print(f'\n{batch} clips of {n} frames of 224 x 224, bfloat16\n')
        header('', *(f'{p} {c}' for p in ('test', 'train') for c in ('clips/s', 'MB')))
        for arch in archs:
            net = VideoMambaPro(arch=arch, num_frames=n).cuda()
            _measure(f'VideoMambaPro {arch}', net, clip)
            os.environ[FORCE_VARIABLE] = 'mamba_ssm'
            if BACKENDS['mamba_ssm'].why_not(clip, STATES) is None:
                _measure(f'VideoMambaPro {arch}, mamba_ssm', net, clip)
            del os.environ[FORCE_VARIABLE], net
        config = dict(embed_dims=768, depth=12, num_heads=12, num_frames=n)
        vit = MODELS.build(dict(type='VisionTransformer', img_size=224, **config))
        for block in vit.blocks:
            block.attn = ScaledDotProduct(block.attn)
        _measure('VideoMAE ViT base, SDPA', vit.cuda(), clip)


def _measure(name, net, clip):
    def infer():
        with torch.no_grad(), torch.autocast('cuda', torch.bfloat16):
            net(clip)

    def train():
        net.zero_grad()
        with torch.autocast('cuda', torch.bfloat16):
            loss = net(clip).float().square().mean()
        loss.backward()

    cells = []
    for mode, function in ((False, infer), (True, train)):
        net.train(mode)
        try:
            ms = milliseconds(function)
            cells += [1e3 * len(clip) / ms, megabytes(function)]
        except torch.cuda.OutOfMemoryError:
            cells += ['out of memory', '']
    row(name, *cells)
