"""Self-distillation: classification guided by a smaller trained network."""

from __future__ import annotations

import torch
from mmaction.models.recognizers import Recognizer3D
from mmaction.registry import MODELS
from mmengine.model import Sequential
from torch import Tensor, nn
from torch.nn import functional as F


@MODELS.register_module()
class DistilledRecognizer3D(Recognizer3D):
    """MMAction2's Recognizer3D, trained to match a teacher's tokens.

    VideoMamba's self-distillation, which keeps its larger sizes from overfitting on
    ImageNet-1K (arXiv 2403.06977, ``engine_distill.py``): a smaller trained network
    sees the same inputs, and each token of the backbone, after its final norm and a
    projection, is trained to align (cosine) with the teacher's. At test time it
    behaves as a Recognizer3D.

    The teacher is not saved in checkpoints: every run loads it from the teacher's
    ``init_cfg``.

    Args:
        backbone (dict): Config of a ``VideoMamba`` or ``VideoMambaPro``.
        cls_head (dict): Config of the head, as for Recognizer3D.
        teacher (dict): Config of another such backbone, with as many tokens and an
            ``init_cfg`` that loads its weights.
        loss_weight (float): Weight of mean(2 - 2 cosine), which is added to the head's
            loss. Defaults to 1.
        **kwargs: Further arguments of Recognizer3D, except ``neck``.

    Raises:
        ValueError: If there is a ``neck``, or the teacher has no ``init_cfg``.
    """

    training_only = ('distill_head.',)  # checkpoints for tests may lack it

    def __init__(
        self,
        backbone: dict,
        cls_head: dict,
        teacher: dict,
        loss_weight: float = 1.0,
        **kwargs,
    ) -> None:
        super().__init__(backbone=backbone, cls_head=cls_head, **kwargs)
        if self.with_neck:
            raise ValueError(f'{type(self).__name__} takes no neck')
        if not teacher.get('init_cfg'):
            raise ValueError(
                'the teacher has no weights: set model.teacher.init_cfg='
                "dict(type='Pretrained', checkpoint=FILE)"
            )
        self.teacher = MODELS.build({**teacher, 'out_type': 'raw'})
        self.teacher.requires_grad_(False).eval()
        self.distill_head = Sequential(
            nn.RMSNorm(self.backbone.embed_dims, eps=1e-5),
            nn.Linear(self.backbone.embed_dims, self.teacher.embed_dims),
            init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02),
        )
        self.loss_weight = loss_weight
        self.register_state_dict_post_hook(_leave_out_teacher)
        self.register_load_state_dict_post_hook(_do_not_miss_teacher)

    def train(self, mode: bool = True) -> DistilledRecognizer3D:
        """Switch mode; the teacher stays in evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def loss(self, inputs: Tensor, data_samples: list, **kwargs) -> dict[str, Tensor]:
        """Compute the losses of the head and, as ``loss_distill``, of the tokens.

        Args:
            inputs (Tensor): Normalised clips, (B, clips, C, T, H, W).
            data_samples (list[ActionDataSample]): Samples with the labels.
            **kwargs: Not used.
        """
        clips = inputs.flatten(0, 1)
        tokens, grid = self.backbone.encode(clips)
        losses = self.cls_head.loss(self.backbone.reduce(tokens, grid), data_samples)
        with torch.no_grad():
            target = self.teacher(clips)  # (N, L, C of the teacher)
        cosine = F.cosine_similarity(self.distill_head(tokens), target, dim=-1)
        losses['loss_distill'] = self.loss_weight * (2 - 2 * cosine).mean()
        return losses


def _leave_out_teacher(module, state_dict, prefix, local_metadata):
    for key in [key for key in state_dict if key.startswith(f'{prefix}teacher.')]:
        del state_dict[key]


def _do_not_miss_teacher(module, incompatible_keys):
    missing = incompatible_keys.missing_keys
    missing[:] = [key for key in missing if 'teacher' not in key.split('.')]
