"""The module that MMEngine expects in every package; ``mmengine.hub`` imports it."""

from mmaction.utils import register_all_modules

__all__ = ['register_all_modules']
