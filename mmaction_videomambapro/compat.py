"""Faults of today's OpenMMLab stack, each mended the moment its module is imported.

Every entry says which symptom it removes and when it can be deleted. Nothing here
imports torch's or MMAction2's heavy parts: a mend waits for the module it mends.
"""

from __future__ import annotations

import builtins
import importlib.util
import os.path as osp
import re
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from functools import wraps
from importlib.machinery import PathFinder
from types import ModuleType, SimpleNamespace
from unittest import mock

import wrapt


@dataclass
class Fault:
    """A fault of the stack.

    Attributes:
        module (str): The module to mend when it is imported.
        mend (Callable): Takes that module; returns False if there was no fault.
        symptom (str): What a user sees without the mend.
        until (str): The condition under which the entry can be deleted.
        state (str): 'waiting' for the import, 'mended', or 'absent'.
    """

    module: str
    mend: Callable[[ModuleType], bool | None]
    symptom: str
    until: str
    state: str = 'waiting'

    def apply(self, module: ModuleType) -> None:
        if self.state == 'waiting':
            self.state = 'absent' if self.mend(module) is False else 'mended'


FAULTS: list[Fault] = []


def fault(module: str, symptom: str, until: str) -> Callable:
    """Declare the decorated function as the mend of a fault in ``module``."""

    def declare(mend):
        FAULTS.append(Fault(module, mend, symptom, until))
        return mend

    return declare


def mend_all() -> None:
    """Mend what is imported already, and the rest as it comes. Idempotent."""
    # nothing here needs that operator: MMAction2 runs on mmcv-lite
    message = 'Fail to import ``MultiScaleDeformableAttention``'
    warnings.filterwarnings('ignore', message, UserWarning)
    for item in FAULTS:
        if item.state == 'waiting':
            wrapt.register_post_import_hook(item.apply, item.module)


def _replace(owner, name: str):
    """Decorate a function that gets the original as its first argument."""

    def install(function):
        original = getattr(owner, name)

        @wraps(original)
        def replaced(*args, **kwargs):
            return function(original, *args, **kwargs)

        setattr(owner, name, replaced)

    return install


@fault(
    'mmaction.utils.dependency',
    symptom='transformers without timm: mmaction.models cannot be imported',
    until='mmaction2 looks for timm before it imports its multimodal models',
)
def _multimodal_models_need_timm(module):
    if not module.WITH_MULTIMODAL or importlib.util.find_spec('timm') is not None:
        return False
    module.WITH_MULTIMODAL = False


@fault(
    'mmaction',
    symptom="No module named 'mmaction.models.localizers.drn' on the first model",
    until='the mmaction2 wheel contains that folder (open-mmlab/mmaction2#2714)',
)
def _missing_drn(mmaction):
    folder = osp.join(mmaction.__path__[0], 'models', 'localizers', 'drn')
    if osp.isdir(folder):
        return False
    # The real module would need torchvision at import: a stand-in is better.
    package = ModuleType('mmaction.models.localizers.drn')
    package.__path__ = []
    module = ModuleType(f'{package.__name__}.drn')

    class DRN:
        def __init__(self, *args, **kwargs):
            raise ImportError('the mmaction2 wheel was built without DRN')

    module.DRN = DRN
    sys.modules[package.__name__], sys.modules[module.__name__] = package, module


@fault(
    'mmaction',
    symptom='RuntimeError: operator torchvision::nms does not exist, on import',
    until='mmaction2 takes any error in the import of mmpretrain and mmdet for absence',
)
def _torchvision_of_another_torch(mmaction):
    sys.meta_path.insert(0, _TorchvisionFinder())


class _TorchvisionFinder:
    """Lets a torchvision that cannot be imported count as one that is not installed."""

    def find_spec(self, name, path=None, target=None):
        spec = PathFinder.find_spec(name, path) if name == 'torchvision' else None
        if spec is not None and spec.loader is not None:

            @_replace(spec.loader, 'exec_module')
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


@fault(
    'mmengine.config.utils',
    symptom="_base_='mmaction_videomambapro::...' is refused as an unknown package",
    until='mmengine resolves any installed package, not a fixed list of 19',
)
def _unknown_package(utils):
    utils.MODULE2PACKAGE['mmaction_videomambapro'] = 'mmaction_videomambapro'


