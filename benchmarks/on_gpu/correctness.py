"""Whether the kernels are right on this GPU, and the same in every run.

Errors are norm-wise, against the scan in float64 without any kernel.
"""

from __future__ import annotations

import sys
import traceback

import torch

from mmaction_videomambapro.ops import ScanInputs, causal_conv1d

from .device import Plan, forced, heading
from .report import Report
from .scan import both_directions, make_inputs

# of the output, of gradients
ALLOWED = {torch.float32: (2e-6, 1e-5), torch.bfloat16: (3e-2, 5e-2)}
TAPS = 4


def run(stage: str, report: Report, plan: Plan) -> None:
    report.line(heading(plan))
    shapes = (*plan.shapes, *plan.odd_shapes)
    wrong = 0
    for what, make in dict(scan=_scan, convolution=_convolution).items():
        same = f'same bits in {plan.repeats} runs'
        report.table(
            f'Errors of the {what}, at most {_limits()}',
            *('y', 'worst gradient', 'of', same, 'verdict'),
        )
        for shape in shapes:
            for dtype in ALLOWED:
                wrong += not _check(report, plan, make, shape, dtype)
    if wrong:
        sys.exit(f'{wrong} rows are wrong, see {stage}.md')


def _limits():
    return '; '.join(
        f'{y:g} and {gradients:g} in {str(dtype).removeprefix("torch.")}'
        for dtype, (y, gradients) in ALLOWED.items()
    )


def _check(report, plan, make, shape, dtype):
    name = f'{tuple(shape)}, {str(dtype).removeprefix("torch.")}'
    torch.manual_seed(0)
    function, leaves, names = make(shape, dtype, plan.device)
    dy = torch.randn_like(leaves[0])  # u or x, of the size and type of y
    try:
        with forced('triton'):
            found = _results(function, leaves, dy)
            same = all(
                all(map(torch.equal, found, _results(function, leaves, dy)))
                for _ in range(plan.repeats - 1)
            )
        with forced('chunked'):
            doubles = [x.detach().double().requires_grad_() for x in leaves]
            expected = _results(function, doubles, dy.double())
    except Exception as error:  # the next shape may still work
        traceback.print_exc()
        report.row(name, '', '', '', '', f'FAILED: {type(error).__name__}')
        return False
    errors = [_error(x, reference) for x, reference in zip(found, expected)]
    worst = max(range(1, len(errors)), key=errors.__getitem__)
    right = all(
        error <= ALLOWED[dtype][i > 0] for i, error in enumerate(errors)
    )  # not where it is NaN
    verdict = 'right' if right and same else 'WRONG'
    cells = errors[0], errors[worst], names[worst - 1], str(same), verdict
    report.row(name, *cells)
    return verdict == 'right'


def _results(function, leaves, dy):
    y = function(*leaves)
    return y.detach(), *torch.autograd.grad(y, leaves, dy)


def _error(x, reference):
    error = (x - reference).norm() / reference.norm().clamp(min=1e-30)
    return torch.nan_to_num(error, nan=torch.inf).item()


def _scan(shape, dtype, device):
    forward, backward, z = make_inputs(shape, dtype, device)
    count = len(forward)

    def scan(*leaves):
        forward, backward = ScanInputs(*leaves[:count]), ScanInputs(*leaves[count:-1])
        return both_directions(forward, backward, leaves[-1])

    names = [f'{n} forward' for n in forward._fields]
    names += [f'{n} backward' for n in backward._fields]
    return scan, [*forward, *backward, z], [*names, 'z']


def _convolution(shape, dtype, device):
    batch, channels, length = shape
    x = torch.randn(batch, length, channels, device=device, dtype=dtype).mT
    weight = torch.randn(channels, TAPS, device=device)
    bias = torch.randn(channels, device=device)
    leaves = [t.requires_grad_() for t in (x, weight, bias)]

    def convolution(x, weight, bias):
        return sum(
            causal_conv1d(x, weight, bias, 'silu', reverse=reverse)
            for reverse in (False, True)
        )

    return convolution, leaves, ['x', 'weight', 'bias']
