"""Schedules of a resumed training follow its config, where that was changed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from mmengine.optim import OptimWrapper, OptimWrapperDict

# what steps change; the rest of a scheduler's state comes from the config
MOVING = {'last_step', '_global_step', '_last_value', 'verbose'}


def follow_schedules(runner, checkpoint: dict) -> None:
    """Put schedules that the config makes now in place of those of a checkpoint.

    Schedulers of MMEngine bring their end, their length and their base values back from
    a checkpoint: with more epochs, a longer dataset or another rate in the config, the
    run would go on by the old ones, or stand still. Here they take as many steps as a
    run had taken that was configured so from the start. Where nothing was changed, the
    checkpoint is left alone.

    Args:
        runner (Runner): It has built its schedulers, and not used them yet.
        checkpoint (dict): The content, whose ``meta`` counts as this run counts.
    """
    for schedulers, wrapper, holder, key, saved in _parts(runner, checkpoint):
        states = holder.get(key)
        if states is not None and not _changed(schedulers, states):
            continue
        if any(getattr(s, 'need_val_args', False) for s in schedulers):
            runner.logger.warning(
                'The schedule was changed, but one that follows the validation cannot '
                'be computed afresh: it goes on as it was saved.'
            )
            continue
        before = _values(saved.get('param_groups'))
        _take_steps(schedulers, runner, checkpoint['meta'])
        holder[key] = list(map(_values_of, schedulers))
        for names in map(_names, schedulers):
            _copy(names, wrapper, saved)
        now = _values(wrapper.optimizer.param_groups)
        runner.logger.warning(
            'The schedule is not that of the checkpoint: it goes on as if it had been '
            f'so from the start, with {_words(now)} in place of {_words(before)} at '
            f'iteration {checkpoint["meta"]["iter"]}.'
        )


def saved_schedules(runner) -> list[dict] | dict[str, list[dict]]:
    """States of a runner's schedulers as a checkpoint can have them."""
    schedulers = runner.param_schedulers
    if isinstance(schedulers, dict):
        return {k: list(map(_values_of, part)) for k, part in schedulers.items()}
    return list(map(_values_of, schedulers))


def _parts(runner, checkpoint) -> Iterator[tuple]:
    """Schedulers and wrapper of each optimizer, and where the checkpoint has both."""
    schedulers, wrapper = runner.param_schedulers, runner.optim_wrapper
    saved = checkpoint.get('optimizer') or {}
    if isinstance(schedulers, dict) and isinstance(wrapper, OptimWrapperDict):
        states = checkpoint.setdefault('param_schedulers', {})
        for name, part in schedulers.items():
            yield part, wrapper[name], states, name, saved.get(name) or {}
    elif isinstance(schedulers, list) and isinstance(wrapper, OptimWrapper):
        yield schedulers, wrapper, checkpoint, 'param_schedulers', saved


def _changed(schedulers: list, states: list[dict]) -> bool:
    if len(schedulers) != len(states):
        return True
    for scheduler, state in zip(schedulers, states):
        moving = MOVING
        if getattr(scheduler, 'need_val_args', False):
            moving = MOVING | {'best', 'num_bad_epochs', 'cooldown_counter'}
        fixed = {k: v for k, v in _values_of(scheduler).items() if k not in moving}
        if any(k not in state or state[k] != v for k, v in fixed.items()):
            return True
    return False


def _values_of(scheduler) -> dict:
    """The state of a scheduler, less functions: these may not be in a checkpoint."""
    return {k: v for k, v in scheduler.state_dict().items() if not callable(v)}


def _take_steps(schedulers: list, runner, meta: dict) -> None:
    """Step as ``ParamSchedulerHook`` would have done until now."""
    epochs, iters, length = meta['epoch'], meta['iter'], len(runner.train_dataloader)
    by_epoch = [s for s in schedulers if s.by_epoch]
    by_iter = [s for s in schedulers if not s.by_epoch]

    def step(some, times=1):
        for _ in range(times):
            for scheduler in some:
                scheduler.step()

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # the optimizer has taken no step here
        for _ in range(epochs):
            step(by_iter, length)
            step(by_epoch)
        step(by_iter, iters - epochs * length)


def _names(scheduler) -> list[str]:
    name = scheduler.param_name
    # one cycle has limits; the momentum of Adam is scheduled in a name of its own
    return [name, f'initial_{name}', f'max_{name}', f'min_{name}', 'betas']


def _copy(names: list[str], wrapper: OptimWrapper, saved: dict) -> None:
    """Copy settings of the optimizer into its saved state."""
    pairs = list(zip(wrapper.optimizer.param_groups, saved.get('param_groups', [])))
    if wrapper.base_param_settings and saved.get('base_param_settings'):
        pairs.append((wrapper.base_param_settings, saved['base_param_settings']))
    for group, saved_group in pairs:
        saved_group.update({name: group[name] for name in names if name in group})


def _values(groups: list[dict] | None) -> float | None:
    return max(group['lr'] for group in groups) if groups else None


def _words(rate: Any) -> str:
    return 'an unknown rate' if rate is None else f'a rate of {rate:.3g}'