@fault(
    'mmengine.config.config',
    symptom='a saved config runs code that stands in its values, or cannot be read',
    until='Config.dump escapes {{ }} and keys, and writes infinities as Python does',
)
def _saved_configs_run(config):
    from .literals import python_assignments

    @property
    def pretty_text(self):
        """The config as Python code."""
        from yapf.yapflib.yapf_api import FormatCode

        text = python_assignments(self.to_dict())
        style = dict(
            based_on_style='pep8', split_before_expression_after_opening_paren=True
        )
        with suppress(Exception):  # what yapf cannot format can be read all the same
            if self._format_python_code:
                text, _ = FormatCode(text, style_config=style)
        return text

    config.Config.pretty_text = pretty_text

    @_replace(config.Config, 'dump')
    def dump(original, self, file=None):
        name = str(file or self.filename or '.py')
        escaped = '{\\x7b' in python_assignments(self.to_dict())
        if escaped and not name.endswith('.py'):
            raise ValueError(
                f'{name} would change when it is read: a value has two opening braces, '
                'where MMEngine puts variables. Save the config as .py.'
            )
        return original(self, file)


@fault(
    'mmengine.config.config',
    symptom='a folder whose name runs code in configs that mention {{ fileDirname }}',
    until='mmengine escapes the path of a config where it puts it into the text',
)
def _paths_in_configs_run(config):
    substitute = config.Config._substitute_predefined_vars

    @wraps(substitute)
    def substitute_predefined_vars(filename, temp_config_name):
        with open(filename, encoding='utf-8') as file:
            variable = re.search(r'\{\{\s*file(Dirname|Basename|Extname)', file.read())
        if variable and (not filename.isprintable() or set(filename) & set('\'"{}')):
            raise ValueError(
                f'{filename!r} mentions file{variable[1]}, its own path, which has '
                'characters that end a text in a config: rename the file or its folder'
            )
        return substitute(filename, temp_config_name)

    config.Config._substitute_predefined_vars = staticmethod(substitute_predefined_vars)


@fault(
    'mmengine.fileio.handlers.yaml_handler',
    symptom='a YAML file can run code: mmengine.load, Config.fromfile, metafiles',
    until='mmengine reads YAML with a safe loader',
)
def _yaml_runs(yaml_handler):
    import yaml

    class Loader(getattr(yaml, 'CSafeLoader', yaml.SafeLoader)):
        """Values only, and the tuples that mmengine.dump writes."""

    Loader.add_constructor(
        'tag:yaml.org,2002:python/tuple',
        lambda loader, node: tuple(loader.construct_sequence(node, deep=True)),
    )
    yaml_handler.Loader = Loader


@fault(
    'mmengine.logging.logger',
    symptom='names of files in the log control the terminal, or end in UnicodeError',
    until='MMFormatter escapes control characters and what is not UTF-8',
)
def _names_in_logs(logger):
    from .literals import printable_lines

    @_replace(logger.MMFormatter, 'format')
    def format(original, self, record):
        record = copy(record)  # other handlers see it as it was
        record.msg, record.args = printable_lines(record.getMessage()), None
        return original(self, record)


@fault(
    'mmengine.runner.checkpoint',
    symptom='checkpoints are unpickled with weights_only=False: they can run code',
    until='mmengine loads with weights_only=True',
)
def _unsafe_checkpoints(checkpoint):
    import torch

    from .safe_load import load_url, safe_load

    # Every loader of the module, local, http or cloud, goes through these two names.
    safe_torch = ModuleType('torch')
    safe_torch.__getattr__ = lambda name: getattr(torch, name)
    safe_torch.load = safe_load
    checkpoint.torch = safe_torch
    checkpoint.load_url = load_url


def _configs_of_checkpoints_are_values(owner, name: str) -> None:
    """Have a method read the text of a config in a checkpoint, and not run it."""
    from mmengine.config import Config

    from .literals import read_assignments
    from .safe_load import UnsafeCheckpointError

    def fromstring(text, file_format):
        try:
            return Config(read_assignments(text))
        except (ValueError, TypeError) as error:
            raise UnsafeCheckpointError(
                'the config in the checkpoint was refused, as it may be a program: '
                f'{error}. Name a config that you trust instead.'
            ) from error

    @_replace(owner, name)
    def method(original, self, *args, **kwargs):
        with mock.patch.object(Config, 'fromstring', fromstring):
            return original(self, *args, **kwargs)


