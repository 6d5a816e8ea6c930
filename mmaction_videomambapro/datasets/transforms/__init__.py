from . import auto_augment, loading, sampling, shuffle, views

__all__ = ['auto_augment', 'loading', 'sampling', 'shuffle', 'views']
