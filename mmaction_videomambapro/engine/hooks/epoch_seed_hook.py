"""Random numbers that depend on the epoch only, so that resuming repeats nothing."""

from __future__ import annotations

import random

import numpy as np
import torch
from mmaction.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import FUNCTIONS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed Python, NumPy and PyTorch from (seed, epoch, rank) before every epoch.

    MMEngine seeds once, at the start: a resumed run then draws other augmentations
    and drops other paths than the run it continues. With this hook both are the
    same, bit for bit, if data loader workers take their seed from the main process:
    ``worker_init_fn=dict(type='keep_torch_seed'), persistent_workers=False``.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner) -> None:
        seed = np.random.SeedSequence([runner.seed, runner.epoch, get_rank()])
        seed = int(seed.generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)


@FUNCTIONS.register_module()
def keep_torch_seed(worker_id: int, **_: object) -> None:
    """Leave a data loader worker the seed that PyTorch gave it.

    PyTorch draws it from the main process anew for each epoch. MMEngine's own
    ``worker_init_fn`` sets the same seed in every epoch instead, so that workers
    which do not persist repeat their augmentations. Other arguments are what MMEngine
    hands over of the config, ``_scope_`` for one, and are ignored.
    """
