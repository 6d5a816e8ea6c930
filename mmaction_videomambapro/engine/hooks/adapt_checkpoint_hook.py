"""Options for fitting the checkpoint of ``load_from`` to the model."""

from __future__ import annotations

from mmaction.registry import HOOKS
from mmengine.hooks import Hook


@HOOKS.register_module()
class AdaptCheckpointHook(Hook):
    """Fit the checkpoint of ``load_from`` with options other than the defaults.

    Without this hook a checkpoint that does not fit exactly is fitted with the
    defaults. A run that resumes is left alone.

    Args:
        inflate (str): How a patch kernel of fewer frames fills a tubelet, 'centre' or
            'mean'; only 'mean' takes one with more frames. Defaults to 'centre'.
        label_map (tuple[str], optional): Two text files, the label names of the
            checkpoint and of the model, one per line. Defaults to None.
        weights (str): 'ema', or 'raw' for the live weights instead of the average.
            Defaults to 'ema'.
        strict (bool): Whether anything unexpected is an error. Defaults to True.
    """

    priority = 'VERY_HIGH'  # before EMAHook, which copies the weights

    def __init__(
        self,
        inflate: str = 'centre',
        label_map: tuple[str, str] | None = None,
        weights: str = 'ema',
        strict: bool = True,
    ) -> None:
        self.options = dict(
            inflate=inflate, label_map=label_map, weights=weights, strict=strict
        )

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Replace the state dict in ``checkpoint`` by one that fits."""
        if runner._resume:
            return
        from ...checkpoints.fit import fit

        checkpoint['state_dict'] = fit(checkpoint, runner.model, **self.options)
