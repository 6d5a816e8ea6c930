"""Patches for what a runner builds: its log, hooks, loaders and schedules."""

from copy import copy
from logging import FileHandler

from ..literals import printable_lines
from . import patch
from .helpers import replace


@patch(
    'mmengine.logging.logger',
    symptom='names of files in the log control the terminal, or end in UnicodeError',
    until='MMFormatter escapes control characters and what is not UTF-8',
)
def _names_in_logs(logger):
    @replace(logger.MMFormatter, 'format')
    def format(original, self, record):
        record = copy(record)  # other handlers see it as it was
        record.msg, record.args = printable_lines(record.getMessage()), None
        return original(self, record)


@patch(
    'mmengine.model.base_module',
    symptom='init_weights() outside of a run prints two lines for each parameter',
    until='BaseModule logs how parameters were initialised to files only',
    issue='open-mmlab/mmdetection#7136',
)
def _initialisation_printed(base_module):
    @replace(base_module.BaseModule, '_dump_init_info')
    def _dump_init_info(original, self):
        handlers = base_module.MMLogger.get_current_instance().handlers
        if any(isinstance(handler, FileHandler) for handler in handlers):
            original(self)


@patch(
    'mmengine.runner.runner',
    symptom='a resumed run ends with other weights than an uninterrupted one',
    until='MMEngine resumes inside an epoch, and keeps all that the weights depend on',
    issue='open-mmlab/mmengine#1520, on its speed',
)
def _resuming_in_parts(runner):
    @replace(runner.Runner, 'register_hooks')
    def register_hooks(original, self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.register_hook(dict(type='mmaction.ResumeHook'))


@patch(
    'mmengine.runner.runner',
    symptom="collate_fn got an unexpected keyword argument '_scope_'",
    until='Runner.build_dataloader keeps the scope of inherited configs to itself',
)
def _scope_of_functions(runner):
    @replace(runner.Runner, 'build_dataloader')
    def build_dataloader(original, dataloader, *args, **kwargs):
        if isinstance(dataloader, dict):
            dataloader = dict(dataloader)
            for name in ('collate_fn', 'worker_init_fn'):
                if isinstance(dataloader.get(name), dict):
                    arguments = dataloader[name].items()
                    dataloader[name] = {k: v for k, v in arguments if k != '_scope_'}
        return original(dataloader, *args, **kwargs)


@patch(
    'mmengine.optim.optimizer.default_constructor',
    symptom='compile=True and paramwise_cfg end in InternalTorchDynamoError',
    until='DefaultOptimWrapperConstructor gives an optimizer plain dictionaries',
)
def _groups_of_config_dicts(constructor):
    @replace(constructor.DefaultOptimWrapperConstructor, '__init__')
    def __init__(original, self, *args, **kwargs):
        original(self, *args, **kwargs)
        # a ConfigDict turns the groups that are put into it into its kind
        self.optimizer_cfg = dict(self.optimizer_cfg.items())


@patch(
    'mmengine.optim.scheduler.param_scheduler',
    symptom='a warm-up of one step never ends: the rate stays at start_factor',
    until="LinearParamScheduler's last value is end_factor, however few steps it has",
)
def _warm_up_of_one_step(param_scheduler):
    for name in ('LinearParamScheduler', 'ConstantParamScheduler'):

        @replace(getattr(param_scheduler, name), '_get_value')
        def _get_value(original, self):
            if self.total_iters > 0:
                return original(self)
            factor = getattr(self, 'end_factor', 1.0)
            groups = self.optimizer.param_groups
            return [group[self.param_name] * factor for group in groups]
