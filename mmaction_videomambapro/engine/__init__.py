"""Training machinery that MMEngine lacks; importing this registers it."""

from . import hooks, optimizers, patches, schedules

__all__ = ['hooks', 'optimizers', 'patches', 'schedules']
