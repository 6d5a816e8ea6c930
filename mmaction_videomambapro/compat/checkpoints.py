"""Patches for checkpoint files: loading runs no code, saving leaves no partial file."""

from contextvars import ContextVar

from ..files import replacing
from . import patch
from .helpers import RUNNERS, replace, runner_in, stand_in


@patch(
    'mmengine.runner.checkpoint',
    symptom='checkpoints are unpickled with weights_only=False: they can run code',
    until='mmengine loads with weights_only=True',
    issue='open-mmlab/mmengine#1650, which turns weights_only off',
)
def _unsafe_checkpoints(checkpoint):
    import torch

    from ..safe_load import load_url, safe_load

    # Every loader of the module uses these two names. With
    # CheckpointLoader.register_scheme, all eight of them would have to be repeated.
    checkpoint.torch = stand_in(torch, load=safe_load)
    checkpoint.load_url = load_url


_IN_CHECKPOINT: ContextVar[bool] = ContextVar('in_checkpoint', default=False)
CONFIGS_RUN = dict(
    symptom='the text of a config in a checkpoint is run as a program',
    until='mmengine reads configs of checkpoints as values',
)


@patch('mmengine.config.config', **CONFIGS_RUN)
def _configs_run(config):
    @replace(config.Config, 'fromstring')
    def fromstring(original, text, file_format):
        if not _IN_CHECKPOINT.get():
            return original(text, file_format)
        from ..literals import read_assignments
        from ..safe_load import UnsafeCheckpointError

        try:
            return config.Config(read_assignments(text))
        except (ValueError, TypeError) as error:
            raise UnsafeCheckpointError(
                'the config in the checkpoint was refused, as it may be a program: '
                f'{error}. Name a config that you trust instead.'
            ) from error


@patch(*RUNNERS, **CONFIGS_RUN)
def _resuming_runs_configs(module):
    @replace(runner_in(module), 'resume')
    def read(original, *args, **kwargs):
        token = _IN_CHECKPOINT.set(True)
        try:
            return original(*args, **kwargs)
        finally:
            _IN_CHECKPOINT.reset(token)


@patch(
    'mmengine.fileio.backends.local_backend',
    symptom='a kill, or a full disk, leaves half a checkpoint under its name',
    until='LocalBackend writes beside a file, then puts it in place',
)
def _files_in_halves(local_backend):
    def put(self, obj, filepath):
        with replacing(filepath, 'wb') as file:
            file.write(obj)

    def put_text(self, obj, filepath, encoding='utf-8'):
        put(self, obj.encode(encoding), filepath)

    local_backend.LocalBackend.put = put
    local_backend.LocalBackend.put_text = put_text
