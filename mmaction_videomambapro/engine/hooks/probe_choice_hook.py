"""Records which probe of a grid is the best."""

from __future__ import annotations

from mmaction.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper

from ...errors import UsageError


@HOOKS.register_module()
class ProbeChoiceHook(Hook):
    """Note in the model which probe ``ProbeGridMetric`` found best.

    ``CheckpointHook`` saves ``best_*.pth`` afterwards. It saves ``epoch_*.pth`` before
    the epoch is validated, so these hold the choice of the previous validation.

    Raises:
        UsageError: When testing a checkpoint that was saved before any validation.
    """

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        chosen = [v for k, v in (metrics or {}).items() if k.endswith('best_probe')]
        if chosen:
            head = _head(runner)
            head.best.fill_(int(chosen[0]))
            name = head.names[int(chosen[0])]
            print_log(f'The best probe is {name}.', 'current')

    def before_test(self, runner) -> None:
        if int(_head(runner).best) < 0:
            raise UsageError(
                f'no probe of {runner._load_from} was chosen, because it was saved '
                'before the first validation: test a best_*.pth, or a later one'
            )


def _head(runner):
    model = runner.model
    return (model.module if is_model_wrapper(model) else model).cls_head
