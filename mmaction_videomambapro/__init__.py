"""VideoMamba and VideoMambaPro for MMAction2.

Importing the package patches today's OpenMMLab stack (see :mod:`.compat`), decides how
threads share the cores (see :mod:`.threads`), and has its models and transforms
registered together with MMAction2's own, when those are imported. It stays light:
nothing heavy is loaded before it is needed.
"""

__version__ = '0.1.0'

import importlib
import warnings

import wrapt

from . import diagnosis, threads

PATCH_MODULES = (
    'compat.checkpoints',
    'compat.configs',
    'compat.devices',
    'compat.environment',
    'compat.runner',
    'compat.scores',
    'checkpoints.patches',
    'zoo.patches',
)
# What is imported together with what: each run imports mmaction.engine, for its hooks.
PARTS = (
    ('mmaction.models', 'models'),
    ('mmaction.datasets', 'datasets'),
    ('mmaction.evaluation', 'evaluation'),
    ('mmaction.engine', 'evaluation'),
    ('mmaction.engine', 'engine'),
    ('mmaction.visualization', 'visualization.patches'),
    ('mmpretrain.models', 'models.backbones.image_videomamba'),
)

threads.let_threads_sleep()
wrapt.register_post_import_hook(threads.limit_threads, 'torch')
for _ours in PATCH_MODULES:
    importlib.import_module(f'{__name__}.{_ours}')
for _theirs, _ours in PARTS:
    wrapt.register_post_import_hook(
        lambda module, part=_ours: importlib.import_module(f'{__name__}.{part}'),
        _theirs,
    )

_clash = diagnosis.decord_clash()
if _clash:
    warnings.warn(_clash, stacklevel=2)
