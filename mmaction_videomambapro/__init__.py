"""VideoMamba and VideoMambaPro for MMAction2.

Importing the package mends today's OpenMMLab stack (see :mod:`.compat`), decides how
threads share the cores (see :mod:`.threads`), and has its models and transforms
registered together with MMAction2's own, when those are imported. It stays light:
nothing heavy is loaded before it is needed.
"""

import importlib
import warnings

import wrapt

from . import compat, threads

__version__ = '0.1.0'

threads.let_threads_sleep()
wrapt.register_post_import_hook(threads.limit_threads, 'torch')
compat.mend_all()
if compat.decord_clash():
    warnings.warn(compat.decord_clash(), stacklevel=2)

for _part in ('models', 'datasets', 'engine', 'evaluation'):
    wrapt.register_post_import_hook(
        lambda module, part=_part: importlib.import_module(f'{__name__}.{part}'),
        f'mmaction.{_part}',
    )
wrapt.register_post_import_hook(
    lambda module: importlib.import_module(
        f'{__name__}.models.backbones.image_videomamba'
    ),
    'mmpretrain.models',
)
