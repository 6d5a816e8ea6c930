"""Schedules that MMEngine lacks."""

from __future__ import annotations

from mmaction.registry import PARAM_SCHEDULERS
from mmengine.optim import CosineAnnealingParamScheduler
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin

INF = int(1e9)  # MMEngine's


@PARAM_SCHEDULERS.register_module()
class StretchedCosineParamScheduler(CosineAnnealingParamScheduler):
    """A cosine that would end after the training, as in V-JEPA.

    Its length follows the training: ``end`` defaults to the last epoch, and ``T_max``
    is derived from it.

    Args:
        *args: As for MMEngine's ``CosineAnnealingParamScheduler``.
        stretch (float): End of the cosine relative to ``end``, both counted from the
            beginning of the training. Defaults to 1.0, MMEngine's cosine.
        begin (int): First step. Defaults to 0.
        end (int): Last step. Defaults to the end of the training.
        **kwargs: As for ``CosineAnnealingParamScheduler``.

    Raises:
        ValueError: If ``stretch`` is below 1, since the value would rise again.
    """

    def __init__(
        self, *args, stretch: float = 1.0, begin: int = 0, end: int = INF, **kwargs
    ) -> None:
        if stretch < 1:
            raise ValueError(f'stretch is {stretch}, expected at least 1')
        kwargs['T_max'] = stretch * end - begin
        super().__init__(*args, begin=begin, end=end, **kwargs)


@PARAM_SCHEDULERS.register_module()
class StretchedCosineLR(LRSchedulerMixin, StretchedCosineParamScheduler):
    """:class:`StretchedCosineParamScheduler` for the learning rate."""
