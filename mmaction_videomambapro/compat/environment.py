"""Patches for installed packages: missing or broken ones, and NumPy 2."""

import builtins
import importlib.util
import os.path as osp
import sys
import warnings
from importlib.machinery import PathFinder
from types import ModuleType

from . import patch
from .helpers import replace, stand_in

# nothing here needs that operator, since MMAction2 runs on mmcv-lite
warnings.filterwarnings(
    'ignore', 'Fail to import ``MultiScaleDeformableAttention``', UserWarning
)


@patch(
    'mmaction.utils.dependency',
    symptom='transformers without timm: mmaction.models cannot be imported',
    until='mmaction2 looks for timm before it imports its multimodal models',
)
def _multimodal_models_need_timm(module):
    if not module.WITH_MULTIMODAL or importlib.util.find_spec('timm') is not None:
        return False
    module.WITH_MULTIMODAL = False


@patch(
    'mmaction',
    symptom="No module named 'mmaction.models.localizers.drn' on the first model",
    until='the mmaction2 wheel contains that folder',
    issue='open-mmlab/mmaction2#2714',
)
def _missing_drn(mmaction):
    folder = osp.join(mmaction.__path__[0], 'models', 'localizers', 'drn')
    if osp.isdir(folder):
        return False
    # The real module would need torchvision at import, so a stand-in is better.
    package = ModuleType('mmaction.models.localizers.drn')
    package.__path__ = []
    module = ModuleType(f'{package.__name__}.drn')

    class DRN:
        def __init__(self, *args, **kwargs):
            raise ImportError('the mmaction2 wheel was built without DRN')

    module.DRN = DRN
    sys.modules[package.__name__], sys.modules[module.__name__] = package, module


class _TorchvisionFinder:
    """Makes a torchvision that cannot be imported count as not installed."""

    def find_spec(self, name, path=None, target=None):
        spec = PathFinder.find_spec(name, path) if name == 'torchvision' else None
        if spec is not None and spec.loader is not None:

            @replace(spec.loader, 'exec_module')
            def exec_module(original, module):
                try:
                    original(module)
                except Exception as error:
                    message = (
                        f'torchvision cannot be imported ({error}) and counts as not '
                        'installed: install the one for your PyTorch, see '
                        'docs/install.md'
                    )
                    warnings.warn(message, stacklevel=2)
                    raise ImportError(message, name='torchvision') from error

        return spec


@patch(
    'mmaction',
    symptom='RuntimeError: operator torchvision::nms does not exist, on import',
    until='mmaction2 takes any error in the import of mmpretrain and mmdet for absence',
)
def _torchvision_of_another_torch(mmaction):
    sys.meta_path.insert(0, _TorchvisionFinder())


@patch(
    'mmaction.datasets.transforms.pose_transforms',
    'mmaction.evaluation.functional.accuracy',
    'mmaction.evaluation.functional.ava_evaluation.metrics',
    'mmaction.evaluation.metrics.multimodal_metric',
    'mmaction.utils.misc',
    symptom='AttributeError: numpy has no attribute Inf, NAN, trapz or in1d',
    until='mmaction2 uses the names of NumPy 2',
)
def _names_of_numpy_1(module):
    import numpy as np

    if hasattr(np, 'Inf'):
        return False
    module.np = stand_in(  # for this module only
        np,
        Inf=np.inf,
        NAN=np.nan,
        trapz=np.trapezoid,
        in1d=lambda x, y, **kwargs: np.isin(np.ravel(x), y, **kwargs),
    )


@patch(
    'mmaction.evaluation.functional.multisports_utils',
    symptom='TypeError: only 0-dimensional arrays can be converted, in MultiSports',
    until='multisports_utils takes the one index out of its array',
)
def _index_of_one_frame(multisports_utils):
    import numpy as np

    def int_of_one(x):
        return builtins.int(x.item() if isinstance(x, np.ndarray) else x)

    multisports_utils.int = int_of_one


@patch(
    'mmaction.datasets.transforms.processing',
    symptom='OverflowError: Python integer out of bounds for uint8 in ColorJitter',
    until='ColorJitter.adjust_hue computes the hue in a signed type',
)
def _color_jitter(processing):
    import cv2
    import numpy as np

    def adjust_hue(img, factor):
        img = np.clip(img, 0, 255).astype(np.uint8)
        hsv = cv2.cvtColor(img, cv2.COLOR_RGB2HSV)
        hue = hsv[..., 0].astype(np.int16) + int(factor * 255)
        hsv[..., 0] = hue % 180
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float32)

    processing.ColorJitter.adjust_hue = staticmethod(adjust_hue)