CONFIGS_RUN = dict(
    symptom='the text of a config in a checkpoint is run as a program',
    until='mmengine reads configs of checkpoints as values',
)


@fault('mmengine.runner.runner', **CONFIGS_RUN)
def _resuming_runs_configs(runner):
    _configs_of_checkpoints_are_values(runner.Runner, 'resume')


@fault('mmengine.runner._flexible_runner', **CONFIGS_RUN)
def _resuming_flexibly_runs_configs(flexible_runner):
    _configs_of_checkpoints_are_values(flexible_runner.FlexibleRunner, 'resume')


@fault('mmengine.infer.infer', **CONFIGS_RUN)
def _inferencers_run_configs(infer):
    _configs_of_checkpoints_are_values(infer.BaseInferencer, '_init_model')


@fault(
    'mmengine.runner.checkpoint',
    symptom='what is not a weight, or does not fit, is logged and stays random',
    until='mmengine lets a model adapt a checkpoint, and refuse it',
)
def _checkpoints_that_do_not_fit(checkpoint):
    loader = checkpoint.CheckpointLoader

    @_replace(loader, 'load_checkpoint')
    def read_file(original, filename, *args, **kwargs):
        from .checkpoints.loading import read

        return read(original(filename, *args, **kwargs), filename)

    # the class method that was there is bound already
    loader.load_checkpoint = staticmethod(loader.load_checkpoint)

    @_replace(checkpoint, 'load_state_dict')
    def load_state_dict(original, module, state_dict, *args, **kwargs):
        from .checkpoints.fit import fit

        return original(module, fit(state_dict, module), *args, **kwargs)

    @_replace(checkpoint, 'load_checkpoint')
    def load_checkpoint(original, model, filename, *args, **kwargs):
        from .checkpoints.loading import loading

        with loading(filename):
            return original(model, filename, *args, **kwargs)

    @_replace(checkpoint, '_load_checkpoint_with_prefix')
    def load_with_prefix(original, prefix, filename, *args, **kwargs):
        try:
            return original(prefix, filename, *args, **kwargs)
        except AssertionError as error:
            from .safe_load import CheckpointError

            content = checkpoint._load_checkpoint(filename, map_location='cpu')
            keys = content.get('state_dict', content)
            found = ', '.join(sorted({f'{key.split(".")[0]}.' for key in keys}))
            raise CheckpointError(
                f'{filename} has no weights that begin with {prefix!r}, only with '
                f'{found}'
            ) from error


@fault(
    'mmengine.model.weight_init',
    symptom='initial weights that do not fit are refused without the file',
    until='mmengine lets a model adapt a checkpoint, and refuse it',
)
def _initial_weights_without_name(weight_init):
    @_replace(weight_init.PretrainedInit, '__call__')
    def __call__(original, self, module):
        from .checkpoints.loading import loading

        with loading(self.checkpoint):
            return original(self, module)


def _tell_the_purpose(runner_class):
    @_replace(runner_class, 'load_checkpoint')
    def load_checkpoint(original, self, filename, *args, **kwargs):
        from .checkpoints.loading import loading, purpose_of

        with loading(filename, **purpose_of(self)):
            return original(self, filename, *args, **kwargs)


@fault(
    'mmengine.runner.runner',
    symptom='a test of a checkpoint without a head has a random one',
    until='mmengine tells a model what a checkpoint is loaded for',
)
def _tests_with_random_weights(runner):
    _tell_the_purpose(runner.Runner)


@fault(
    'mmengine.runner._flexible_runner',
    symptom='a test of a checkpoint without a head has a random one',
    until='mmengine tells a model what a checkpoint is loaded for',
)
def _flexible_tests_with_random_weights(flexible_runner):
    _tell_the_purpose(flexible_runner.FlexibleRunner)


@fault(
    'mmaction.apis.inference',
    symptom='a recognizer made of a checkpoint without a head has a random one',
    until='mmengine tells a model what a checkpoint is loaded for',
)
def _recognizers_with_random_weights(inference):
    @_replace(inference, 'load_checkpoint')
    def load_checkpoint(original, model, filename, *args, **kwargs):
        from .checkpoints.loading import loading

        with loading(filename, complete=True):
            return original(model, filename, *args, **kwargs)

    @_replace(inference, 'init_recognizer')
    def init_recognizer(original, config, *args, **kwargs):
        from .checkpoints.loading import loading
        from .checkpoints.state_dicts import classes_of

        if isinstance(config, (str, inference.Path)):
            config = inference.mmengine.Config.fromfile(config)
        with loading(here=classes_of(config)):
            return original(config, *args, **kwargs)


