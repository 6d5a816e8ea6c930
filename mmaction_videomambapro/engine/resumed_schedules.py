"""Makes the schedules of a resumed training follow changes in its config."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from mmengine.optim import OptimWrapper, OptimWrapperDict

# what steps change; the rest of a scheduler's state is from the config
MOVING = {'last_step', '_global_step', '_last_value', 'verbose'}


def follow_schedules(runner, checkpoint: dict) -> None:
    """Replace the schedules of a checkpoint by those that the config now defines.

    MMEngine's schedulers restore their end, their length and their base values from a
    checkpoint: with more epochs, a longer dataset or another rate in the config, the
    run would keep following the old ones, or its rate would stay constant. Here they
    take as many steps as in a run that had this config from the start. If nothing was
    changed, the checkpoint is left alone.

    Args:
        runner (Runner): Has built its schedulers, and not used them yet.
        checkpoint (dict): Its content, with ``meta`` already in this run's counts.
    """
    for schedulers, wrapper, holder, key, saved in _parts(runner, checkpoint):
        states = holder.get(key)
        if states is not None and not _changed(schedulers, states):
            continue
        if any(getattr(s, 'need_val_args', False) for s in schedulers):
            runner.logger.warning(
                'The schedule was changed, but one that follows the validation cannot '
                'be computed again: it continues as it was saved.'
            )
            continue
        before = _values(saved.get('param_groups'))
        _take_steps(schedulers, runner, checkpoint['meta'])
        holder[key] = list(map(_values_of, schedulers))
        for scheduler in schedulers:
            _copy(scheduler.param_name, wrapper, saved)
        now = _values(wrapper.optimizer.param_groups)
        runner.logger.warning(
            'The schedule differs from that of the checkpoint: the run continues as if '
            f'it had been so from the start, with {_words(now)} instead of '
            f'{_words(before)} at iteration {checkpoint["meta"]["iter"]}.'
        )


def saved_schedules(runner) -> list[dict] | dict[str, list[dict]]:
    """States of a runner's schedulers in the form that a checkpoint stores."""
    schedulers = runner.param_schedulers
    if isinstance(schedulers, dict):
        return {k: list(map(_values_of, part)) for k, part in schedulers.items()}
    return list(map(_values_of, schedulers))


def _parts(runner, checkpoint) -> Iterator[tuple]:
    """Schedulers and wrapper of each optimizer, and their places in the checkpoint."""
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
    """The state of a scheduler without functions, which checkpoints cannot hold."""
    return {k: v for k, v in scheduler.state_dict().items() if not callable(v)}


def _take_steps(schedulers: list, runner, meta: dict) -> None:
    """Step as ``ParamSchedulerHook`` would have done up to now."""
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


def _copy(name: str, wrapper: OptimWrapper, saved: dict) -> None:
    """Copy settings of the optimizer that a schedule changes into its saved state."""
    # one cycle has limits; Adam's momentum is scheduled under its own name
    names = name, f'initial_{name}', f'max_{name}', f'min_{name}', 'betas'
    pairs = list(zip(wrapper.optimizer.param_groups, saved.get('param_groups', [])))
    if wrapper.base_param_settings and saved.get('base_param_settings'):
        pairs.append((wrapper.base_param_settings, saved['base_param_settings']))
    for group, saved_group in pairs:
        saved_group.update({name: group[name] for name in names if name in group})


def _values(groups: list[dict] | None) -> float | None:
    return max(group['lr'] for group in groups) if groups else None


def _words(rate: Any) -> str:
    return 'an unknown rate' if rate is None else f'a rate of {rate:.3g}'
