"""Stops a training whose loss or weights are no longer finite."""

from __future__ import annotations

import torch
from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from ..optimizers.guarded import TrainingStopped, stop_unless_finite


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stops at the first loss that is not finite, and names its samples.

    Works with any recipe; ``tools/train.py`` adds it. Once a weight is not finite, no
    checkpoint is written, so earlier ones are kept. With ``GuardedOptimWrapper``, the
    training stops before anything is updated.

    Raises:
        TrainingStopped: With the files of the batch.
    """

    priority = 'VERY_HIGH'  # before anything averages or saves the weights

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Give the loss guard, if there is one, the samples of the loss."""
        guard = getattr(runner.optim_wrapper, 'guard', None)
        if guard is not None:
            guard.batch = data_batch

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Check the loss; the weights that it led to are not used any further."""
        losses = [
            value.detach().float().mean()
            for name, value in (outputs or {}).items()
            if 'loss' in name and isinstance(value, torch.Tensor)
        ]
        if losses:
            stop_unless_finite(torch.stack(losses).sum(), runner.iter, data_batch)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Keep weights that are not finite out of checkpoints."""
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        for name, weight in model.named_parameters():
            if not weight.isfinite().all():
                raise TrainingStopped(
                    f'{name} is not finite after iteration {runner.iter + 1}, and no '
                    'checkpoint was written: resume from the last one with a lower '
                    'learning rate, gradient clipping, or float32 instead of fp16'
                )
