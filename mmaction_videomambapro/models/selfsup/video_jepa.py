"""Self-supervised pre-training by feature prediction: V-JEPA."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmaction.registry import MODELS, TASK_UTILS
from mmengine.dist import get_dist_info
from mmengine.model import BaseModel
from torch import Tensor
from torch.nn import functional as F

from ..layers.tokens import take_tokens


@MODELS.register_module()
class VideoJEPA(BaseModel):
    """Predict the features of hidden tokens from those of visible ones.

    `Revisiting Feature Prediction for Learning Visual Representations from Video
    <https://arxiv.org/abs/2404.08471>`_. The backbone encodes the visible tokens of
    each mask. From these and the positions, the predictor estimates the features that a
    moving average of the backbone computes for the whole clip at the hidden places.
    These targets are normalised over channels, and no gradient flows into them. Clips
    are independent: no clip affects another's context or loss.

    The moving average, ``target``, is always in evaluation mode. It is updated with the
    parameters of the last step when the next one begins; the first call copies them, so
    it starts from what was initialised or loaded. Its counter, which is saved, seeds
    the masks, so a resumed run continues the sequence of masks.

    Args:
        backbone (dict): Encoder with ``embed_dims``, ``patch_shape`` and
            ``forward(clips, keep_indices)``: ``VideoMamba`` or ``VideoMambaPro`` with
            ``out_type='raw', with_cls_token=False``, or ``TokenVisionTransformer``.
        predictor (dict): ``JEPAMambaPredictor`` or ``JEPATransformerPredictor``;
            ``in_channels`` and ``num_masks`` are filled in.
        masks (Sequence[dict]): Mask generators. Every clip is masked by each, and the
            loss is the mean over them. The clips of one video share their masks.
        ema (dict): The moving average. Defaults to V-JEPA's first momentum,
            ``dict(type='LinearEMA', momentum=0.002)``.
        loss_exponent (float): p in mean(abs(prediction - target) ** p) / p.
            Defaults to 1.
        var_coeff (float): Weight of the hinge loss that keeps the standard deviation of
            predictions, over the tokens of a clip, at 1. Defaults to 0, as published.
        mask_seed (int): Seed of the masks. Defaults to 0.
        data_preprocessor (dict, optional): Config of the preprocessor.
            Defaults to None.
        init_cfg (dict, optional): MMEngine's initialisation. Defaults to None.

    Raises:
        ValueError: If ``masks`` is empty.
    """

    def __init__(
        self,
        backbone: dict,
        predictor: dict,
        masks: Sequence[dict],
        ema: dict = dict(type='LinearEMA', momentum=0.002),  # noqa: B006
        loss_exponent: float = 1.0,
        var_coeff: float = 0.0,
        mask_seed: int = 0,
        data_preprocessor: dict | None = None,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        if not masks:
            raise ValueError('VideoJEPA needs at least one mask')
        self.backbone = MODELS.build(backbone)
        self.predictor = MODELS.build(
            {
                **predictor,
                'in_channels': self.backbone.embed_dims,
                'num_masks': len(masks),
            }
        )
        self.target = MODELS.build({**ema, 'model': self.backbone})
        self.target.eval()
        self.masks = [TASK_UTILS.build(mask) for mask in masks]
        self.loss_exponent, self.var_coeff = loss_exponent, var_coeff
        self.mask_seed = mask_seed

    def init_weights(self) -> None:
        """Initialise; the target copies the backbone unless it was loaded."""
        super().init_weights()
        if self.target.steps == 0:
            self.target.module.load_state_dict(self.backbone.state_dict())

    def train(self, mode: bool = True) -> VideoJEPA:
        """Switch mode; the target stays in evaluation mode."""
        super().train(mode)
        self.target.eval()
        return self

    def forward(
        self,
        inputs: Tensor,
        data_samples: list | None = None,
        mode: str = 'tensor',
    ) -> dict[str, Tensor] | Tensor | list:
        """Compute the loss or the features.

        Args:
            inputs (Tensor): Normalised clips, (B, clips, C, T, H, W).
            data_samples (list[ActionDataSample], optional): Samples with the labels,
                which only the evaluation reads. Defaults to None.
            mode (str): 'loss' returns ``loss_jepa``, ``loss_var`` if ``var_coeff`` is
                not 0, and statistics to monitor: ``target_std`` and ``pred_std``, the
                standard deviation over all tokens; ``clip_std``, that of the targets
                over clips at one place, which is 0 if features only encode their
                position; and ``var_hinge``. 'tensor' returns the target's features of
                all tokens, (B, clips, L, D). 'predict' returns the data samples with
                the mean of these, (D,), as ``feature``. Defaults to 'tensor'.
        """
        if inputs.ndim != 6:
            raise ValueError(
                'VideoJEPA expects clips (B, clips, C, T, H, W), but got a tensor of '
                f'shape {tuple(inputs.shape)}; is the pipeline\'s FormatShape "NCTHW"?'
            )
        if mode == 'loss':
            return self.loss(inputs)
        features = self.extract_feat(inputs)
        if mode == 'tensor':
            return features
        if mode != 'predict':
            raise ValueError(f"mode is {mode!r}, expected 'loss', 'tensor', 'predict'")
        for sample, feature in zip(data_samples, features.float().mean((1, 2))):
            sample.set_field(feature, 'feature')
        return data_samples

    @torch.no_grad()
    def extract_feat(self, inputs: Tensor) -> Tensor:
        """Compute the target's features, (B, clips, C, T, H, W) -> (B, clips, L, D)."""
        return self.target(inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2])

    def loss(self, inputs: Tensor) -> dict[str, Tensor]:
        """Compute the loss of a batch; in training mode, also update the target."""
        step = int(self.target.steps)
        if self.training:
            self.target.update_parameters(self.backbone)
        (batch, num_clips), clips = inputs.shape[:2], inputs.flatten(0, 1)
        grid = tuple(n // p for n, p in zip(clips.shape[2:], self.backbone.patch_shape))
        with torch.no_grad():
            targets = self.target(clips).float()
            targets = F.layer_norm(targets, targets.shape[-1:])

        losses, stds, pred_std = [], [], []
        for index, (keep, hidden) in enumerate(self._masks(grid, batch, step)):
            keep = keep.repeat_interleave(num_clips, dim=0)
            hidden = hidden.repeat_interleave(num_clips, dim=0)
            context = self.backbone(clips, keep)
            pred = self.predictor(context, keep, hidden, grid, index).float()
            error = pred - take_tokens(targets, hidden.to(targets.device))
            losses.append(error.abs().pow(self.loss_exponent).mean())
            stds.append(
                (pred.var(dim=1, correction=0) + 1e-4).sqrt()
            )  # over the tokens of a clip
            pred_std.append(_std(pred))
        var_hinge = F.relu(1 - torch.stack(stds).mean(0)).mean()
        results = dict(loss_jepa=torch.stack(losses).mean() / self.loss_exponent)
        if self.var_coeff:
            results['loss_var'] = self.var_coeff * var_hinge
        # names without "loss": MMEngine would add them to the total
        return dict(
            **results,
            var_hinge=var_hinge.detach(),
            clip_std=targets.std(dim=0, correction=0).mean(),
            target_std=_std(targets),
            pred_std=torch.stack(pred_std).mean(),
        )

    def _masks(self, grid, batch, step):
        """Yield each mask's visible and hidden tokens of this process's samples."""
        rank, world_size = get_dist_info()
        # samplers deal the samples out to the processes in turn
        total = batch * world_size
        rows = range(rank, total, world_size)
        for index, mask in enumerate(self.masks):
            yield mask(grid, rows, total, (self.mask_seed, step, index))


@torch.no_grad()
def _std(features):
    """Standard deviation over all tokens, averaged over channels."""
    return features.flatten(0, 1).std(dim=0, correction=0).mean()
