from .random_erasing import ClipRandomErasing

__all__ = ['ClipRandomErasing']
