"""Optimizer wrappers that clip modules separately and watch the loss."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import torch
from mmaction.registry import OPTIM_WRAPPERS
from mmengine.dist import all_gather_object, all_reduce
from mmengine.logging import print_log
from mmengine.model import BaseAveragedModel, is_model_wrapper
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch import nn

from ...datasets.sample_files import files_of_batch
from ...errors import RunStopped


class TrainingStopped(RunStopped):
    """Training cannot go on; the reason is given in one sentence."""


MOST_NAMED = 16  # samples per message


def stop_unless_finite(loss: torch.Tensor, step: int, batch: Any = None) -> float:
    """Stop all processes if the loss of any of them is not finite.

    Args:
        loss (Tensor): A scalar.
        step (int): Number of the iteration, from 0.
        batch: What the data loader returned; its samples are named. Defaults to None.

    Returns:
        float: The mean over all processes.

    Raises:
        TrainingStopped: With the files of the batch, if the samples name them.
    """
    loss = loss.detach().float()
    mean = loss.clone()
    all_reduce(mean, 'mean')
    mean = float(mean)
    if math.isfinite(mean):
        return mean
    own = float(loss)
    files = [] if math.isfinite(own) else list(dict.fromkeys(files_of_batch(batch)))
    everywhere = all_gather_object((own, files))
    files = [file for _, files in everywhere for file in files]
    samples = ', '.join(files[:MOST_NAMED]) or 'not known by name'
    if len(files) > MOST_NAMED:
        samples += f' and {len(files) - MOST_NAMED} more'
    bad = next((x for x, _ in everywhere if not math.isfinite(x)), mean)
    raise TrainingStopped(
        f'the loss is {bad} at iteration {step + 1}, which is not saved: resume '
        'from the last checkpoint with a lower learning rate, gradient clipping, or '
        f'float32 instead of fp16, or look at the samples, which are {samples}'
    )


class LossGuard:
    """Stops on a non-finite loss and detects spikes.

    The mean over all processes is judged, so that they agree.

    Args:
        num_std (float, optional): A loss is a spike if it exceeds the mean of the
            recent ones by more than this many standard deviations. Defaults to None:
            no loss is a spike.
        window (int): Number of recent losses. No loss counts as a spike until the
            window is full. Defaults to 300.
        max_skips (int): Spikes in a row after which training stops. Defaults to 10.
    """

    def __init__(
        self, num_std: float | None = None, window: int = 300, max_skips: int = 10
    ) -> None:
        self.num_std, self.max_skips = num_std, max_skips
        self.losses = deque(maxlen=window)
        self.skips = 0
        self.batch = None  # the batch that gave the loss, set by FiniteLossHook

    def is_spike(self, loss: torch.Tensor, step: int) -> bool:
        """Judge the loss of a step, and remember it unless it is a spike."""
        loss = stop_unless_finite(loss, step, self.batch)
        losses = torch.tensor(self.losses, dtype=torch.float64)
        if self.num_std is not None and len(losses) == self.losses.maxlen:
            limit = losses.mean() + self.num_std * losses.std()
            if loss > limit:
                self.skips += 1
                print_log(
                    f'Iteration {step + 1}: a loss of {loss:.4g} where '
                    f'{float(limit):.4g} is the limit, update skipped.',
                    'current',
                )
                if self.skips >= self.max_skips:
                    raise TrainingStopped(
                        f'the loss of {self.skips} iterations in a row was too high, '
                        f'{loss:.4g} in the last one, iteration {step + 1}: resume '
                        'from an earlier checkpoint with a lower learning rate'
                    )
                return True
        self.skips = 0
        self.losses.append(loss)
        return False


class _Guarded:
    """What both wrappers add to MMEngine's."""

    def __init__(self, *args, guard: dict | None = None, clip_begin: int = 0, **kwargs):
        super().__init__(*args, **kwargs)
        self.guard = LossGuard(**(guard or {}))
        self.clip_begin = clip_begin
        self.modules: dict[str, list] = {}
        self._spiked = False

    def initialize_count_status(
        self, model: nn.Module, init_counts: int, max_counts: int
    ) -> None:
        """Note the model's children, and give moving averages their length.

        Raises:
            ValueError: If a moving average in the model is updated more or less often
                than the parameters.
        """
        super().initialize_count_status(model, init_counts, max_counts)
        model = model.module if is_model_wrapper(model) else model
        for name, module in model.named_modules():
            if not isinstance(module, BaseAveragedModel):
                continue
            if module.interval != self._accumulative_counts:
                raise ValueError(
                    f'the moving average {name!r} has interval={module.interval}, but '
                    f'accumulative_counts is {self._accumulative_counts}: they must '
                    'be the same'
                )
            if hasattr(module, 'fit_training'):
                module.fit_training(max_counts / self._accumulative_counts)
        self.modules = {
            name: [p for p in child.parameters() if p.requires_grad]
            for name, child in model.named_children()
        }

    def update_params(self, loss, *args, **kwargs) -> None:
        """As MMEngine's, unless the loss is a spike or not finite."""
        # with accumulation one spike spoils the sum of gradients
        self._spiked |= self.guard.is_spike(loss, self._inner_count)
        super().update_params(loss, *args, **kwargs)

    def step(self, **kwargs) -> None:
        """Update, unless there was a spike since the last update."""
        spiked, self._spiked = self._spiked, False
        if not spiked:
            super().step(**kwargs)

    def _clip_grad(self) -> None:
        if self._inner_count <= self.clip_begin * self._accumulative_counts:
            return
        for name, parameters in self.modules.items():
            parameters = [p for p in parameters if p.grad is not None]
            if not parameters:
                continue
            norm = self.clip_func(parameters, **self.clip_grad_kwargs)
            if norm is not None:  # as for clip_grad=dict(type='value', ...)
                key = f'train/{self.grad_name}_{name}'
                self.message_hub.update_scalar(key, float(norm))

    def state_dict(self) -> dict:
        """State dict that includes what the guard remembers."""
        guard = dict(
            losses=list(self.guard.losses), skips=self.guard.skips, spiked=self._spiked
        )
        return {**super().state_dict(), 'guard': guard}

    def load_state_dict(self, state_dict: dict) -> None:
        """Load a state dict, with what the guard remembers if it was saved."""
        state_dict = dict(state_dict)
        guard = state_dict.pop('guard', None)
        if guard is not None:
            self.guard.losses.extend(guard['losses'])
            self.guard.skips = guard['skips']
            self._spiked = guard.get('spiked', False)
        super().load_state_dict(state_dict)


