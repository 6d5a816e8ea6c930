"""Draws the curves of a pre-training in its work directory while it runs."""

from __future__ import annotations

from mmaction.registry import HOOKS
from mmengine.dist import master_only
from mmengine.hooks import Hook

from ...visualization.curves import draw_pretraining, write_tables


@HOOKS.register_module()
class PretrainingCurvesHook(Hook):
    """Writes ``pretraining.png``, ``train.csv`` and ``val.csv`` after each validation.

    They are also written at the end. They show what the logger hook logged, including
    earlier runs in the work directory.
    """

    priority = 'VERY_LOW'  # after the logger

    def before_train(self, runner) -> None:
        """Make sure that scalars will be saved.

        Raises:
            ValueError: If no backend saves them.
        """
        backends = runner.visualizer._vis_backends
        if 'LocalVisBackend' not in backends:
            raise ValueError(
                f'{type(self).__name__} reads what LocalVisBackend writes: add '
                "dict(type='LocalVisBackend') to visualizer.vis_backends"
            )

    def after_val_epoch(self, runner, metrics=None) -> None:
        self._write(runner)

    def after_train(self, runner) -> None:
        self._write(runner)

    @master_only
    def _write(self, runner):
        draw_pretraining(runner.work_dir, f'{runner.work_dir}/pretraining.png')
        write_tables(runner.work_dir, runner.work_dir)
