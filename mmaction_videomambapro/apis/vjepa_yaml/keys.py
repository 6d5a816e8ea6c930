"""The keys of V-JEPA's experiment files, and their allowed values."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ...errors import UsageError
from ...safe_yaml import read_yaml

REQUIRED = object()


class Key(NamedTuple):
    """Allowed values of a key in an experiment file; null if the default is None."""

    kind: str
    default: Any = REQUIRED


LARGEST = 10**15  # finite, not NaN, and exact as a float
KINDS = {
    'a text': lambda v: isinstance(v, str),
    'true or false': lambda v: isinstance(v, bool),
    'a whole number': lambda v: type(v) is int and abs(v) <= LARGEST,
    'a number': lambda v: type(v) in (int, float) and abs(v) <= LARGEST,
    'anything': lambda v: True,
}
KINDS['a whole number above 0'] = lambda v: KINDS['a whole number'](v) and v > 0
KINDS['a number from 0 on'] = lambda v: KINDS['a number'](v) and v >= 0
KINDS['two numbers'] = lambda v: (
    isinstance(v, list) and len(v) == 2 and all(map(KINDS['a number'], v))
)
KINDS['a list of numbers'] = lambda v: (
    isinstance(v, list) and all(map(KINDS['a number'], v))
)
KINDS['a list of texts'] = lambda v: (
    isinstance(v, list) and v and all(map(KINDS['a text'], v))
)
KINDS['a list of whole numbers above 0'] = lambda v: (
    isinstance(v, list) and v and all(map(KINDS['a whole number above 0'], v))
)
KINDS['a list of whole numbers from 0 on'] = lambda v: (
    isinstance(v, list) and v and all(KINDS['a whole number'](x) and x >= 0 for x in v)
)
KINDS['a mean and a standard deviation for red, green and blue'] = lambda v: (
    isinstance(v, list)
    and len(v) == 2
    and all(KINDS['a list of numbers'](x) and len(x) == 3 for x in v)
)

TEXT, FLAG, INT, NUMBER, PAIR = (
    Key(kind)
    for kind in ('a text', 'true or false', 'a whole number', 'a number', 'two numbers')
)
COUNT, FROM_0 = Key('a whole number above 0'), Key('a number from 0 on')
NO_MEANING = Key('anything', None)
OFF = Key('true or false', False)
ON = Key('true or false', True)

PRETRAINING = {
    'app': TEXT,
    'nodes': COUNT,
    'tasks_per_node': COUNT,
    'data.dataset_type': Key('a text', 'VideoDataset'),
    'data.datasets': Key('a list of texts'),
    'data.datasets_weights': Key('a list of numbers', None),
    'data.mask_type': Key('a text', 'multiblock3d'),
    'data.decode_one_clip': NO_MEANING,
    'data.batch_size': COUNT,
    'data.num_clips': COUNT,
    'data.num_frames': COUNT,
    'data.tubelet_size': COUNT,
    'data.sampling_rate': COUNT,
    'data.crop_size': COUNT,
    'data.patch_size': COUNT,
    'data.pin_mem': NO_MEANING,
    'data.num_workers': INT,
    'data.filter_short_videos': OFF,
    'data.clip_duration': Key('a number', None),
    'data.log_resource_utilization': NO_MEANING,
    'data_aug.auto_augment': OFF,
    'data_aug.motion_shift': OFF,
    'data_aug.random_resize_aspect_ratio': PAIR,
    'data_aug.random_resize_scale': PAIR,
    'data_aug.reprob': Key('a number', 0.0),
    'logging.folder': TEXT,
    'logging.write_tag': NO_MEANING,
    'loss.loss_exp': NUMBER,
    'loss.reg_coeff': NUMBER,
    'meta.load_checkpoint': OFF,
    'meta.read_checkpoint': Key('a text', None),
    'meta.seed': INT,
    'meta.eval_freq': NO_MEANING,
    'meta.save_every_freq': Key('a whole number', -1),
    'meta.skip_batches': NO_MEANING,
    'meta.use_sdpa': NO_MEANING,
    'meta.dtype': TEXT,
    'model.model_name': TEXT,
    'model.pred_depth': COUNT,
    'model.pred_embed_dim': COUNT,
    'model.pred_head_dim': NO_MEANING,
    'model.uniform_power': OFF,
    'model.use_mask_tokens': OFF,
    'model.zero_init_mask_tokens': ON,
    'optimization.ipe': COUNT,
    'optimization.ipe_scale': Key('a number', 1.0),
    'optimization.clip_grad': Key('a number', None),
    'optimization.weight_decay': NUMBER,
    'optimization.final_weight_decay': NUMBER,
    'optimization.epochs': COUNT,
    'optimization.accumulation_steps': Key('a whole number above 0', 1),
    'optimization.warmup': FROM_0,
    'optimization.start_lr': NUMBER,
    'optimization.lr': NUMBER,
    'optimization.final_lr': NUMBER,
    'optimization.ema': PAIR,
    'optimization.betas': Key('two numbers', [0.9, 0.999]),
    'optimization.eps': Key('a number', 1e-8),
}
MULTI_BLOCK = {
    'aspect_ratio': PAIR,
    'num_blocks': COUNT,
    'spatial_scale': PAIR,
    'temporal_scale': PAIR,
    'max_temporal_keep': Key('a number', 1.0),
    'max_keep': Key('a whole number above 0', None),
}
TUBE = {'ratio': Key('a number', 0.9)}

# V-JEPA 2
PRETRAINING_2 = {
    **{
        key: kind
        for key, kind in PRETRAINING.items()
        if key
        not in (
            'data.mask_type',
            'data.decode_one_clip',
            'data.num_clips',
            'data.num_frames',
            'data.sampling_rate',
            'data.filter_short_videos',
            'data.clip_duration',
            'data.log_resource_utilization',
            'logging.folder',
            'logging.write_tag',
            'loss.reg_coeff',
            'model.pred_head_dim',
            'optimization.clip_grad',
            'optimization.accumulation_steps',
        )
    },
    'folder': TEXT,
    'cpus_per_task': NO_MEANING,
    'mem_per_gpu': NO_MEANING,
    'data.dataset_fpcs': Key('a list of whole numbers above 0'),
    'data.fps': COUNT,
    'data.crop_size': Key('a whole number above 0', 224),
    'data.num_workers': Key('a whole number', 1),
    'data.persistent_workers': ON,
    'data_aug.random_resize_aspect_ratio': Key('two numbers', [3 / 4, 4 / 3]),
    'data_aug.random_resize_scale': Key('two numbers', [0.3, 1.0]),
    'meta.seed': Key('a whole number', 0),
    'meta.sync_gc': NO_MEANING,
    'model.compile_model': NO_MEANING,
    'model.pred_num_heads': Key('a whole number above 0', None),
    'model.use_activation_checkpointing': OFF,
    'model.use_rope': OFF,
    'model.use_silu': OFF,
    'model.use_pred_silu': OFF,
    'model.wide_silu': NO_MEANING,
    'optimization.is_anneal': OFF,
    'optimization.anneal_ckpt': Key('a text', None),
    'optimization.resume_anneal': OFF,
}
MULTI_BLOCK_2 = {
    **MULTI_BLOCK,
    'full_complement': OFF,
    'pred_full_complement': OFF,
    'inv_block': OFF,
}

PROBE = {
    'nodes': COUNT,
    'tasks_per_node': COUNT,
    'tag': Key('a text', None),
    'eval_name': TEXT,
    'resume_checkpoint': OFF,
    'data.num_classes': COUNT,
    'optimization.num_epochs': COUNT,
    'optimization.batch_size': COUNT,
    'optimization.accumulation_steps': Key('a whole number above 0', 1),
    'optimization.weight_decay': NUMBER,
    'optimization.lr': NUMBER,
    'optimization.start_lr': NUMBER,
    'optimization.final_lr': NUMBER,
    'optimization.warmup': FROM_0,
    'optimization.use_bfloat16': FLAG,
    'pretrain.model_name': TEXT,
    'pretrain.checkpoint_key': Key('a text', 'target_encoder'),
    'pretrain.clip_duration': Key('a number', None),
    'pretrain.frames_per_clip': COUNT,
    'pretrain.tubelet_size': COUNT,
    'pretrain.uniform_power': OFF,
    'pretrain.use_silu': NO_MEANING,
    'pretrain.tight_silu': NO_MEANING,
    'pretrain.use_sdpa': NO_MEANING,
    'pretrain.patch_size': COUNT,
    'pretrain.folder': TEXT,
    'pretrain.checkpoint': TEXT,
    'pretrain.write_tag': NO_MEANING,
}
VIDEO_PROBE = {
    **PROBE,
    'data.dataset_train': TEXT,
    'data.dataset_val': TEXT,
    'data.dataset_type': Key('a text', 'VideoDataset'),
    'data.frames_per_clip': COUNT,
    'data.num_segments': COUNT,
    'data.num_views_per_segment': COUNT,
    'data.frame_step': Key('a whole number above 0', 4),
    'optimization.attend_across_segments': OFF,
    'optimization.resolution': COUNT,
}
IMAGE_PROBE = {
    **PROBE,
    'data.root_path': TEXT,
    'data.image_folder': TEXT,
    'data.resolution': COUNT,
    'data.dataset_name': NO_MEANING,
    'pretrain.clip_duration': NO_MEANING,
}
IMAGE_PROBE_NAMES = {'optimization.resolution': 'data.resolution'}


# V-JEPA 2; named like V-JEPA's keys where those exist
PROBE_2_NAMES = {
    'data.num_classes': 'experiment.data.num_classes',
    'optimization.num_epochs': 'experiment.optimization.num_epochs',
    'optimization.batch_size': 'experiment.optimization.batch_size',
    'optimization.use_bfloat16': 'experiment.optimization.use_bfloat16',
    'pretrain.checkpoint': 'model_kwargs.checkpoint',
    'pretrain.folder': 'folder',
    **{
        f'pretrain.{name}': f'model_kwargs.pretrain_kwargs.encoder.{name}'
        for name in (
            'model_name',
            'checkpoint_key',
            'tubelet_size',
            'patch_size',
            'uniform_power',
        )
    },
}
VIDEO_PROBE_2_NAMES = {
    **PROBE_2_NAMES,
    'pretrain.frames_per_clip': 'experiment.data.frames_per_clip',
    'pretrain.clip_duration': 'experiment.data.clip_duration',
    'optimization.resolution': 'experiment.data.resolution',
    **{
        f'data.{name}': f'experiment.data.{name}'
        for name in (
            'dataset_train',
            'dataset_val',
            'dataset_type',
            'frames_per_clip',
            'num_segments',
            'num_views_per_segment',
            'frame_step',
        )
    },
}
IMAGE_PROBE_2_NAMES = {
    **PROBE_2_NAMES,
    'pretrain.frames_per_clip': 'model_kwargs.wrapper_kwargs.img_as_video_nframes',
    'optimization.resolution': 'experiment.data.resolution',
    **{
        f'data.{name}': f'experiment.data.{name}'
        for name in ('root_path', 'image_folder', 'dataset_name')
    },
}
_PROBE_2 = {
    'nodes': COUNT,
    'tasks_per_node': COUNT,
    'cpus_per_task': NO_MEANING,
    'mem_per_gpu': NO_MEANING,
    'max_workers': NO_MEANING,
    'num_workers': Key('a whole number', 12),
    'tag': Key('a text', None),
    'eval_name': TEXT,
    'resume_checkpoint': OFF,
    'val_only': OFF,
    'experiment.classifier.num_heads': Key('a whole number above 0', 16),
    'experiment.classifier.num_probe_blocks': Key('a whole number above 0', 1),
    'experiment.data.normalization': Key(
        'a mean and a standard deviation for red, green and blue', None
    ),
    'experiment.optimization.use_pos_embed': NO_MEANING,
    'model_kwargs.module_name': TEXT,
    'model_kwargs.pretrain_kwargs.encoder.img_temporal_dim_size': NO_MEANING,
    'model_kwargs.pretrain_kwargs.encoder.use_rope': OFF,
    'model_kwargs.pretrain_kwargs.encoder.use_sdpa': NO_MEANING,
    'model_kwargs.pretrain_kwargs.encoder.use_silu': OFF,
    'model_kwargs.pretrain_kwargs.encoder.wide_silu': NO_MEANING,
}
VIDEO_PROBE_2 = {
    **_PROBE_2,
    **{new: VIDEO_PROBE[old] for old, new in VIDEO_PROBE_2_NAMES.items()},
    'model_kwargs.wrapper_kwargs.max_frames': NO_MEANING,
    'model_kwargs.wrapper_kwargs.use_pos_embed': OFF,
    'model_kwargs.wrapper_kwargs.out_layers': Key(
        'a list of whole numbers from 0 on', None
    ),
}
IMAGE_PROBE_2 = {
    **_PROBE_2,
    'experiment.data.resolution': COUNT,
    **{
        new: IMAGE_PROBE[old]
        for old, new in IMAGE_PROBE_2_NAMES.items()
        if old in IMAGE_PROBE
    },
}
ONE_PROBE = {  # an entry of multihead_kwargs
    'lr': FROM_0,
    'start_lr': FROM_0,
    'final_lr': FROM_0,
    'warmup': FROM_0,
    'weight_decay': FROM_0,
    'final_weight_decay': FROM_0,
}


def read_experiment(path: str | os.PathLike) -> dict:
    """Read the keys and values of an experiment file.

    Raises:
        UsageError: If it is not YAML, or not a mapping.
    """
    experiment = read_yaml(path)
    if not isinstance(experiment, dict):
        raise UsageError(f'{path} is no experiment of V-JEPA: it has no keys')
    return experiment


class Values(dict):
    """The values of an experiment by dotted keys, with defaults for missing ones.

    Args:
        experiment (Mapping): Keys and values, in sections or not.
        keys (Mapping[str, Key]): All allowed keys, dotted.
        names (Mapping[str, str]): The file's names of keys that the code asks for under
            another name. Defaults to none.
        implied (Mapping): Values that the code asks for and files do not have.
            Defaults to none.

    Raises:
        UsageError: If keys are unknown or missing (all of them are listed), or if a
            value is not of its kind.
    """

    def __init__(
        self,
        experiment: Mapping,
        keys: Mapping[str, Key],
        names: Mapping[str, str] = MappingProxyType({}),
        implied: Mapping[str, Any] = MappingProxyType({}),
    ):
        super().__init__(_flatten(experiment))
        self.known, self.names, self.implied = keys, names, implied
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
        for key, value in self.items():
            kind, default = keys[key]
            if not (KINDS[kind](value) or (value is None and default is None)):
                hint = ' (YAML takes 1e-3 for a text: write 1.0e-3)'
                hint = hint if 'number' in kind and 'e' in str(value).lower() else ''
                raise UsageError(f'{key} is {value!r}, expected {kind}{hint}')

    def __missing__(self, key):
        if key in self.names:
            return self[self.names[key]]
        return self.implied[key] if key in self.implied else self.known[key].default

    def name(self, key: str) -> str:
        """The file's name of a key."""
        return self.names.get(key, key)

    def ignore(self, key: str, reason: str) -> None:
        """Note a key, or section, that other keys make meaningless here."""
        key = self.name(key)
        if key in self or any(known.startswith(f'{key}.') for known in self):
            self._ignored[key] = reason

    def ignored(self) -> list[str]:
        """Keys that are set but have no meaning here, with the reason if known."""
        keys = {key for key in self if self.known[key] is NO_MEANING} | set(
            self._ignored
        )
        return [
            f'{key} ({self._ignored[key]})' if key in self._ignored else key
            for key in sorted(keys)
        ]

    def refuse(self, key: str, value: Any, reason: str) -> None:
        """Stop at a value that has no counterpart."""
        if self[key] == value:
            value = str(value).lower() if isinstance(value, bool) else repr(value)
            raise UsageError(f'{self.name(key)}: {value} is not possible: {reason}')

    def choose(self, key: str, choices: Iterable) -> Any:
        """The value, one of some choices; if they are a mapping, what it maps to."""
        value = self[key]
        if value not in choices:
            raise UsageError(
                f'{self.name(key)} is {value!r}, expected one of '
                f'{", ".join(map(str, choices))}'
            )
        return choices[value] if isinstance(choices, Mapping) else value


def _flatten(experiment):
    """Turn sections, and lists of sections, into dotted keys."""
    flat = {}
    for key, value in experiment.items():
        if isinstance(value, list) and value and all(map(_is_section, value)):
            value = dict(enumerate(value))
        if _is_section(value):
            flat.update({f'{key}.{name}': v for name, v in _flatten(value).items()})
        else:
            flat[str(key)] = value
    return flat


def _is_section(value):
    return isinstance(value, Mapping)
