"""Makes random numbers depend on the training position, not on what came before."""

from __future__ import annotations

import random

import numpy as np
import torch
from mmaction.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed Python, NumPy and PyTorch before every epoch and each of its iterations.

    The seed is derived from the run's seed, the epoch or iteration, and the rank.
    MMEngine seeds once, at the start, so a resumed run draws other augmentations and
    drops other paths than the run it continues. With this hook both are the same, bit
    for bit, if samples have their own seeds (``SeededSampler``).
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner) -> None:
        """Seed what the loader draws when it starts."""
        _seed(runner.seed, runner.epoch)

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Seed what the model draws."""
        _seed(runner.seed, runner.epoch, runner.iter)


def _seed(*place: int) -> None:
    seed = np.random.SeedSequence([*place, get_rank()])
    seed = int(seed.generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    # torch.manual_seed would queue a call each time while no GPU is in use
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
