"""The moving average that makes the targets."""

from __future__ import annotations

from mmaction.registry import MODELS
from mmengine.model import ExponentialMovingAverage
from torch import Tensor, nn


@MODELS.register_module()
class LinearEMA(ExponentialMovingAverage):
    """Moving average of parameters whose momentum goes in a straight line.

    Update i = 0, 1, ... is average <- (1 - m_i) average + m_i parameters with
    m_i = momentum + (end_momentum - momentum) min(i / total_updates, 1). This is
    MMEngine's momentum, 1 minus that of the papers: V-JEPA's 0.998 -> 1 is 0.002 -> 0,
    V-JEPA 2's constant 0.99925 is 0.00075. The count goes on after ``resume`` and after
    ``load_from``: for what a line does at its end is nothing, train on from a
    checkpoint with a constant, as V-JEPA 2's cool-down does.

    Args:
        model (nn.Module): What is averaged. Buffers are copied.
        momentum (float): In (0, 1). Defaults to 0.002.
        end_momentum (float, optional): In [0, 1). Defaults to None, ``momentum``.
        total_updates (int, optional): Updates from one to the other, counted as the
            optimizer counts them: not in iterations, where gradients are accumulated.
            Defaults to None, those of the training, which ``GuardedOptimWrapper``
            gives to :meth:`fit_training`.
        interval (int): Calls of :meth:`update_parameters` for an update: the
            ``accumulative_counts`` of the optimizer wrapper. Defaults to 1.
        stretch (float): Times the updates of the training, where these are taken;
            V-JEPA's is 1.25. Defaults to 1.0.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        momentum: float = 0.002,
        end_momentum: float | None = None,
        total_updates: int | None = None,
        interval: int = 1,
        stretch: float = 1.0,
    ) -> None:
        end_momentum = momentum if end_momentum is None else end_momentum
        if not (0 < momentum < 1 and 0 <= end_momentum < 1):
            raise ValueError(
                'momentum must be in (0, 1) and end_momentum in [0, 1), but are '
                f"{momentum} and {end_momentum}: they are MMEngine's, 1 minus that of "
                'the papers'
            )
        if (total_updates is not None and total_updates < 1) or interval < 1:
            raise ValueError(
                f'total_updates and interval must be at least 1, but are '
                f'{total_updates} and {interval}'
            )
        super().__init__(model, momentum, interval)
        self.end_momentum, self.total_updates = end_momentum, total_updates
        self.stretch, self.follows = stretch, total_updates is None

    def fit_training(self, updates: float) -> None:
        """Take the length of the line from a training, unless it was given."""
        if self.follows:
            self.total_updates = self.stretch * updates

    def avg_func(
        self, averaged_param: Tensor, source_param: Tensor, steps: int
    ) -> None:
        """Update a parameter in place; the call numbered 0 copied it."""
        update = int(steps) // self.interval - 1
        momentum = self.momentum
        if self.end_momentum != momentum:
            if self.total_updates is None:
                raise ValueError(
                    'how many updates the training has is not known: set '
                    'model.ema.total_updates, or train with a GuardedOptimWrapper'
                )
            share = min(update / self.total_updates, 1.0)
            momentum += share * (self.end_momentum - momentum)
        averaged_param.lerp_(source_param, momentum)
