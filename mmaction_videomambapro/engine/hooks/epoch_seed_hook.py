"""Random numbers that depend on the place in the training, not on what came before."""

from __future__ import annotations

import random

import numpy as np
import torch
from mmaction.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed Python, NumPy and PyTorch before every epoch and every iteration of it.

    From the seed of the run, the epoch or iteration, and the rank. MMEngine seeds once,
    at the start: a resumed run then draws other augmentations and drops other paths
    than the run it continues. With this hook both are the same, bit for bit, if samples
    have their own seeds: ``SeededSampler``.
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
    # torch.manual_seed would queue a call each time where a GPU is not in use
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
