"""What MMEngine asks every package for: ``mmengine.hub.get_model`` calls it."""

from mmaction.utils import register_all_modules

__all__ = ['register_all_modules']
