"""Inputs of a scan, and how close a backend has to come to the definition."""

import itertools

import torch

# of the Triton kernels: a GPU, or a CPU for Triton's interpreter
DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
NAMES = ('u', 'delta', 'A', 'B', 'C', 'D', 'z', 'delta_bias')
ON_CPU = ['llvm', 'chunked', 'naive']
WITHOUT_FLOAT64 = [*ON_CPU, 'triton']
FLAGS = ('residual', 'masked', 'reverse')
ALL_FLAGS = [
    dict(zip(FLAGS, values)) for values in itertools.product([False, True], repeat=3)
]


def relative_error(x, reference):
    # a gradient that is zero must be zero
    return ((x - reference).norm() / reference.norm().clamp(min=1e-30)).item()


def make_inputs(batch, channels, length, states, groups=None, dtype=torch.float64):
    """Random inputs in the layout of the mixers: (B, L, D) memory seen as (B, D, L)."""

    def tokens():
        return torch.randn(batch, length, channels, dtype=dtype).mT

    shape = (
        (batch, states, length) if groups is None else (batch, groups, states, length)
    )
    return dict(
        u=tokens(),
        delta=tokens(),
        A=-torch.rand(channels, states, dtype=dtype).mul(3).exp(),
        B=torch.randn(shape, dtype=dtype),
        C=torch.randn(shape, dtype=dtype),
        D=torch.randn(channels, dtype=dtype),
        z=tokens(),
        delta_bias=torch.randn(channels, dtype=dtype),
    )


def run_with_gradients(scan, inputs, weight, **flags):
    leaves = {k: v.detach().clone().requires_grad_() for k, v in inputs.items()}
    out = scan(**leaves, delta_softplus=True, **flags)
    (out * weight).sum().backward()
    return {'out': out.detach(), **{k: v.grad for k, v in leaves.items()}}


OUTPUTS = ('y', *NAMES)
# norm-wise, against float64: of the output, of gradients
PRECISION = {
    torch.float64: (1e-13, 1e-13),
    torch.float32: (2e-6, 1e-5),
    torch.bfloat16: (3e-2, 5e-2),
    torch.float16: (3e-2, 5e-2),
}


def run(scan, inputs, dtype=None, **flags):
    """Output and every gradient, for a loss that the seed decides."""
    leaves = {k: v.detach().to(dtype or v.dtype) for k, v in inputs.items()}
    leaves = {k: v.requires_grad_() for k, v in leaves.items()}
    y = scan(**leaves, **flags)
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(y.shape, generator=generator, dtype=torch.float64)
    (y * weight.to(y.dtype)).sum().backward()
    for x in leaves.values():
        if x.grad is None:  # one masked token reads nothing
            x.grad = torch.zeros_like(x)
    return {'y': y.detach(), **{k: v.grad for k, v in leaves.items()}}


def restride(x, layout):
    """The same numbers, otherwise in memory."""
    if layout == 'channel_major':  # (B, D, L) in one piece
        return x.contiguous()
    if layout == 'gaps':  # a slice of something larger, as from a split
        return torch.cat([x.mT, x.mT], -1)[..., : x.shape[-2]].mT
    if layout == 'strided':  # every second number
        return torch.stack([x, x], -1).flatten(-2)[..., ::2]
    return x


def constant(value):
    return lambda x: torch.full_like(x, value)


EXTREMES = {
    'steep': dict(delta=lambda x: x.abs() * 1e3, A=constant(-100.0)),
    'very_long_steps': dict(delta=constant(1e4)),
    'no_steps': dict(delta=constant(-1e4)),
    'long_bias': dict(delta_bias=constant(1e4)),
    'short_bias': dict(delta_bias=constant(-1e4)),
    'long_and_no_steps': dict(delta=lambda x: x.sign() * 1e4),
    'flat': dict(A=constant(-1e-15)),
    'vertical': dict(A=constant(-1e15)),
    'vertical_in_tiny_steps': dict(
        A=constant(-1e15), delta=lambda x: x - 34.5, delta_bias=constant(0.0)
    ),
    'wide': dict(
        A=lambda x: -torch.exp(3 * torch.randn_like(x)), delta=lambda x: x * 10
    ),
    'growing': dict(A=lambda x: x.abs() / 40),
    'huge': dict(u=lambda x: x * 1e20),
    'tiny': dict(u=lambda x: x * 1e-20),
    'closed_gate': dict(z=constant(-1e4)),
    'open_gate': dict(z=constant(1e4)),
    'ones': {name: torch.ones_like for name in NAMES},
    'zeros': {name: torch.zeros_like for name in NAMES},
}
