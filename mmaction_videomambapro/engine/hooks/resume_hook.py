"""Makes a resumed training continue as if it had never been stopped."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice, repeat

from mmaction.registry import HOOKS
from mmengine.dataset import InfiniteSampler
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from mmengine.runner.loops import _InfiniteDataloaderIterator
from torch.utils.data import DataLoader

from ...safe_load import CheckpointError
from ..checkpoints import gradients_wait, is_resumable
from ..resumed_schedules import follow_schedules, saved_schedules


@HOOKS.register_module()
class ResumeHook(Hook):
    """Does what MMEngine leaves out when it resumes; every ``Runner`` has this hook.

    - Samples that the epoch has already used are skipped without being read.
    - Gradients that wait for their update are saved and restored.
    - Schedules follow the config: see :func:`follow_schedules`.
    - Iterations are recounted if epochs have become longer or shorter.
    - A sampler gets the seed of the run that is continued.
    - A validation that was cut off when the run ended is made up for.

    With ``SeededSampler`` and ``EpochSeedHook``, a resumed run ends with the weights of
    an uninterrupted one, bit for bit if the device computes deterministically.

    Raises:
        CheckpointError: If a checkpoint contains only weights.
    """

    priority = 'LOWEST'  # before_train: once the others are ready to validate

    def __init__(self) -> None:
        self.resumed = self.shares_seed = False
        self.gradients: dict = {}

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Add gradients that wait for their update, and leave out functions."""
        if 'param_schedulers' in checkpoint:
            checkpoint['param_schedulers'] = saved_schedules(runner)
        if 'optimizer' in checkpoint and gradients_wait(runner):
            checkpoint['gradients'] = {
                name: parameter.grad.cpu()
                for name, parameter in _model(runner).named_parameters()
                if parameter.grad is not None
            }

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Adapt what is resumed to this run, before the runner takes it over."""
        if not runner._resume:
            return
        if not is_resumable(checkpoint):
            raise CheckpointError(
                f'{runner._load_from} cannot be resumed from: it has weights, but '
                'not the state of a training. Begin with it instead: load_from=FILE, '
                'without --resume'
            )
        self.resumed = True
        # the checkpoint's seed is set later, and the sampler is already built
        seed = getattr(runner.train_dataloader.sampler, 'seed', None)
        self.shares_seed = seed == runner.seed
        self.gradients = checkpoint.pop('gradients', {})
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            self._count_anew(runner, checkpoint)
        follow_schedules(runner, checkpoint)

    def before_train(self, runner) -> None:
        """Move to the position where the run stopped."""
        if not self.resumed:
            return
        loop, loader = runner.train_loop, runner.train_dataloader
        if self.shares_seed:
            loader.sampler.seed = runner.seed
        for name, parameter in _model(runner).named_parameters():
            if name in self.gradients:
                parameter.grad = self.gradients[name].to(parameter)
        self.gradients = {}
        if loader.batch_sampler is None:  # an IterableDataset has no indices
            pass
        elif isinstance(loop, EpochBasedTrainLoop):
            _pass_over(loader, loop.iter - loop.epoch * len(loader))
        elif isinstance(loop, IterBasedTrainLoop):
            # before it begins, the loop takes as many batches as were done
            batches = _batches_after(loader, loop.iter)
            loop.dataloader_iterator = chain(repeat(None, loop.iter), batches)
        if _validation_is_due(runner):
            runner.logger.info('Validating what the run was stopped before.')
            runner.val_loop.run()

    def before_val_epoch(self, runner) -> None:
        """Note that checkpoints from now on include this validation."""
        runner.message_hub.update_info('iter_validated', runner.iter)

    def _count_anew(self, runner, checkpoint):
        """Keep the position in the epoch, in iterations of the present length."""
        meta, length = checkpoint['meta'], len(runner.train_dataloader)
        info = checkpoint['message_hub'].get('runtime_info', {})
        if not info.get('max_iters') or not info.get('max_epochs'):
            return
        was = info['max_iters'] // info['max_epochs']
        if was == length:
            return
        within = (meta['iter'] - meta['epoch'] * was) * length // was
        now = meta['epoch'] * length + within
        runner.logger.warning(
            f'An epoch has {length} iterations instead of {was}: iteration '
            f'{meta["iter"]} of the checkpoint counts as {now}.'
        )
        meta['iter'] = now
        self.gradients = {}


def _model(runner):
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


class _FirstPassedOver:
    """A batch sampler that skips the first batches, once."""

    def __init__(self, batch_sampler, count: int) -> None:
        self._batch_sampler, self._count = batch_sampler, count

    def __getattr__(self, name: str):
        return getattr(self._batch_sampler, name)

    def __len__(self) -> int:
        return len(self._batch_sampler)

    def __iter__(self) -> Iterator:
        count, self._count = self._count, 0
        return islice(iter(self._batch_sampler), count, None)


def _pass_over(loader: DataLoader, count: int) -> None:
    """Let a loader start after ``count`` batches, once, without reading these."""
    if count > 0:
        # PyTorch refuses this after construction, as its iterators hold the sampler;
        # from here on there is none
        loader._iterator = None
        loader.__dict__['batch_sampler'] = _FirstPassedOver(loader.batch_sampler, count)


def _batches_after(loader: DataLoader, count: int) -> Iterator:
    """What ``IterBasedTrainLoop`` would get from the loader after some batches."""
    sampler = getattr(loader.batch_sampler, 'sampler', loader.sampler)
    epoch = 0
    if isinstance(sampler, InfiniteSampler):
        sampler.indices = sampler._indices_of_rank()  # workers have already taken some
    else:
        epoch, count = divmod(count, len(loader))
    if hasattr(sampler, 'set_epoch'):
        sampler.set_epoch(epoch)
    _pass_over(loader, count)
    batches = _InfiniteDataloaderIterator(loader)
    batches._epoch = epoch
    yield from batches


def _validation_is_due(runner):
    """Whether the run was stopped between a checkpoint and its validation."""
    loop = runner.train_loop
    if runner.val_loop is None or not isinstance(
        loop, (EpochBasedTrainLoop, IterBasedTrainLoop)
    ):
        return False
    if runner.message_hub.runtime_info.get('iter_validated') == loop.iter:
        return False
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    if by_epoch and loop.iter != loop.epoch * len(runner.train_dataloader):
        return False
    done, end = (
        (loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters)
    )
    loop._decide_current_val_interval()
    return done >= loop.val_begin and (done % loop.val_interval == 0 or done == end)