@OPTIM_WRAPPERS.register_module()
class GuardedOptimWrapper(_Guarded, OptimWrapper):
    """MMEngine's wrapper with a loss guard and a separate gradient norm per module.

    V-JEPA clips encoder and predictor separately, after the warm-up; V-JEPA 2.1 skips
    updates with a suddenly high loss. A non-finite loss ends the training before
    anything is updated.

    Args:
        *args: As for MMEngine's ``OptimWrapper``.
        guard (dict, optional): ``num_std``, ``window`` and ``max_skips`` of
                :class:`LossGuard`. Defaults to None, no spike detection.
        clip_begin (int): Updates before ``clip_grad`` begins. Defaults to 0.
        **kwargs: As for MMEngine's ``OptimWrapper``. With ``clip_grad``, each child of
            the model, such as backbone and predictor, is clipped to ``max_norm``
            separately, and its norm is logged as ``grad_norm_<child>``.

    Raises:
        TrainingStopped: If the loss is not finite, or too often a spike.
    """


@OPTIM_WRAPPERS.register_module()
class GuardedAmpOptimWrapper(_Guarded, AmpOptimWrapper):
    """:class:`GuardedOptimWrapper` in mixed precision.

    Gradients are clipped after the loss scale is removed.

    Args:
        *args: As for MMEngine's ``AmpOptimWrapper``.
        guard (dict, optional): As for :class:`GuardedOptimWrapper`. Defaults to None,
            no spike detection.
        clip_begin (int): Updates before ``clip_grad`` begins. Defaults to 0.
        **kwargs: As for MMEngine's ``AmpOptimWrapper``; ``clip_grad`` as for
            :class:`GuardedOptimWrapper`.
    """
