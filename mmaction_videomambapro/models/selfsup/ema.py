"""The moving average that computes the targets."""

from __future__ import annotations

from mmaction.registry import MODELS
from mmengine.model import ExponentialMovingAverage
from torch import Tensor, nn


@MODELS.register_module()
class LinearEMA(ExponentialMovingAverage):
    """Moving average of parameters with a linear momentum schedule.

    Update i = 0, 1, ... is average <- (1 - m_i) average + m_i parameters with
    m_i = momentum + (end_momentum - momentum) min(i / total_updates, 1). This is
    MMEngine's momentum, 1 minus that of the papers: V-JEPA's 0.998 -> 1 is 0.002 -> 0,
    V-JEPA 2's constant 0.99925 is 0.00075. The count continues after ``resume`` and
    after ``load_from``. V-JEPA's schedule ends at 0 and then does nothing; to continue
    from such a checkpoint, use a constant momentum, as V-JEPA 2's cool-down does.

    Args:
        model (nn.Module): The model to average. Buffers are copied.
        momentum (float): First momentum, in (0, 1). Defaults to 0.002.
        end_momentum (float, optional): Last momentum, in [0, 1).
            Defaults to None (``momentum``).
        total_updates (int, optional): Length of the schedule in optimizer updates,
            which are fewer than iterations if gradients are accumulated. Defaults to
            None (the updates of the training run, which ``GuardedOptimWrapper`` passes
            to :meth:`fit_training`).
        interval (int): Calls of :meth:`update_parameters` per update; must equal
            ``accumulative_counts`` of the optimizer wrapper. Defaults to 1.
        stretch (float): Factor on the updates of the training run if
            ``total_updates`` is None; V-JEPA's is 1.25. Defaults to 1.0.

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
                'momentum must be in (0, 1) and end_momentum in [0, 1), but they are '
                f'{momentum} and {end_momentum}; MMEngine counts momentum as 1 minus '
                'that of the papers'
            )
        if (total_updates is not None and total_updates < 1) or interval < 1:
            raise ValueError(
                f'total_updates and interval must be at least 1, but they are '
                f'{total_updates} and {interval}'
            )
        super().__init__(model, momentum, interval)
        self.end_momentum, self.total_updates = end_momentum, total_updates
        self.stretch, self.follows = stretch, total_updates is None

    def fit_training(self, updates: float) -> None:
        """Set the schedule's length from a training run, unless it was given."""
        if self.follows:
            self.total_updates = self.stretch * updates

    def avg_func(
        self, averaged_param: Tensor, source_param: Tensor, steps: int
    ) -> None:
        """Update a parameter in place; call 0 has copied it."""
        update = int(steps) // self.interval - 1
        momentum = self.momentum
        if self.end_momentum != momentum:
            if self.total_updates is None:
                raise ValueError(
                    'the number of updates of the training run is not known: set '
                    'model.ema.total_updates, or use a GuardedOptimWrapper'
                )
            share = min(update / self.total_updates, 1.0)
            momentum += share * (self.end_momentum - momentum)
        averaged_param.lerp_(source_param, momentum)
