"""Gives each probe of a grid its own learning rate and weight decay."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmaction.registry import OPTIM_WRAPPER_CONSTRUCTORS, PARAM_SCHEDULERS
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.optim.scheduler.param_scheduler import INF, _ParamScheduler
from torch import nn


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ProbeGridOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Parameter groups for ``AttentiveProbeGrid``: one per probe.

    Rates and decays are those of the head's grid; the optimizer's ``lr`` and
    ``weight_decay`` have no effect. All parameters of a probe are decayed, as in
    V-JEPA 2. Schedulers that work with ratios, such as a cosine to 0, fit all of them.

    Args:
        optim_wrapper_cfg (dict): The optimizer wrapper.
        paramwise_cfg (dict, optional): Must be None or empty. Defaults to None.

    Raises:
        ValueError: If there is a ``paramwise_cfg``, or ``clip_grad``, because a norm
            over all probes' gradients would couple them; or if the model has no grid,
            or has other parameters to train.
    """

    def __init__(
        self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None
    ) -> None:
        for key, value in dict(
            paramwise_cfg=paramwise_cfg, clip_grad=optim_wrapper_cfg.get('clip_grad')
        ).items():
            if value:
                raise ValueError(f'{type(self).__name__} takes no {key}')
        # must not be empty, or MMEngine does not ask for groups
        super().__init__(optim_wrapper_cfg, dict(bypass_duplicate=False))

    def add_params(self, params: list[dict], module: nn.Module, **kwargs) -> None:
        head = module.cls_head
        if not hasattr(head, 'grid'):
            raise ValueError(
                f'{type(self).__name__} needs an AttentiveProbeGrid, but cls_head is '
                f'{type(head).__name__}'
            )
        trained = sum(p.requires_grad for p in module.parameters())
        if trained != len(list(head.parameters())):
            raise ValueError(
                'a grid of probes needs a backbone that is frozen altogether: with '
                'frozen_stages=24, or as many as it has layers'
            )
        for probe, (lr, weight_decay) in zip(head.probes, head.grid):
            group = dict(lr=lr, weight_decay=weight_decay)
            params.append(dict(params=list(probe.parameters()), **group))


@PARAM_SCHEDULERS.register_module()
class ProbeGridScheduler(_ParamScheduler):
    """A warm-up and a cosine for each probe of a grid, as V-JEPA 2 schedules them.

    At iteration i = 1, 2, ... of N, the factor on the value that the optimizer was
    built with is start + (1 - start) i / w during a probe's warm-up of w iterations,
    and final + (1 - final) (1 + cos(pi (i - w) / (N - w))) / 2 from then on.
    (MMEngine's schedulers have one warm-up, and one factor, for all parameters.)

    Args:
        optimizer (OptimWrapper): Has one group per probe, as
            :class:`ProbeGridOptimWrapperConstructor` makes them.
        param_name (str): 'lr' or 'weight_decay'. Defaults to 'lr'.
        starts (Sequence[float], optional): Initial factor of each probe.
            Defaults to None, 1.
        warmups (Sequence[float], optional): Epochs of each probe's warm-up.
            Defaults to None, 0.
        finals (Sequence[float], optional): Final factor of each probe.
            Defaults to None, 0.
        **kwargs: As for MMEngine's schedulers; ``end``, by default that of the
            training, has to be given or filled in by the runner.

    Raises:
        ValueError: If the number of values is not that of the probes, or no end is set.
    """

    def __init__(
        self,
        optimizer,
        param_name: str = 'lr',
        starts: Sequence[float] | None = None,
        warmups: Sequence[float] | None = None,
        finals: Sequence[float] | None = None,
        **kwargs,
    ) -> None:
        # a wrapper has one more, with what it was built with, for logs
        probes = len(getattr(optimizer, 'optimizer', optimizer).param_groups)
        self.starts = [1.0] * probes if starts is None else list(starts)
        self.warmups = [0] * probes if warmups is None else list(warmups)
        self.finals = [0.0] * probes if finals is None else list(finals)
        for name in ('starts', 'warmups', 'finals'):
            if len(getattr(self, name)) != probes:
                raise ValueError(
                    f'{type(self).__name__}: {name} has {len(getattr(self, name))} '
                    f'numbers for {probes} probes'
                )
        if kwargs.get('end', INF) == INF:
            raise ValueError(f'{type(self).__name__} needs an end')
        super().__init__(optimizer, param_name, **kwargs)

    @classmethod
    def build_iter_from_epoch(
        cls,
        *args,
        begin: int = 0,
        end: int = INF,
        by_epoch: bool = True,
        epoch_length: int | None = None,
        warmups: Sequence[float] | None = None,
        **kwargs,
    ) -> ProbeGridScheduler:
        """Build one that counts iterations from arguments in epochs."""
        if warmups is not None:
            warmups = [int(warmup * epoch_length) for warmup in warmups]
        begin, end = int(begin * epoch_length), int(end * epoch_length)
        kwargs.update(begin=begin, end=end, by_epoch=False, warmups=warmups)
        return cls(*args, **kwargs)

    def _get_value(self) -> list[float]:
        step, total = self.last_step + 1, self.end - self.begin
        values = []
        for base, start, warmup, final in zip(
            self.base_values, self.starts, self.warmups, self.finals
        ):
            if step < warmup:
                factor = start + (1 - start) * step / warmup
            else:
                share = (step - warmup) / max(1, total - warmup)
                factor = final + (1 - final) * (1 + math.cos(math.pi * share)) / 2
            values.append(base * factor)
        return values + self.base_values[len(values) :]