@fault(
    'mmengine.infer.infer',
    symptom='an inferencer of a checkpoint without a head has a random one',
    until='mmengine tells a model what a checkpoint is loaded for',
)
def _inferencers_with_random_weights(infer):
    @_replace(infer.BaseInferencer, '_init_model')
    def _init_model(original, self, cfg, weights, *args, **kwargs):
        from .checkpoints.loading import loading
        from .checkpoints.state_dicts import classes_of

        with loading(weights, complete=True, here=classes_of(cfg)):
            return original(self, cfg, weights, *args, **kwargs)


@fault(
    'mmengine.model.base_module',
    symptom='init_weights() outside of a run prints two lines for each parameter',
    until='BaseModule logs how parameters were initialised to files only',
)
def _initialisation_printed(base_module):
    from logging import FileHandler

    @_replace(base_module.BaseModule, '_dump_init_info')
    def _dump_init_info(original, self):
        handlers = base_module.MMLogger.get_current_instance().handlers
        if any(isinstance(handler, FileHandler) for handler in handlers):
            original(self)


@fault(
    'mmengine.config.config',
    symptom='RecursionError with --cfg-options custom_hooks="[dict(type=EMAHook)]"',
    until='DictAction reads dictionaries, and refuses what it cannot read',
)
def _dictionaries_in_options(config):
    action = config.DictAction

    @_replace(action, '_parse_iterable')
    def _parse_iterable(original, value):
        return _as_python(value) if 'dict(' in value else original(value)

    action._parse_iterable = staticmethod(action._parse_iterable)

    @_replace(action, '__call__')
    def __call__(original, self, parser, namespace, values, option_string=None):
        try:
            original(self, parser, namespace, values, option_string)
        except (AssertionError, RecursionError, SyntaxError, ValueError):
            parser.error(
                f'argument {option_string}: {" ".join(values)} cannot be read: '
                'expected KEY=VALUE, where a value is a number, a word, a list [a,b] '
                'or a dictionary dict(type=Name,key=1), without blanks'
            )


def _as_python(text):
    """A value of lists, ``dict(...)`` and literals; words without quotes are text."""
    import ast

    def read(node):
        if isinstance(node, (ast.List, ast.Tuple)):
            kind = list if isinstance(node, ast.List) else tuple
            return kind(read(item) for item in node.elts)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == 'dict':
            if node.args or any(item.arg is None for item in node.keywords):
                raise ValueError('dict() takes KEY=VALUE')
            return {item.arg: read(item.value) for item in node.keywords}
        if isinstance(node, ast.Dict):
            return {read(k): read(v) for k, v in zip(node.keys, node.values)}
        if isinstance(node, (ast.Name, ast.Attribute)):
            word = ast.unparse(node)
            return word.lower() == 'true' if word.lower() in ('true', 'false') else word
        return ast.literal_eval(node)

    return read(ast.parse(text.strip('\'" '), mode='eval').body)


@fault(
    'mmengine.hooks.ema_hook',
    symptom="KeyError: 'state_dict' in EMAHook, with load_from of a published file",
    until='EMAHook loads what the model loads',
)
def _ema_of_published_checkpoints(ema_hook):
    @_replace(ema_hook.EMAHook, 'after_load_checkpoint')
    def after_load_checkpoint(original, self, runner, checkpoint):
        if not runner._resume:
            from .checkpoints.fit import fit

            checkpoint['state_dict'] = fit(dict(checkpoint), self.src_model)
        return original(self, runner, checkpoint)


@fault(
    'mmengine.fileio.backends.local_backend',
    symptom='a kill, or a full disk, leaves half a checkpoint under its name',
    until='LocalBackend writes beside a file, then puts it in place',
)
def _files_in_halves(local_backend):
    from .files import replacing

    def put(self, obj, filepath):
        with replacing(filepath, 'wb') as file:
            file.write(obj)

    def put_text(self, obj, filepath, encoding='utf-8'):
        put(self, obj.encode(encoding), filepath)

    local_backend.LocalBackend.put = put
    local_backend.LocalBackend.put_text = put_text


