"""The implementations of the scan and of the convolution, and which one serves."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import torch
from mmengine.logging import print_log
from torch import Tensor

from . import cpu, gpu, mamba_ssm
from .chunked import selective_scan_chunked
from .naive import causal_conv1d_plain, selective_scan_naive
from .operators.scan import ScanOperator

FORCE_VARIABLE = 'MMACTION_VIDEOMAMBAPRO_SCAN'


@dataclass(frozen=True)
class Backend:
    """One implementation of the scan.

    Attributes:
        run (Callable): Same signature as :func:`selective_scan`.
        summary (str): What it is and what it needs, for the diagnosis page.
        why_not (Callable): Given u and the number of states, returns the reason why
            this backend cannot serve them, or None.
        run_both (Callable, optional): Arguments of :func:`bidirectional_scan` in
            order, where both directions together are cheaper than one by one.
        conv1d (Callable): Arguments of :func:`causal_conv1d` in order.
        operator (ScanOperator, optional): The scan with its gradient, where both are
            kernels of this package.
    """

    run: Callable[..., Tensor]
    summary: str
    why_not: Callable[[Tensor, int], str | None] = lambda u, states: None
    run_both: Callable[..., Tensor] | None = None
    conv1d: Callable[..., Tensor] = causal_conv1d_plain
    operator: ScanOperator | None = None


def _kernels(summary, package):
    """A backend of a package, whose operators are None where it is unavailable."""
    scan, conv1d = package.scan_operator, package.conv1d_operator
    if scan is None:  # and why_not has a reason for every call
        return Backend(None, summary, package.why_not)
    return Backend(scan.run, summary, package.why_not, scan.run_both, conv1d.run, scan)


# In order of preference: the first backend without a reason against it is taken.
BACKENDS = {
    'llvm': _kernels('kernels compiled for this CPU', cpu),
    'triton': _kernels('Triton kernels', gpu),
    'mamba_ssm': Backend(
        mamba_ssm.selective_scan_mamba_ssm,
        'the CUDA kernel of mamba-ssm, on flipped copies',
        mamba_ssm.why_not,
        conv1d=mamba_ssm.causal_conv1d_mamba_ssm,
    ),
    'chunked': Backend(selective_scan_chunked, 'plain PyTorch, any device'),
    'naive': Backend(selective_scan_naive, 'the definition, slow, keeps every state'),
}
META_SCAN = ScanOperator('selective_scan_meta', (), None, None, lambda inputs: 0)
_META = Backend(META_SCAN.run, 'shapes only', run_both=META_SCAN.run_both)
# a plain list, which torch.compile can look at
_SERVING: list[Backend] = []


@contextmanager
def serving(backend: Backend) -> Iterator[None]:
    """Let a backend that is none of the :data:`BACKENDS` serve every call."""
    _SERVING.append(backend)
    try:
        yield
    finally:
        _SERVING.pop()


def choose_backend(u: Tensor, states: int = 1) -> Backend:
    """The one that is serving, the forced one, or the first that can serve the call."""
    if _SERVING:
        return _SERVING[-1]
    if u.device.type == 'meta':
        return _META
    forced = os.environ.get(FORCE_VARIABLE)
    if forced:
        if forced not in BACKENDS:
            raise ValueError(
                f'{FORCE_VARIABLE}={forced} is not a scan backend; '
                f'choose from {", ".join(BACKENDS)} or unset it'
            )
        reason = BACKENDS[forced].why_not(u, states)
        if reason:
            raise ValueError(f'{FORCE_VARIABLE}={forced} cannot serve: {reason}')
        return BACKENDS[forced]
    reasons = {}
    for name, backend in BACKENDS.items():
        reason = backend.why_not(u, states)
        if reason is None:
            if not torch.compiler.is_compiling():
                _log_choice(name, tuple(reasons.items()))
            return backend
        reasons[name] = reason
    raise AssertionError('the last backend serves every call')


@lru_cache
def _log_choice(name, reasons):
    """Say once which backend runs, and what is wrong with those before it."""
    passed_over = ''.join(f'; not {other}: {reason}' for other, reason in reasons)
    missing = any(
        'not installed' in reason or 'or later' in reason for _, reason in reasons
    )
    print_log(
        f'Selective scan: {name}, {BACKENDS[name].summary}{passed_over}.',
        'current',
        logging.WARNING if missing else logging.INFO,
    )
