"""Patches that make MMEngine fit the checkpoints that it loads, or refuse them.

The model's own pre-hook of ``load_state_dict`` would not do: it knows neither what the
file is loaded for nor the head, and MMAction2's VisionTransformer has none.
"""

from ..compat import patch
from ..compat.helpers import RUNNERS, replace, runner_in

UNTIL = 'mmengine passes to a model what a checkpoint is loaded for'


def loading(*args, **purpose):
    """``loading.loading``, which imports too much to be imported with the patches."""
    from . import loading

    return loading.loading(*args, **purpose)


@patch(
    'mmengine.runner.checkpoint',
    symptom='what is not a weight, or does not fit, is logged and stays random',
    until='mmengine lets a model adapt a checkpoint, and refuse it',
)
def _checkpoints_that_do_not_fit(checkpoint):
    @replace(checkpoint.CheckpointLoader, 'load_checkpoint')
    def read_file(original, filename, *args, **kwargs):
        from .loading import read

        return read(original(filename, *args, **kwargs), filename)

    @replace(checkpoint, 'load_state_dict')
    def load_state_dict(original, module, state_dict, *args, **kwargs):
        from .fit import fit

        return original(module, fit(state_dict, module), *args, **kwargs)

    @replace(checkpoint, 'load_checkpoint')
    def load_checkpoint(original, model, filename, *args, **kwargs):
        with loading(filename):
            return original(model, filename, *args, **kwargs)

    @replace(checkpoint, '_load_checkpoint_with_prefix')
    def load_with_prefix(original, prefix, filename, *args, **kwargs):
        try:
            return original(prefix, filename, *args, **kwargs)
        except AssertionError as error:
            from ..safe_load import CheckpointError

            content = checkpoint._load_checkpoint(filename, map_location='cpu')
            keys = content.get('state_dict', content)
            found = ', '.join(sorted({f'{key.split(".")[0]}.' for key in keys}))
            raise CheckpointError(
                f'{filename} has no weights that begin with {prefix!r}, only with '
                f'{found}'
            ) from error


@patch(
    'mmengine.model.weight_init',
    symptom='initial weights that do not fit are refused without the file',
    until='mmengine lets a model adapt a checkpoint, and refuse it',
)
def _initial_weights_without_name(weight_init):
    @replace(weight_init.PretrainedInit, '__call__')
    def __call__(original, self, module):
        with loading(self.checkpoint):
            return original(self, module)


@patch(
    'mmengine.hooks.ema_hook',
    symptom="KeyError: 'state_dict' in EMAHook, with load_from of a published file",
    until='EMAHook loads what the model loads',
)
def _ema_of_published_checkpoints(ema_hook):
    @replace(ema_hook.EMAHook, 'after_load_checkpoint')
    def after_load_checkpoint(original, self, runner, checkpoint):
        if not runner._resume:
            from .fit import fit

            checkpoint['state_dict'] = fit(dict(checkpoint), self.src_model)
        return original(self, runner, checkpoint)


@patch(
    *RUNNERS,
    symptom='a test of a checkpoint without a head has a random one',
    until=UNTIL,
)
def _tests_with_random_weights(module):
    @replace(runner_in(module), 'load_checkpoint')
    def load_checkpoint(original, self, filename, *args, **kwargs):
        from .loading import purpose_of

        with loading(filename, **purpose_of(self)):
            return original(self, filename, *args, **kwargs)


@patch(
    'mmaction.apis.inference',
    symptom='a recognizer made of a checkpoint without a head has a random one',
    until=UNTIL,
)
def _recognizers_with_random_weights(inference):
    @replace(inference, 'load_checkpoint')
    def load_checkpoint(original, model, filename, *args, **kwargs):
        with loading(filename, complete=True):
            return original(model, filename, *args, **kwargs)

    @replace(inference, 'init_recognizer')
    def init_recognizer(original, config, *args, **kwargs):
        from .classes import classes_of

        if isinstance(config, (str, inference.Path)):
            config = inference.mmengine.Config.fromfile(config)
        with loading(here=classes_of(None, config)):
            return original(config, *args, **kwargs)


@patch(
    'mmengine.infer.infer',
    symptom='an inferencer executes the config in a checkpoint, and has a random head '
    'where a checkpoint has none',
    until=UNTIL,
)
def _inferencers_with_random_weights(infer):
    @replace(infer.BaseInferencer, '_init_model')
    def _init_model(original, self, cfg, weights, *args, **kwargs):
        from .classes import classes_of

        if not cfg and weights is not None:
            from .config_text import config_in

            with loading(weights):
                cfg.update(config_in(infer._load_checkpoint(weights, 'cpu')))
        with loading(weights, complete=True, here=classes_of(None, cfg)):
            return original(self, cfg, weights, *args, **kwargs)
