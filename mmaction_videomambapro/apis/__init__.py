"""Entry points for the tools and for users' code."""

from typing import Any

__all__ = ['VideoInferencer']


def __getattr__(name: str) -> Any:
    if name in __all__:  # tools that need no model start faster without it
        from . import inferencer

        return getattr(inferencer, name)
    raise AttributeError(f'module {__name__} has no attribute {name}')
