"""Training machinery that MMEngine lacks; importing this registers it."""

from .hooks import EpochSeedHook

__all__ = ['EpochSeedHook']