@fault(
    'mmengine.hooks.checkpoint_hook',
    symptom='a kill while a checkpoint is saved loses the one before as well',
    until='CheckpointHook removes after it has saved, and names paths that can move',
)
def _checkpoints_removed_first(checkpoint_hook):
    hook = checkpoint_hook.CheckpointHook

    def save(self, runner, step, meta):
        from .engine.checkpoints import save_checkpoint

        save_checkpoint(self, runner, step, meta)

    hook._save_checkpoint_with_step = save

    @_replace(hook, '_save_best_checkpoint')
    def save_best(original, self, runner, metrics):
        from .engine.checkpoints import removing_later

        if hasattr(self, 'file_backend'):  # not in a validation without training
            with removing_later(self):
                original(self, runner, metrics)

    @_replace(hook, 'before_train')
    def before_train(original, self, runner):
        from .engine.checkpoints import follow_folder

        original(self, runner)
        follow_folder(self, runner)


@fault(
    'mmengine.runner.runner',
    symptom='--resume stops at a damaged checkpoint, or drops load_from without one',
    until='Runner resumes from the newest whole checkpoint, and else from load_from',
)
def _resuming_from_what_there_is(runner):
    from mmengine.runner import checkpoint

    def find_latest_checkpoint(path):
        from .engine.checkpoints import newest_checkpoint

        return newest_checkpoint(path)

    for module in (checkpoint, runner, sys.modules['mmengine.runner']):
        module.find_latest_checkpoint = find_latest_checkpoint

    @_replace(runner.Runner, 'load_or_resume')
    def load_or_resume(original, self):
        _choose_start(self)
        return original(self)


@fault(
    'mmengine.runner._flexible_runner',
    symptom='as that of Runner',
    until='as that of Runner',
)
def _resuming_flexible_runners(flexible_runner):
    @_replace(flexible_runner.FlexibleRunner, 'load_or_resume')
    def load_or_resume(original, self):
        _choose_start(self)
        return original(self)


def _choose_start(runner):
    """``resume='auto'``, or True without ``load_from`` as MMAction2's tool sets it."""
    given = runner._load_from
    auto = runner._resume == 'auto' or (runner._resume is True and given is None)
    if not auto or runner._has_loaded:
        return
    if not hasattr(runner._train_loop, 'run'):  # a test, with a training's config
        runner._resume = False
        return

    def load_from():
        file = runner.cfg.filename
        if runner._resume == 'auto' or not file or not osp.isfile(file):
            return given
        from mmengine.config import Config

        return Config.fromfile(file).get('load_from')  # the tool dropped it

    from .engine.checkpoints import choose_start

    choose_start(runner, load_from)


@fault(
    'mmengine.runner.runner',
    symptom='a resumed run ends with other weights than an uninterrupted one',
    until='MMEngine resumes inside an epoch, and keeps all that the weights depend on',
)
def _resuming_in_parts(runner):
    @_replace(runner.Runner, 'register_hooks')
    def register_hooks(original, self, *args, **kwargs):
        from .engine.hooks import ResumeHook

        original(self, *args, **kwargs)
        self.register_hook(ResumeHook())


@fault(
    'mmengine.runner.loops',
    symptom='resumed inside an epoch, batches are counted from its beginning',
    until='EpochBasedTrainLoop resumes inside an epoch',
)
def _batches_of_resumed_epochs(loops):
    @_replace(loops.EpochBasedTrainLoop, 'run_iter')
    def run_iter(original, self, idx, data_batch):
        return original(
            self, self._iter - self._epoch * len(self.dataloader), data_batch
        )


@fault(
    'mmaction.models.heads.base',
    symptom='TypeError: Got unsupported ScalarType BFloat16 in training and testing',
    until='BaseHead casts its logits before numpy sees them',
)
def _low_precision_logits(base):
    @_replace(base.BaseHead, 'loss_by_feat')
    def loss_by_feat(original, self, cls_scores, *args, **kwargs):
        return original(self, _at_least_float32(cls_scores), *args, **kwargs)

    @_replace(base.BaseHead, 'predict_by_feat')
    def predict_by_feat(original, self, cls_scores, *args, **kwargs):
        return original(self, _at_least_float32(cls_scores), *args, **kwargs)


