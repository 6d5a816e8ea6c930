"""A learning rate and a weight decay for each probe of a grid."""

from __future__ import annotations

from mmaction.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ProbeGridOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Parameter groups for ``AttentiveProbeGrid``: one for each probe.

    Rates and decays are those of the head's grid; ``lr`` and ``weight_decay`` of the
    optimizer have no effect. All parameters of a probe are decayed, as in V-JEPA 2.
    Schedulers that work by ratios, such as a cosine to 0, fit all of them.

    Args:
        optim_wrapper_cfg (dict): The optimizer wrapper.
        paramwise_cfg (dict, optional): None is possible. Defaults to None.

    Raises:
        ValueError: If there is a ``paramwise_cfg``, or ``clip_grad``: the norm of all
            probes' gradients would tie them to each other; or if the model has no
            grid, or more to train than that.
    """

    def __init__(
        self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None
    ) -> None:
        for key, value in dict(
            paramwise_cfg=paramwise_cfg, clip_grad=optim_wrapper_cfg.get('clip_grad')
        ).items():
            if value:
                raise ValueError(f'{type(self).__name__} takes no {key}')
        # not empty, or MMEngine does not ask for groups
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
