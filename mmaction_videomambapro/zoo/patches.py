"""A patch that makes the names of our zoo known to MMAction2's inferencers."""

from ..compat import patch
from ..compat.helpers import replace


@patch(
    'mmengine.infer.infer',
    symptom='MMAction2Inferencer(rec=...) finds no model of other packages by its name',
    until='BaseInferencer searches the metafiles of all packages',
)
def _names_of_our_zoo(infer):
    @replace(infer.BaseInferencer, '_load_model_from_metafile')
    def _load_model_from_metafile(original, self, model):
        try:
            return original(self, model)
        except ValueError:
            from .find import find_model

            path, weights = find_model(model)
            return infer.Config.fromfile(path), weights