@fault(
    'mmaction.evaluation.metrics.acc_metric',
    symptom='TypeError: Got unsupported ScalarType BFloat16 in AccMetric',
    until='AccMetric casts scores before numpy sees them',
)
def _low_precision_scores(acc_metric):
    @_replace(acc_metric.AccMetric, 'process')
    def process(original, self, data_batch, data_samples):
        data_samples = [
            {**sample, 'pred_score': _at_least_float32(sample['pred_score'])}
            for sample in data_samples
        ]
        return original(self, data_batch, data_samples)


@fault(
    'mmaction.evaluation.metrics.acc_metric',
    symptom='a broken sample, labelled -1, counts as one more class in mean1',
    until='MMAction2 counts samples without a label as wrong, or leaves them out',
)
def _samples_without_label(acc_metric):
    import numpy as np

    @_replace(acc_metric, 'mean_class_accuracy')
    def mean_class_accuracy(original, scores, labels):
        from .evaluation.results import mean_class_accuracy

        return mean_class_accuracy(scores, labels)

    @_replace(acc_metric, 'mmit_mean_average_precision')
    def mmit_mean_average_precision(original, scores, labels):
        sound = [i for i, label in enumerate(labels) if label.any()]
        scores, labels = ([x[i] for i in sound] for x in (scores, labels))
        return original(scores, labels) if sound else np.float64(0)


@fault(
    'mmengine.evaluator.evaluator',
    symptom='one metric that fails, after a whole test, loses the dump and the others',
    until='Evaluator.evaluate gives every metric its turn',
)
def _metrics_that_fail(evaluator):
    def process(self, data_samples, data_batch=None):
        from .evaluation.evaluator import process

        process(self, data_samples, data_batch)

    def evaluate(self, size):
        from .evaluation.evaluator import evaluate

        return evaluate(self, size)

    evaluator.Evaluator.process = process
    evaluator.Evaluator.evaluate = evaluate


@fault(
    'mmengine.evaluator.metric',
    symptom='a full disk leaves half a result.pkl in place of the last one',
    until='DumpResults writes another file first',
)
def _half_a_dump(metric):
    import pickle

    from .files import replacing

    def dump(results, path):
        with replacing(path, 'wb') as file:
            pickle.dump(results, file)

    metric.dump = dump


@fault(
    'mmaction.datasets.transforms.formatting',
    symptom='nothing after PackActionInputs knows which file a sample is of',
    until='PackActionInputs keeps the file name by default',
)
def _samples_without_file(formatting):
    @_replace(formatting.PackActionInputs, 'transform')
    def transform(original, self, results):
        from .datasets.sample_files import file_of_info

        packed = original(self, results)
        file = file_of_info(results)
        if file is not None:
            packed['data_samples'].set_metainfo(dict(file=file))
        return packed


def _at_least_float32(scores):
    import torch

    if isinstance(scores, torch.Tensor) and scores.dtype in (
        torch.bfloat16,
        torch.float16,
    ):
        return scores.float()
    return scores


@fault(
    'mmengine.dataset.base_dataset',
    symptom='augmentations depend on the number of workers, and change on resuming',
    until='MMEngine seeds every sample, as SeededSampler does',
)
def _samples_without_seeds(base_dataset):
    @_replace(base_dataset.BaseDataset, '__getitem__')
    def __getitem__(original, self, idx):
        if not hasattr(idx, 'seed'):
            return original(self, idx)
        from .datasets.samplers import random_numbers_from

        with random_numbers_from(idx.seed):
            return original(self, int(idx))


@fault(
    'mmengine.runner.runner',
    symptom="collate_fn got an unexpected keyword argument '_scope_'",
    until='Runner.build_dataloader keeps the scope of inherited configs to itself',
)
def _scope_of_functions(runner):
    build = runner.Runner.build_dataloader

    @wraps(build)
    def build_dataloader(dataloader, *args, **kwargs):
        if isinstance(dataloader, dict):
            dataloader = dict(dataloader)
            for name in ('collate_fn', 'worker_init_fn'):
                if isinstance(dataloader.get(name), dict):
                    arguments = dataloader[name].items()
                    dataloader[name] = {k: v for k, v in arguments if k != '_scope_'}
        return build(dataloader, *args, **kwargs)

    runner.Runner.build_dataloader = staticmethod(build_dataloader)


