"""Attentive probes with many learning rates and weight decays, trained in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import product

import torch
from mmaction.models.heads import BaseHead
from mmaction.registry import MODELS
from torch import Tensor, nn

from .attentive_head import AttentiveHead


@MODELS.register_module()
class AttentiveProbeGrid(BaseHead):
    """A grid of :class:`AttentiveHead` over the same frozen features.

    This is V-JEPA 2's evaluation (arXiv 2506.09985): the backbone, the costliest part,
    runs once for all probes. Their losses are added, so no probe affects the gradients
    of another; ``ProbeGridOptimWrapperConstructor`` gives each its learning rate and
    weight decay. All probes start from the same weights and differ in nothing else.

    Predictions come from the probe that was best in validation. ``ProbeGridMetric``
    compares the probes and ``ProbeChoiceHook`` stores the best one in ``best``, a
    buffer that is saved in checkpoints (-1 before the first validation; the first probe
    predicts until then).

    Args:
        num_classes (int): Number of classes.
        in_channels (int): Channels of the tokens.
        lrs (Sequence[float]): Learning rates. Defaults to ().
        weight_decays (Sequence[float]): Weight decays; every pair of a learning rate
            and a weight decay has a probe. Defaults to (0.01,).
        pairs (Sequence[tuple[float, float]]): Further probes, each with a learning rate
            and a weight decay. A pair may be repeated, for another schedule.
            Defaults to ().
        init_cfg (dict, optional): MMEngine's initialisation. Defaults to None.
        **kwargs: Further arguments of :class:`AttentiveHead`.

    Raises:
        ValueError: If there is no probe, or two in the grid are the same.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        lrs: Sequence[float] = (),
        weight_decays: Sequence[float] = (0.01,),
        pairs: Sequence[tuple[float, float]] = (),
        init_cfg: dict | list | None = None,
        **kwargs,
    ) -> None:
        super().__init__(num_classes, in_channels, init_cfg=init_cfg)
        grid = list(product(lrs, weight_decays))
        self.grid = grid + [tuple(pair) for pair in pairs]
        if not self.grid or len(set(grid)) < len(grid):
            raise ValueError(
                f'lrs={lrs} and weight_decays={weight_decays} must have at least one '
                'value each, without duplicates'
            )
        self.names = _numbered(f'lr{lr:g}_wd{decay:g}' for lr, decay in self.grid)
        self.probes = nn.ModuleList(
            AttentiveHead(num_classes, in_channels, **kwargs) for _ in self.grid
        )
        self.register_buffer('best', torch.tensor(-1))

    def init_weights(self) -> None:
        """Initialise all probes identically, then apply ``init_cfg``."""
        first, *others = self.probes
        first.init_weights()
        for probe in others:
            probe.load_state_dict(first.state_dict())
        super().init_weights()

    def forward(self, x: Tensor, **kwargs) -> Tensor:
        """Classify with every probe.

        Args:
            x (Tensor): Tokens, (B * crops * num_clips, L, C), as for
                :class:`AttentiveHead`.
            **kwargs: Further arguments that recognizers pass; not used.

        Returns:
            Tensor: Scores of the k probes, (k, B * crops, num_classes).
        """
        return torch.stack([probe(x) for probe in self.probes])

    def loss_by_feat(self, cls_scores: Tensor, data_samples: list) -> dict:
        """Sum the probes' losses and average their accuracies.

        Args:
            cls_scores (Tensor): Output of :meth:`forward`.
            data_samples (list[ActionDataSample]): Labels.
        """
        losses = [
            probe.loss_by_feat(scores, data_samples)
            for probe, scores in zip(self.probes, cls_scores)
        ]
        total = {
            key: torch.stack([loss[key] for loss in losses]).sum(0) for key in losses[0]
        }
        for key in total:
            if 'loss' not in key:
                total[key] = total[key] / len(losses)
        return total

    def predict_by_feat(self, cls_scores: Tensor, data_samples: list) -> list:
        """Add the best probe's predictions, and the top guesses of all, to the samples.

        Args:
            cls_scores (Tensor): Output of :meth:`forward`.
            data_samples (list[ActionDataSample]): Receive ``pred_score``,
                ``pred_label`` and, for ``ProbeGridMetric``, ``probe_labels`` (k, 5),
                the five best labels of each probe in order, with ``probe_names``.
        """
        num_segs = cls_scores.shape[1] // len(data_samples)
        scores = torch.stack(
            [p.average_clip(s, num_segs) for p, s in zip(self.probes, cls_scores)]
        )  # (k, B, classes)
        guesses = scores.topk(min(5, self.num_classes), dim=2)[1]
        best = max(int(self.best), 0)
        for i, sample in enumerate(data_samples):
            sample.set_pred_score(scores[best, i])
            sample.set_pred_label(guesses[best, i, :1])
            sample.set_field(guesses[:, i], 'probe_labels')
            sample.set_field(self.names, 'probe_names')
        return data_samples


def _numbered(names):
    """Number the names that occur again: a, b, a_2."""
    numbered, seen = [], Counter()
    for name in names:
        seen[name] += 1
        numbered.append(name if seen[name] == 1 else f'{name}_{seen[name]}')
    return numbered
