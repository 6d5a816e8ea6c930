"""Mixed precision for testing and predicting, and whether it is worth it."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from ..errors import UsageError

DTYPES = dict(bf16=torch.bfloat16, fp16=torch.float16)
LEAST_GAIN = 1.1  # times as fast as float32
LARGEST_DIFFERENCE = 0.02  # of a class score, which is at most 1


def check_amp(amp: str | None) -> str | None:
    """Return ``amp`` if it is 'bf16', 'fp16', 'auto' or None.

    Raises:
        UsageError: If it is something else.
    """
    if amp not in (None, 'auto', *DTYPES):
        raise UsageError(f'amp={amp!r} is unknown: choose bf16, fp16, auto, or None')
    return amp


def autocast(model: nn.Module, amp: str | None) -> torch.autocast:
    """A context, or a decorator, in which the model computes in mixed precision.

    Args:
        model (nn.Module): Its parameters' device is meant.
        amp (str, optional): 'bf16' or 'fp16'; None for the parameters' own type.
    """
    device = next(model.parameters()).device.type
    return torch.autocast(device, DTYPES[amp] if amp else None, enabled=bool(amp))


def compute_in(model: nn.Module, amp: str) -> None:
    """Let a model's ``test_step`` compute in mixed precision, whatever loop calls it.

    MMEngine's ``TestLoop(fp16=True)`` leaves the choice of the type to the device.

    Args:
        model (nn.Module): A model of MMEngine, or its wrapper in a distributed run.
        amp (str): 'bf16' or 'fp16'.
    """
    model.test_step = autocast(model, amp)(model.test_step)


@torch.no_grad()
def choose(model: nn.Module, batch: dict | tuple) -> tuple[str | None, str]:
    """Choose between float32 and bf16 by trying both.

    Bf16 is chosen if the processor has instructions for it, if it is at least
    ``LEAST_GAIN`` times as fast, and if, in this batch, every video keeps its best
    class and no score changes by more than ``LARGEST_DIFFERENCE``.

    Args:
        model (nn.Module): A recognizer in evaluation mode.
        batch (dict | tuple): What its ``test_step`` takes.

    Returns:
        tuple[str | None, str]: 'bf16' or None, and a sentence that says why.
    """
    if not has_bf16(next(model.parameters()).device.type):
        return None, 'float32: this processor is not known to have bf16 instructions'
    (full, slow), (low, fast) = (_time(model, batch, amp) for amp in (None, 'bf16'))
    return decide(full, low, slow / fast)


def decide(full: Tensor, low: Tensor, gain: float) -> tuple[str | None, str]:
    """As :func:`choose`, for what was measured.

    Args:
        full (Tensor): Scores in float32, (..., classes).
        low (Tensor): The same in bf16.
        gain (float): How many times as fast bf16 is.
    """
    difference = (full - low).abs().max().item()
    if not torch.equal(full.argmax(-1), low.argmax(-1)):
        return None, 'float32: bf16 changes the best class of a video'
    if not difference <= LARGEST_DIFFERENCE:  # or NaN
        return None, f'float32: scores in bf16 differ by up to {difference:.2g}'
    if gain < LEAST_GAIN:
        return None, f'float32: bf16 is only {gain:.2f} times as fast'
    return (
        'bf16',
        f'bf16: {gain:.1f} times as fast as float32, scores differ by at most '
        f'{difference:.1g}',
    )


def has_bf16(device: str) -> bool:
    """Whether a type of device has instructions for bf16, rather than emulating it.

    Older versions of PyTorch do not say so of CPUs, which then count as having some.
    """
    if device == 'cuda':
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device != 'cpu':
        return False
    capabilities = getattr(torch.cpu, 'get_capabilities', None)
    # amx_bf16 and avx512_bf16; on ARM bf16 and sve_bf16
    return capabilities is None or any(
        has for name, has in capabilities().items() if name.endswith('bf16')
    )


def _time(model, batch, amp):
    """Scores on the CPU, and seconds that they take, kernels being loaded."""
    with autocast(model, amp):
        for _ in range(2):
            start = time.perf_counter()
            samples = model.test_step(batch)
            scores = torch.stack([_scores(x) for x in samples]).cpu()
            seconds = time.perf_counter() - start
            if seconds > 5:  # loading hardly counts, and waiting does
                break
    return scores, seconds


def _scores(sample):
    # a model without scores is the inferencer's to refuse
    return sample.get('pred_score', torch.zeros(1)).float()
