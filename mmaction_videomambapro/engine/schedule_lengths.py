"""Schedules that end with the training, however long it is."""

from __future__ import annotations

from mmengine.config import Config

from ..configs import dicts_in
from ..errors import UsageError

# of a cosine and of one cycle, which would reverse afterwards
LENGTHS = 'T_max', 'total_steps'


def derive_ends(cfg: Config) -> None:
    """Drop lengths that MMEngine derives from the length of the training anyway.

    Schedules written to end with the training then also do so after ``--cfg-options
    train_cfg.max_epochs=N``.
    """
    for _, scheduler, last in _schedulers(cfg):
        if last is None:
            continue
        if scheduler.get('end') == last:
            del scheduler['end']
        length = scheduler.get('end', last) - scheduler.get('begin', 0)
        for name in LENGTHS:
            if scheduler.get(name) == length:
                del scheduler[name]


def check_schedules(cfg: Config) -> None:
    """Refuse schedules that do not fit the length of the training.

    Raises:
        UsageError: If one begins after the end, or a cosine would rise again.
    """
    for key, scheduler, last in _schedulers(cfg):
        if last is None:
            continue
        begin, unit = scheduler.get('begin', 0), 'epoch'
        if not scheduler.get('by_epoch', True):
            unit = 'iter'
        total = f'train_cfg.max_{unit}s={last}'
        name, _, i = key.rpartition('.')
        if begin >= last:
            shorter = f'{name}.{int(i) - 1}.end=N ' if i.isdigit() and int(i) else ''
            raise UsageError(
                f'{key} begins after {unit} {begin}, but there are only {total}: '
                f'shorten the warm-up, --cfg-options {shorter}{key}.begin=N'
            )
        length = min(scheduler.get('end', last), last) - begin
        for name in LENGTHS:
            if scheduler.get(name, length) < length:
                raise UsageError(
                    f'{key} ends after {unit} {begin + scheduler[name]} of {total}, '
                    f'and the value would reverse: leave {name} out of the config, '
                    f'and it follows, or set {key}.{name}={length} with --cfg-options'
                )


def _schedulers(cfg):
    """Config key, config and training length (in its units) of every schedule."""
    train_cfg = cfg.get('train_cfg') or {}
    for key, node in dicts_in(cfg.get('param_scheduler'), 'param_scheduler'):
        if 'type' in node:  # not in the dictionary of several optimizers'
            unit = 'epochs' if node.get('by_epoch', True) else 'iters'
            yield key, node, train_cfg.get(f'max_{unit}')
