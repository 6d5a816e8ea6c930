"""Patches that make MMEngine save, find and resume checkpoints safely."""

import os.path as osp
import sys

from mmengine.config import Config

from ..compat import patch
from ..compat.helpers import RUNNERS, replace, runner_in
from .checkpoints import (
    choose_start,
    follow_folder,
    newest_checkpoint,
    removing_later,
    save_checkpoint,
)


@patch(
    'mmengine.hooks.checkpoint_hook',
    symptom='a kill while a checkpoint is saved loses the one before as well',
    until='CheckpointHook removes after it has saved, and names paths that can move',
)
def _checkpoints_removed_first(checkpoint_hook):
    hook = checkpoint_hook.CheckpointHook
    hook._save_checkpoint_with_step = save_checkpoint

    @replace(hook, '_save_best_checkpoint')
    def save_best(original, self, runner, metrics):
        if hasattr(self, 'file_backend'):  # missing in a validation without training
            with removing_later(self):
                original(self, runner, metrics)

    @replace(hook, 'before_train')
    def before_train(original, self, runner):
        original(self, runner)
        follow_folder(self, runner)


def _choose_start(runner):
    """Handle ``resume='auto'``, or True without ``load_from`` as MMAction2 sets it."""
    given = runner._load_from
    auto = runner._resume == 'auto' or (runner._resume is True and given is None)
    if not auto or runner._has_loaded:
        return
    if not hasattr(runner._train_loop, 'run'):  # a test, with a training's config
        runner._resume = False
        return

    def load_from():
        file = runner.cfg.filename
        if runner._resume == 'auto' or not file or not osp.isfile(file):
            return given
        return Config.fromfile(file).get('load_from')  # the tool removed it

    choose_start(runner, load_from)


@patch(
    *RUNNERS,
    symptom='--resume stops at a damaged checkpoint, or drops load_from without one',
    until='Runner resumes from the newest whole checkpoint, and else from load_from',
)
def _resuming_from_what_there_is(module):
    for name in ('mmengine.runner', 'mmengine.runner.checkpoint', module.__name__):
        sys.modules[name].find_latest_checkpoint = newest_checkpoint

    @replace(runner_in(module), 'load_or_resume')
    def load_or_resume(original, self):
        _choose_start(self)
        return original(self)


@patch(
    'mmengine.runner.loops',
    symptom='resumed inside an epoch, batches are counted from its beginning',
    until='EpochBasedTrainLoop resumes inside an epoch',
)
def _batches_of_resumed_epochs(loops):
    @replace(loops.EpochBasedTrainLoop, 'run_iter')
    def run_iter(original, self, idx, data_batch):
        return original(
            self, self._iter - self._epoch * len(self.dataloader), data_batch
        )
