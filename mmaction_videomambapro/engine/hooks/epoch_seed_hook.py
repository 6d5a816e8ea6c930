"""Random numbers that depend on the epoch only, so that resuming repeats nothing."""

from __future__ import annotations

import random

import numpy as np
import torch
from mmaction.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed Python, NumPy and PyTorch from (seed, epoch, rank) before every epoch.

    MMEngine seeds once, at the start: a resumed run then draws other augmentations
    and drops other paths than the run it continues. With this hook both are the
    same, bit for bit, if samples have their own seeds: ``SeededSampler``.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner) -> None:
        seed = np.random.SeedSequence([runner.seed, runner.epoch, get_rank()])
        seed = int(seed.generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