@fault(
    'mmengine.optim.scheduler.param_scheduler',
    symptom='a warm-up of one step never ends: the rate stays at start_factor',
    until="LinearParamScheduler's last value is end_factor, however few steps it has",
)
def _warm_up_of_one_step(param_scheduler):
    for name in ('LinearParamScheduler', 'ConstantParamScheduler'):

        @_replace(getattr(param_scheduler, name), '_get_value')
        def _get_value(original, self):
            if self.total_iters > 0:
                return original(self)
            factor = getattr(self, 'end_factor', 1.0)
            groups = self.optimizer.param_groups
            return [group[self.param_name] * factor for group in groups]


@fault(
    'mmengine.dist.utils',
    symptom='torch._C has no attribute _cuda_setDevice with a launcher and no GPU',
    until='mmengine calls torch.cuda.set_device only where CUDA is available',
)
def _launcher_without_gpu(utils):
    import torch

    for name in ('_init_dist_pytorch', '_init_dist_slurm', '_init_dist_mpi'):

        @_replace(utils, name)
        def init_dist(original, backend, **kwargs):
            if torch.cuda.is_available():
                return original(backend, **kwargs)
            backend = 'gloo' if backend == 'nccl' else backend
            with mock.patch.object(torch.cuda, 'set_device'):
                return original(backend, **kwargs)


@fault(
    'mmengine.model.wrappers.distributed',
    symptom='DistributedDataParallel device_ids only work with GPU modules',
    until='Runner.wrap_model passes device_ids only for GPU models',
)
def _ddp_without_gpu(distributed):
    @_replace(distributed.MMDistributedDataParallel, '__init__')
    def __init__(original, self, module, *args, **kwargs):
        if all(p.device.type == 'cpu' for p in module.parameters()):
            kwargs['device_ids'] = None
        return original(self, module, *args, **kwargs)


@fault(
    'mmengine.optim.optimizer.amp_optimizer_wrapper',
    symptom='AmpOptimizerWrapper is only available training on gpu',
    until='AmpOptimWrapper accepts a CPU',
)
def _amp_without_gpu(amp_optimizer_wrapper):
    import torch

    @_replace(amp_optimizer_wrapper.AmpOptimWrapper, '__init__')
    def __init__(original, self, *args, **kwargs):
        devices = ('cuda', 'npu', 'mlu', 'musa')
        wrapper = amp_optimizer_wrapper
        if any(getattr(wrapper, f'is_{d}_available')() for d in devices):
            return original(self, *args, **kwargs)
        cpu_scaler = SimpleNamespace(
            is_cuda_available=lambda: True,
            GradScaler=lambda **kw: torch.amp.GradScaler('cpu', **kw),
        )
        with mock.patch.multiple(wrapper, **vars(cpu_scaler)):
            return original(self, *args, **kwargs)


@fault(
    'mmengine.runner.amp',
    symptom='In CPU autocast, only support `torch.bfloat16` dtype',
    until='mmengine lets torch decide which types CPU autocast knows',
)
def _fp16_autocast_without_gpu(amp):
    import torch
    from mmengine.device import get_device

    @_replace(amp, 'autocast')
    def autocast(original, device_type=None, dtype=None, enabled=True, **kwargs):
        device = device_type or get_device()
        if device == 'cpu' and dtype == torch.float16:
            return torch.autocast('cpu', dtype, enabled, **kwargs)
        return original(device_type, dtype, enabled, **kwargs)


