"""The keys of V-JEPA's experiment files, and their allowed values."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ...errors import UsageError
from ...safe_yaml import read_yaml
from .parts import VIDEOMAMBAS, VITS

REQUIRED = object()
LARGEST = 10**15  # finite, not NaN, and exact as a float


class Key(NamedTuple):
    """Allowed values of a key in an experiment file; null if the default is None."""

    kind: str
    allows: Callable[[Any], bool]
    default: Any = REQUIRED
    only: bool | None = None  # the only value of a flag that has a counterpart
    reason: str = ''  # why the other has none

    def optional(self, default: Any = None) -> Key:
        """The same kind, with a default."""
        return self._replace(default=default)


def _list(kind, each, length=None):
    """A list that is not empty, or has a fixed length."""

    def allows(value):
        if not isinstance(value, list) or not value:
            return False
        return len(value) == (length or len(value)) and all(map(each.allows, value))

    return Key(kind, allows)


STRING = Key('a string', lambda v: isinstance(v, str))
FLAG = Key('true or false', lambda v: isinstance(v, bool))
INTEGER = Key('an integer', lambda v: type(v) is int and abs(v) <= LARGEST)
NUMBER = Key('a number', lambda v: type(v) in (int, float) and abs(v) <= LARGEST)
COUNT = Key('an integer above 0', lambda v: INTEGER.allows(v) and v > 0)
INDEX = Key('an integer from 0 on', lambda v: INTEGER.allows(v) and v >= 0)
FROM_0 = Key('a number from 0 on', lambda v: NUMBER.allows(v) and v >= 0)
FROM_1 = Key('a number from 1 on', lambda v: NUMBER.allows(v) and v >= 1)
PAIR = _list('two numbers', NUMBER, 2)
NUMBERS = _list('a list of numbers', NUMBER)
STRINGS = _list('a list of strings', STRING)
COUNTS = _list('a list of integers above 0', COUNT)
INDICES = _list('a list of integers from 0 on', INDEX)
NORMALIZATION = _list(
    'a mean and a standard deviation for red, green and blue',
    _list('three numbers', NUMBER, 3),
    2,
)
NO_MEANING = Key('anything', lambda v: True, None)
MOMENTA = Key(
    'two numbers above 0 and at most 1, the first below 1',
    lambda v: PAIR.allows(v) and 0 < v[0] < 1 and 0 < v[1] <= 1,
)


def _one_of(*choices):
    kind = f'one of {", ".join(map(str, choices))}'
    return Key(kind, lambda v: type(v) in (str, int) and v in choices)


MODEL = _one_of(*VITS, *VIDEOMAMBAS)
DATASET = _one_of('VideoDataset', 'videodataset').optional('VideoDataset')
OFF, ON = FLAG.optional(False), FLAG.optional(True)


def _only(value, default, reason):
    return FLAG._replace(default=default, only=value, reason=reason)


POSITIONS = _only(True, False, 'each axis has the same share of channels')
SHIFT = _only(False, False, 'crops stay where they are in a clip')
SHORT = _only(False, False, 'use tools/data/convert_list.py --min-frames')
BLOCKS = _only(False, False, 'what blocks cover is what is predicted')
EMBED = _only(False, False, 'probes get the tokens of clips as they are')
SILU = _only(False, False, 'MLPs have GELU')


def _keys(*groups):
    """Keys by their names, of which each group is a text."""
    return {name: key for key, names in groups for name in names.split()}


_PRETRAINING = _keys(  # of both versions
    (STRING, 'app'),
    (_one_of('bfloat16', 'float16', 'float32'), 'meta.dtype'),
    (MODEL, 'model.model_name'),
    (DATASET, 'data.dataset_type'),
    (STRING.optional(), 'meta.read_checkpoint'),
    (STRINGS, 'data.datasets'),
    (NUMBERS.optional(), 'data.datasets_weights'),
    (COUNT, 'nodes tasks_per_node data.batch_size data.tubelet_size data.patch_size'),
    (COUNT, 'model.pred_depth model.pred_embed_dim'),
    (COUNT, 'optimization.ipe optimization.epochs'),
    (INTEGER.optional(-1), 'meta.save_every_freq'),
    (NUMBER, 'loss.loss_exp'),
    (NUMBER, 'optimization.weight_decay optimization.final_weight_decay'),
    (NUMBER, 'optimization.start_lr optimization.lr optimization.final_lr'),
    (FROM_1.optional(1.0), 'optimization.ipe_scale'),
    (NUMBER.optional(0.0), 'data_aug.reprob'),
    (NUMBER.optional(1e-8), 'optimization.eps'),
    (FROM_0, 'optimization.warmup'),
    (MOMENTA, 'optimization.ema'),
    (PAIR.optional([0.9, 0.999]), 'optimization.betas'),
    (OFF, 'data_aug.auto_augment meta.load_checkpoint'),
    (SHIFT, 'data_aug.motion_shift'),
    (POSITIONS, 'model.uniform_power'),
    (_only(True, False, 'predictors have mask tokens'), 'model.use_mask_tokens'),
    (_only(True, True, 'mask tokens start at zero'), 'model.zero_init_mask_tokens'),
    (NO_MEANING, 'data.pin_mem meta.eval_freq meta.skip_batches meta.use_sdpa'),
)
PRETRAINING = _PRETRAINING | _keys(
    (STRING, 'logging.folder'),
    (STRING.optional('multiblock3d'), 'data.mask_type'),
    (COUNT, 'data.num_clips data.num_frames data.sampling_rate data.crop_size'),
    (COUNT.optional(1), 'optimization.accumulation_steps'),
    (INTEGER, 'data.num_workers meta.seed'),
    (NUMBER, 'loss.reg_coeff'),
    (NUMBER.optional(), 'data.clip_duration optimization.clip_grad'),
    (PAIR, 'data_aug.random_resize_aspect_ratio data_aug.random_resize_scale'),
    (SHORT, 'data.filter_short_videos'),
    (NO_MEANING, 'data.decode_one_clip data.log_resource_utilization'),
    (NO_MEANING, 'logging.write_tag model.pred_head_dim'),
)
PRETRAINING_2 = _PRETRAINING | _keys(
    (STRING, 'folder'),
    (STRING.optional(), 'optimization.anneal_ckpt'),
    (COUNT, 'data.fps'),
    (COUNT.optional(224), 'data.crop_size'),
    (COUNT.optional(), 'model.pred_num_heads'),
    (COUNTS, 'data.dataset_fpcs'),
    (INTEGER.optional(1), 'data.num_workers'),
    (INTEGER.optional(0), 'meta.seed'),
    (PAIR.optional([3 / 4, 4 / 3]), 'data_aug.random_resize_aspect_ratio'),
    (PAIR.optional([0.3, 1.0]), 'data_aug.random_resize_scale'),
    (OFF, 'model.use_activation_checkpointing model.use_rope'),
    (OFF, 'optimization.is_anneal optimization.resume_anneal'),
    (SILU, 'model.use_silu model.use_pred_silu'),
    (ON, 'data.persistent_workers'),
    (NO_MEANING, 'cpus_per_task mem_per_gpu meta.sync_gc'),
    (NO_MEANING, 'model.compile_model model.wide_silu'),
)
MULTI_BLOCK = _keys(
    (COUNT, 'num_blocks'),
    (COUNT.optional(), 'max_keep'),
    (NUMBER.optional(1.0), 'max_temporal_keep'),
    (PAIR, 'aspect_ratio spatial_scale temporal_scale'),
)
MULTI_BLOCK_2 = MULTI_BLOCK | _keys(
    (OFF, 'full_complement'),
    (BLOCKS, 'pred_full_complement inv_block'),
)
TUBE = _keys((NUMBER.optional(0.9), 'ratio'))

PREFIXES = {'target_encoder': 'target.module.', 'encoder': 'backbone.'}
PROBES = VIDEO, IMAGE = 'video_classification_frozen', 'image_classification_frozen'
MODULES = {  # modules that build V-JEPA 2's encoders, and whether layers are selected
    f'evals.{VIDEO}.modelcustom.vit_encoder_multiclip': False,
    f'evals.{VIDEO}.modelcustom.vit_encoder_multiclip_multilevel': True,
    f'evals.{IMAGE}.modelcustom.vit_encoder': False,
}
_PROBE = _keys(  # of both versions
    (STRING, 'eval_name pretrain.folder pretrain.checkpoint'),
    (MODEL, 'pretrain.model_name'),
    (STRING.optional(), 'tag'),
    (_one_of(*PREFIXES).optional('target_encoder'), 'pretrain.checkpoint_key'),
    (COUNT, 'nodes tasks_per_node data.num_classes'),
    (COUNT, 'optimization.num_epochs optimization.batch_size optimization.resolution'),
    (COUNT, 'pretrain.frames_per_clip pretrain.tubelet_size pretrain.patch_size'),
    (FLAG, 'optimization.use_bfloat16'),
    (OFF, 'resume_checkpoint'),
    (POSITIONS, 'pretrain.uniform_power'),
)
_PROBE_1 = _PROBE | _keys(
    (COUNT.optional(1), 'optimization.accumulation_steps'),
    (NUMBER, 'optimization.weight_decay'),
    (NUMBER, 'optimization.start_lr optimization.lr optimization.final_lr'),
    (FROM_0, 'optimization.warmup'),
    (NO_MEANING, 'pretrain.use_silu pretrain.tight_silu pretrain.use_sdpa'),
    (NO_MEANING, 'pretrain.write_tag'),
)
_PROBE_2 = _PROBE | _keys(
    (_one_of(*MODULES), 'pretrain.module_name'),
    (COUNT.optional(16), 'classifier.num_heads'),
    (_one_of(1, 2, 3, 4).optional(1), 'classifier.num_probe_blocks'),
    (INTEGER.optional(12), 'num_workers'),
    (NORMALIZATION.optional(), 'data.normalization'),
    (OFF, 'val_only pretrain.use_rope'),
    (SILU, 'pretrain.use_silu'),
    (NO_MEANING, 'cpus_per_task mem_per_gpu max_workers optimization.use_pos_embed'),
    (NO_MEANING, 'pretrain.img_temporal_dim_size pretrain.use_sdpa pretrain.wide_silu'),
)
_VIDEO = _keys(
    (STRING, 'data.dataset_train data.dataset_val'),
    (DATASET, 'data.dataset_type'),
    (COUNT, 'data.frames_per_clip data.num_segments'),
    (_one_of(1, 3), 'data.num_views_per_segment'),
    (COUNT.optional(4), 'data.frame_step'),
    (NUMBER.optional(), 'pretrain.clip_duration'),
)
_IMAGE = _keys(
    (STRING, 'data.root_path data.image_folder'), (NO_MEANING, 'data.dataset_name')
)
_WRAPPER = _keys(
    (INDICES.optional(), 'wrapper.out_layers'),
    (EMBED, 'wrapper.use_pos_embed'),
    (NO_MEANING, 'wrapper.max_frames'),
)
_SECTIONS_2 = {
    'classifier': 'experiment.classifier',
    'data': 'experiment.data',
    'optimization': 'experiment.optimization',
    'pretrain': 'model_kwargs.pretrain_kwargs.encoder',
    'wrapper': 'model_kwargs.wrapper_kwargs',
}
_NAMES_2 = {
    'optimization.resolution': 'experiment.data.resolution',
    'pretrain.checkpoint': 'model_kwargs.checkpoint',
    'pretrain.clip_duration': 'experiment.data.clip_duration',
    'pretrain.folder': 'folder',
    'pretrain.frames_per_clip': 'experiment.data.frames_per_clip',
    'pretrain.module_name': 'model_kwargs.module_name',
}
_IMAGES_2 = {
    'pretrain.frames_per_clip': 'model_kwargs.wrapper_kwargs.img_as_video_nframes'
}


def _named(keys, names, sections=MappingProxyType({})):
    """Keys by the names of a file, and the names of those that it calls otherwise."""
    for key in keys:
        section, _, name = key.partition('.')
        if section in sections:
            names = {key: f'{sections[section]}.{name}'} | names
    return {names.get(key, key): kind for key, kind in keys.items()}, names


PROBE_KEYS = {  # by kind and whether it is V-JEPA 2's
    (VIDEO, False): _named(
        _PROBE_1 | _VIDEO | _keys((OFF, 'optimization.attend_across_segments')), {}
    ),
    (IMAGE, False): _named(
        _PROBE_1 | _IMAGE | _keys((NO_MEANING, 'pretrain.clip_duration')),
        {'optimization.resolution': 'data.resolution'},
    ),
    (VIDEO, True): _named(_PROBE_2 | _VIDEO | _WRAPPER, _NAMES_2, _SECTIONS_2),
    (IMAGE, True): _named(_PROBE_2 | _IMAGE, _NAMES_2 | _IMAGES_2, _SECTIONS_2),
}
ONE_PROBE = _keys(  # an entry of multihead_kwargs
    (FROM_0, 'lr start_lr final_lr warmup weight_decay final_weight_decay')
)


def find(experiment: Mapping, key: str) -> Any:
    """The value of a dotted key, None if there is none."""
    node: Any = experiment
    for name in key.split('.'):
        node = node.get(name) if isinstance(node, Mapping) else None
    return node


def of_each(experiment: Mapping, section: str, keys: Mapping[str, Key]) -> dict:
    """The keys of a list of sections, as many as the experiment has."""
    entries = find(experiment, section)
    if not (isinstance(entries, list) and entries):
        raise UsageError(f'{section} is missing or empty, or is not a list')
    return {f'{section}.{i}.{k}': keys[k] for i in range(len(entries)) for k in keys}


def read_experiment(path: str | os.PathLike) -> dict:
    """Read the keys and values of an experiment file.

    Raises:
        UsageError: If it is not YAML, or not a mapping.
    """
    experiment = read_yaml(path)
    if not isinstance(experiment, dict):
        raise UsageError(f'{path} is not a V-JEPA experiment: no keys found')
    return experiment


IMPLIED = {  # what a file without such a key would say
    **{key: kind.default for key, kind in (PRETRAINING | PRETRAINING_2).items()},
    'data.fps': None,
    'data.normalization': None,
    'data.num_clips': 1,
    'data.num_segments': 1,
    'data.sampling_rate': 1,
    'loss.reg_coeff': 0.0,
    'num_workers': 8,
    'optimization.attend_across_segments': True,
    'pretrain.use_rope': False,
    'val_only': False,
    'wrapper.out_layers': None,
}


class Values(dict):
    """The values of an experiment by dotted keys, with defaults for missing ones.

    Args:
        experiment (Mapping): Keys and values, in sections or not.
        keys (Mapping[str, Key]): All allowed keys, dotted.
        names (Mapping[str, str]): The file's names of keys that the code asks for under
            another name. Defaults to none.

    Raises:
        UsageError: If keys are unknown or missing (all of them are listed), or if a
            value is not of its kind, or has no counterpart.
    """

    def __init__(
        self,
        experiment: Mapping,
        keys: Mapping[str, Key],
        names: Mapping[str, str] = MappingProxyType({}),
    ):
        super().__init__(_flatten(experiment))
        self.known, self.names = keys, names
        self._ignored = {}
        sections = {key[:end] for key in keys for end, c in enumerate(key) if c == '.'}
        for key in sorted(sections & set(self)):
            raise UsageError(f'{key} is {self[key]!r}, expected a section of keys')
        unknown = sorted(str(key) for key in self if key not in keys)
        if unknown:
            raise UsageError(f'unknown keys: {", ".join(unknown)}')
        missing = sorted(
            key for key in keys if keys[key].default is REQUIRED and key not in self
        )
        if missing:
            raise UsageError(f'missing keys: {", ".join(missing)}')
        for key, allowed in keys.items():
            _check(key, self[key], allowed)

    def __missing__(self, key):
        name = self.name(key)
        if name not in self.known:
            return IMPLIED[key]
        return self.get(name, self.known[name].default)

    def name(self, key: str) -> str:
        """The file's name of a key."""
        return self.names.get(key, key)

    def each(self, section: str) -> list[dict]:
        """The values of each section in a list."""
        found: dict[str, dict] = {}
        for key in self.known:
            if key.startswith(f'{section}.'):
                number, name = key.removeprefix(f'{section}.').split('.')
                found.setdefault(number, {})[name] = self[key]
        return list(found.values())

    def ignore(self, reason: str, *keys: str) -> None:
        """Note keys, or sections, that others make meaningless here."""
        for key in map(self.name, keys):
            if key in self or any(known.startswith(f'{key}.') for known in self):
                self._ignored[key] = f'{key} ({reason})'

    def ignored(self) -> list[str]:
        """Keys that are set but have no meaning here, with the reason if known."""
        keys = {k: k for k in self if self.known[k] is NO_MEANING}
        return [text for _, text in sorted((keys | self._ignored).items())]


def _check(key, value, allowed):
    if not (allowed.allows(value) or (value is None and allowed.default is None)):
        mistaken = 'number' in allowed.kind and 'e' in str(value).lower()
        hint = ' (YAML reads 1e-3 as a string: write 1.0e-3)' if mistaken else ''
        raise UsageError(f'{key} is {value!r}, expected {allowed.kind}{hint}')
    if allowed.only not in (None, value):
        raise UsageError(
            f'{key}: {str(value).lower()} is not supported: {allowed.reason}'
        )


def _flatten(experiment):
    """Turn sections, and lists of sections, into dotted keys."""
    flat = {}
    for key, value in experiment.items():
        if isinstance(value, list) and value:
            sections = all(isinstance(entry, Mapping) for entry in value)
            value = dict(enumerate(value)) if sections else value
        if isinstance(value, Mapping):
            flat.update({f'{key}.{name}': v for name, v in _flatten(value).items()})
        else:
            flat[str(key)] = value
    return flat
