"""Sets learning rates by depth, and selects which parameters are decayed."""

from __future__ import annotations

from mmaction.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from ...models.backbones.videomamba import STEM
from ...models.layers.mixer import STATES

RELEASED_STEM = tuple(f'backbone.{name}' for name in STEM)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Layer-wise learning rate decay for backbones that know their layers.

    A parameter of layer i of L gets ``layer_decay ** (L + 1 - i)`` of the learning
    rate; the embeddings are layer 0, and what follows the layers is layer L + 1. 1-D
    parameters and those that the backbone's ``no_weight_decay()`` names are not
    decayed. (MMAction2's constructor knows only MViT and VisionTransformer.)

    Keys of ``paramwise_cfg``:

    - layer_decay (float): Defaults to 1.
    - stem_only (bool): As VideoMamba was trained: in its released code the layer-wise
      decay reaches only the patch embedding, the class token and the spatial embedding.
      Defaults to False.
    - decay_states (bool): Whether weight decay applies to ``A_log`` of the scans, as in
      VideoMamba's released code and against Mamba's own rule. Defaults to False.

    Raises:
        ValueError: If a key is unknown, or the backbone has no ``get_layer_depth``.
    """

    def add_params(self, params: list[dict], module: nn.Module, **kwargs) -> None:
        config = dict(self.paramwise_cfg)
        layer_decay = config.pop('layer_decay', 1.0)
        stem_only = config.pop('stem_only', False)
        decay_states = config.pop('decay_states', False)
        if config:
            raise ValueError(
                f'{type(self).__name__}: unknown paramwise_cfg {", ".join(config)}, '
                'expected layer_decay, stem_only, decay_states'
            )
        backbone = module.backbone
        if not hasattr(backbone, 'get_layer_depth'):
            raise ValueError(
                f'{type(backbone).__name__} has no get_layer_depth, which '
                f'{type(self).__name__} needs'
            )
        undecayed = {f'backbone.{name}' for name in backbone.no_weight_decay()}
        groups = {}
        for name, param in module.named_parameters():
            if not param.requires_grad:
                continue
            depth, num_ids = backbone.get_layer_depth(name)
            if stem_only:
                depth = 0 if name.startswith(RELEASED_STEM) else num_ids - 1
            scale = layer_decay ** (num_ids - 1 - depth)
            decayed = (
                param.ndim > 1
                and name not in undecayed
                and (decay_states or name.rpartition('.')[2] not in STATES)
            )
            group = groups.setdefault(
                (scale, decayed),
                dict(
                    params=[],
                    lr=self.base_lr * scale,
                    weight_decay=self.base_wd if decayed else 0.0,
                ),
            )
            group['params'].append(param)
        params.extend(groups.values())