@fault(
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


def _names_of_numpy_1(module):
    """Give a module the names that NumPy 2 has removed, and no other module."""
    import numpy as np

    if hasattr(np, 'Inf'):
        return False
    numpy = ModuleType('numpy')
    numpy.__getattr__ = lambda name: getattr(np, name)
    numpy.Inf, numpy.NAN = np.inf, np.nan
    numpy.trapz = np.trapezoid
    numpy.in1d = lambda x, y, **kwargs: np.isin(np.ravel(x), y, **kwargs)
    module.np = numpy


for _module, _symptom in {
    'mmaction.datasets.transforms.pose_transforms': 'Inf in PoseCompact and MMCompact',
    'mmaction.utils.misc': 'Inf in frame_extract, which the demos call',
    'mmaction.evaluation.metrics.multimodal_metric': 'in1d in RetrievalRecall',
    'mmaction.evaluation.functional.accuracy': 'trapz in the average recall',
    'mmaction.evaluation.functional.ava_evaluation.metrics': 'NAN in the AP of AVA',
}.items():
    fault(
        _module,
        symptom=f'AttributeError: numpy has no attribute {_symptom}',
        until='mmaction2 uses the names of NumPy 2',
    )(_names_of_numpy_1)


@fault(
    'mmaction.evaluation.functional.multisports_utils',
    symptom='TypeError: only 0-dimensional arrays can be converted, in MultiSports',
    until='multisports_utils takes the one index out of its array',
)
def _index_of_one_frame(multisports_utils):
    import numpy as np

    def int_of_one(x):
        return builtins.int(x.item() if isinstance(x, np.ndarray) else x)

    multisports_utils.int = int_of_one


@fault(
    'mmaction.engine.hooks.visualization_hook',
    symptom='--show-dir: permute() error for clips with views, pictures without labels',
    until='VisualizationHook takes (views, C, T, H, W) and the visualizer draws labels',
)
def _show_dir(visualization_hook):
    from mmengine.structures import LabelData

    from .datasets.sample_files import file_of

    def _draw_samples(self, batch_idx, data_batch, data_samples, step=0):
        if not self.enable:
            return
        start = batch_idx * len(data_samples)
        for i, sample in enumerate(data_samples):
            if (start + i) % self.interval:
                continue
            sample = sample.clone()
            # the names and types that ActionVisualizer looks for
            if 'gt_label' in sample:
                sample.set_field(sample.gt_label, 'gt_labels')
            sample.set_field(
                LabelData(item=sample.pred_label, score=sample.pred_score),
                'pred_labels',
            )
            name = osp.basename(file_of(sample) or str(start + i))
            draw_args = {k: v for k, v in self.draw_args.items() if k != 'show'}
            if self.out_dir is not None:
                draw_args['out_path'] = osp.join(self.out_dir, f'{name}_{step}')
            self._visualizer.add_datasample(
                name,
                video=_first_view(data_batch['inputs'][i]),
                data_sample=sample,
                step=step,
                show_frames=self.show,
                **draw_args,
            )

    visualization_hook.VisualizationHook._draw_samples = _draw_samples


def _first_view(video):
    """(..., C, T, H, W) or (T, C, H, W) -> uint8 frames (T, H, W, C)."""
    while video.ndim > 4:
        video = video[0]
    frames = video.movedim(0, -1) if video.shape[0] == 3 else video.movedim(1, -1)
    return frames.numpy().astype('uint8')


@fault(
    'mmaction.apis.inferencers.actionrecog_inferencer',
    symptom='an inferencer decodes with decord where the config says VideoInit',
    until='ActionRecogInferencer keeps the steps of a config that open and decode',
)
def _inferencers_choose_decord(module):
    @_replace(module.ActionRecogInferencer, '_init_pipeline')
    def _init_pipeline(original, self, cfg):
        from mmaction.registry import TRANSFORMS

        steps = cfg.test_dataloader.dataset.pipeline
        own = {step['type']: dict(step) for step in steps}  # the list is changed
        pipeline = original(self, cfg)
        for i, step in enumerate(pipeline.transforms):
            name = type(step).__name__
            if name in ('DecordInit', 'DecordDecode') and name not in own:
                name = name.replace('Decord', 'Video')
                if name in own:
                    pipeline.transforms[i] = TRANSFORMS.build(own[name])
        return pipeline


@fault(
    'mmaction.visualization.action_visualizer',
    symptom='pictures of predictions show the frames that decord takes for them',
    until='ActionVisualizer takes a decoder',
)
def _pictures_of_decord(module):
    @_replace(module.ActionVisualizer, '_load_video')
    def _load_video(original, self, video, target_resolution=None):
        from .datasets.videos import Video

        if isinstance(video, str) and osp.isfile(video):
            with Video(video) as file:
                frames = file.frames(range(len(file)))
            video = [frame[..., ::-1] for frame in frames]
        return original(self, video, target_resolution)


def decord_clash() -> str | None:
    """What is wrong if decord and decord2 are both installed, else None.

    Both write the package folder ``decord``, so one overwrites half of the other.
    """
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in ('decord', 'decord2'):
        with suppress(PackageNotFoundError):
            found.append(f'{name} {version(name)}')
    if len(found) < 2:
        return None
    return (
        f'{" and ".join(found)} are both installed and overwrite each other: run '
        '"pip uninstall -y decord decord2", then install the one you want'
    )
