"""From videos to answers, in Python: ``VideoInferencer``."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from mmaction.registry import INFERENCERS, MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.dist import get_dist_info
from mmengine.infer import BaseInferencer
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from rich.console import Console
from rich.progress import track
from torch.utils.data import DataLoader

from ..checkpoints.classes import classes_of
from ..checkpoints.loading import loading
from ..datasets.classes import read_classes
from ..engine.memory import keep_freed_memory
from ..errors import UsageError
from .inputs import Input, find_inputs
from .mixed_precision import autocast, check_amp, choose
from .models import OnnxRecognizer, is_onnx, resolve

# of PyTorch's allocators, whose errors have no type of their own on CPUs
_NO_MEMORY = re.compile(r'out of memory|allocate memory|not enough memory', re.I)


@INFERENCERS.register_module()
class VideoInferencer(BaseInferencer):
    """Says what happens in videos.

    The pipeline, the number of clips and crops, and the arithmetic are those of
    ``tools/test.py`` for the same config, so scores are the same, too.

    Example:
        >>> inferencer = VideoInferencer('work_dirs/demo')
        >>> inferencer('data/demo_clips/videos/val/00003.mp4', top=1)
        [{'path': 'data/demo_clips/videos/val/00003.mp4', 'labels': ['move up'],
          'classes': [3], 'scores': [0.9997], 'error': None}]

    Args:
        model (str | PathLike | Config): A config, a model of the zoo by name, or a
            checkpoint by itself: a file, a URL, or a work directory. Or an ``.onnx``
            file, which runs in ONNX Runtime: ``weights`` and ``amp`` do not apply, and
            ``cfg_options`` only to ``test_dataloader``.
        weights (str | PathLike, optional): Checkpoint, if ``model`` is not one, and not
            the published one is meant. Defaults to None.
        device (str, optional): Defaults to None: a GPU if there is one, but the CPU for
            an ``.onnx`` file.
        classes (Sequence[str] | str | PathLike, optional): Class names in label order,
            a file of them, or a published dataset such as 'kinetics400'. Defaults to
            None: those that the file carries, or the config; without any, classes
            are shown as numbers.
        cfg_options (dict, optional): Changes to the config by dotted keys.
            Defaults to None.
        amp (str, optional): Mixed precision: 'bf16', 'fp16', or 'auto', which tries
            float32 and bf16 on the first batch, see
            :func:`~mmaction_videomambapro.apis.mixed_precision.choose`, and says on
            stderr which one it takes. Defaults to None: float32.

    Attributes:
        amp (str | None): As given; after the first batch, what 'auto' has chosen.
        classes (list[str] | None): Class names in label order.
        weights (str): Where the checkpoint, or the ``.onnx`` file, is.
        batch_size (int): Videos that the model sees at once, unless said otherwise.

    Raises:
        UsageError: If the model, its weights or class names are missing or do not fit.
    """

    def __init__(
        self,
        model: str | os.PathLike | Config,
        weights: str | os.PathLike | None = None,
        device: str | None = None,
        classes: Sequence[str] | str | os.PathLike | None = None,
        cfg_options: dict[str, Any] | None = None,
        amp: str | None = None,
    ) -> None:
        init_default_scope('mmaction')
        keep_freed_memory()  # else a CPU spends up to half of the time on it
        self._content: Any
        if is_onnx(model):
            for option, value in (('--weights', weights), ('--amp', amp)):
                if value is not None:
                    raise UsageError(
                        f'{option} does not apply to {model}: an ONNX file has its own '
                        'weights and precision'
                    )
            device = device or 'cpu'
            self._content = OnnxRecognizer(model, device, cfg_options)
            cfg, self.weights = self._content.cfg, os.fspath(model)
        else:
            cfg, self._content, self.weights = resolve(model, weights, cfg_options)
        loader = _loader_of(cfg)
        self.batch_size = loader.get('batch_size', 1)
        self.num_workers = loader.get('num_workers', 0)
        self._given_classes, self.amp = classes, check_amp(amp)
        super().__init__(cfg, self.weights, device, scope='mmaction')
        del self._content

    def __call__(
        self,
        inputs: Any,
        return_datasamples: bool = False,
        batch_size: int | None = None,
        top: int | None = 5,
        root: str = '',
    ) -> list[dict] | list[ActionDataSample | None]:
        """Answer what happens in each of the videos.

        Args:
            inputs: One or several videos, see :func:`find_inputs`.
            return_datasamples (bool): Return MMAction2's objects instead of plain data,
                None for broken videos. Defaults to False.
            batch_size (int, optional): Videos at once. Defaults to that of the config.
            top (int, optional): How many classes to name. Defaults to 5; None for all.
            root (str): Folder in front of the paths of lists. Defaults to ''.

        Returns:
            list[dict]: For each video its ``path``; ``labels``, ``classes`` (numbers)
            and ``scores``, best first; ``error``, a sentence if it is broken, else
            None; and a ``note`` if it has fewer frames than a clip.
        """
        found = find_inputs(inputs, root, self.classes)
        many = len(found) > (batch_size or self.batch_size)
        results = bar(
            self.predict(found, batch_size), len(found), self.show_progress and many
        )
        if return_datasamples:
            return [sample for _, sample, _ in results]
        return [self._answer(source, x, error, top) for source, x, error in results]

    def answers(
        self,
        inputs: Sequence[Input],
        batch_size: int | None = None,
        top: int | None = 5,
    ) -> Iterator[dict]:
        """As :meth:`__call__`, one by one, for inputs from :func:`find_inputs`."""
        for result in self.predict(inputs, batch_size):
            yield self._answer(*result, top)

    def _answer(self, source, sample, error, top):
        scores = None if sample is None else sample.pred_score.float().cpu().numpy()
        answer = self.answer(source, scores, error, top)
        if sample is not None and 'note' in sample:
            answer['note'] = sample.note
        return answer

    def predict(
        self, inputs: Sequence[Input], batch_size: int | None = None
    ) -> Iterator[tuple[Input, ActionDataSample | None, str | None]]:
        """Predict batch by batch.

        Args:
            inputs (Sequence[Input]): From :func:`find_inputs`.
            batch_size (int, optional): Defaults to that of the config.

        Yields:
            tuple[Input, ActionDataSample | None, str | None]: Each input, in order,
            with its prediction or the reason why there is none.

        Raises:
            UsageError: If memory does not suffice.
        """
        batch_size = batch_size or self.batch_size
        samples = _Samples(inputs, self.pipeline)
        loader = DataLoader(
            samples,
            batch_size,
            num_workers=self.num_workers if len(inputs) > batch_size else 0,
            collate_fn=list,
        )
        done = 0
        for batch in loader:
            for result in self.ask(batch):
                broken = isinstance(result, str)
                source, done = inputs[done], done + 1
                yield source, None if broken else result, result if broken else None

    def ask(self, batch: Sequence[dict | str]) -> list[ActionDataSample | str]:
        """Predict a batch, in which a sample may be the reason why it is broken.

        Raises:
            UsageError: If memory does not suffice.
        """
        data = [x for x in batch if not isinstance(x, str)]
        predicted = iter(self._predict(data) if data else ())
        return [x if isinstance(x, str) else next(predicted) for x in batch]

    def _predict(self, data: list[dict]) -> list[ActionDataSample]:
        try:
            predicted = self.forward(self.collate_fn(data))
        except (MemoryError, RuntimeError) as error:
            if not isinstance(error, MemoryError) and not _NO_MEMORY.search(str(error)):
                raise
            way_out = 'choose a smaller batch size, or fewer clips'
            if len(data) == 1:
                way_out = 'use fewer clips, or another device'
            raise UsageError(
                f'memory does not suffice for {len(data)} of these videos at once; '
                f'{way_out}'
            ) from error
        if not all('pred_score' in x for x in predicted):
            name = type(self.model).__name__
            raise UsageError(f'{name} gives no scores of classes: take a recognizer')
        return predicted

    @torch.no_grad()
    def forward(self, inputs: dict | tuple, **kwargs) -> list[ActionDataSample]:
        """Feed a batch to the model, in mixed precision if that was asked for."""
        if self.amp is None:
            return self.model.test_step(inputs)
        if self.amp == 'auto':
            self.amp, reason = choose(self.model, inputs)
            if get_dist_info()[0] == 0:
                print(reason, file=sys.stderr)
        with autocast(self.model, self.amp):
            return self.model.test_step(inputs)

    def answer(
        self,
        source: Input,
        scores: np.ndarray | None,
        error: str | None = None,
        top: int | None = 5,
    ) -> dict:
        """Plain data about a video; see :meth:`__call__`.

        Args:
            source (Input): The video.
            scores (np.ndarray, optional): Of all classes; None if it is broken.
            error (str, optional): Why it is broken. Defaults to None.
            top (int, optional): How many classes to name. Defaults to 5; None for all.
        """
        return dict(path=source.name, **self.best(scores, top), error=error)

    def best(self, scores: np.ndarray | None, top: int | None = 5) -> dict:
        """``labels``, ``classes`` and ``scores`` of the best classes, best first."""
        if scores is None:
            scores = np.zeros(0)
        numbers = np.argsort(-scores, kind='stable')[:top].tolist()
        return dict(
            labels=[self.label(i) for i in numbers],
            classes=numbers,
            scores=[float(scores[i]) for i in numbers],
        )

    def label(self, number: int) -> str:
        """The name of a class, or its number if it has no name."""
        return self.classes[number] if self.classes else str(number)

    def visualize(self, inputs: list, preds: Any, **kwargs) -> None:
        """Nothing: :mod:`mmaction_videomambapro.visualization` draws pictures."""

    def postprocess(self, preds: Any, visualization: Any, **kwargs) -> Any:
        """Nothing: see :meth:`answer`."""
        return preds

    def _init_model(self, cfg, weights, device='cpu'):
        content = self._content
        if isinstance(content, OnnxRecognizer):
            self.classes = self._class_names(cfg, content.meta)
            return content
        with DefaultScope.overwrite_default_scope('mmaction'):
            model = MODELS.build(cfg.model)
        model.cfg = cfg
        self.classes = self._class_names(cfg, content.get('meta'))
        with loading(weights, complete=True):
            _load_checkpoint_to_model(model, content)
        return model.to(device).eval()

    def _class_names(self, cfg, meta):
        names = self._given_classes
        if names is None:
            return classes_of(meta, cfg)
        if isinstance(names, (str, os.PathLike)):
            names = read_classes(names)
        count = (cfg.model.get('cls_head') or {}).get('num_classes')
        if count and len(names) != count:
            raise UsageError(
                f'there are {len(names)} class names, but the model has {count} classes'
            )
        return list(names)

    def _init_pipeline(self, cfg):
        self.steps = _loader_of(cfg).dataset.pipeline
        try:
            return _Pipelines(self.steps)
        except Exception as error:  # transforms raise whatever they like
            raise UsageError(
                f'the test pipeline cannot be built: {reason_of(error)}'
            ) from error

    def _init_visualizer(self, cfg):
        return None


class _Pipelines:
    """The test pipeline, and its twin for frames that do not come from a file."""

    def __init__(self, steps: list[dict]) -> None:
        self.steps = steps
        self._of_files = Compose(steps)
        self._of_readers = Compose(reading_steps(steps))

    def __call__(self, source: Input) -> dict:
        sample = source.sample()
        files = any(type_name(step).endswith('Init') for step in self.steps)
        is_file = files and 'video_reader' not in sample
        data, note = sample, None
        for step in (self._of_files if is_file else self._of_readers).transforms:
            data = step(data)
            note = note or _note(data)
        if note and 'data_samples' in data:
            data['data_samples'].set_metainfo(dict(note=note))
        return data


def _note(sample: dict) -> str | None:
    """What there is to say about the frames that a sampler has chosen."""
    inds, length = sample.get('frame_inds'), sample.get('clip_len', 0)
    if inds is None or len(np.unique(inds)) >= length:
        return None
    return f'too few frames for a clip ({sample["total_frames"]}): some are repeated'


def bar(items: Iterable[Any], total: int, shown: bool) -> Iterable[Any]:
    """Show a progress bar on a terminal while something is iterated over."""
    console = Console(stderr=True)
    if not shown or not console.is_terminal or get_dist_info()[0]:
        return items
    return track(items, 'Inference', total, console=console, transient=True)


def reading_steps(steps: Sequence[dict]) -> list[dict]:
    """A pipeline whose frames come from a reader, as long as it begins with a decoder.

    Args:
        steps (Sequence[dict]): A pipeline for videos, for folders of frames, or for
            arrays.
    """
    decode = [dict(x) for x in steps if type_name(x) == 'VideoDecode']
    decode = decode or [dict(type='VideoDecode')]
    kept: list[dict] = []
    for step in steps:
        name = type_name(step)
        if name.endswith('Decode'):
            kept += decode
        elif not name.endswith('Init'):
            kept.append(step)
    return [dict(type='VideoInit'), *kept]


def type_name(step: dict) -> str:
    """The name of a transform's class in a config."""
    name = step.get('type', '')
    return name.rsplit('.')[-1] if isinstance(name, str) else name.__name__


def _loader_of(cfg: Config) -> dict:
    """The data loader of a config whose pipeline is for testing."""
    for name in ('test_dataloader', 'val_dataloader'):
        loader = cfg.get(name) or {}
        dataset = loader.get('dataset') or {}
        if dataset.get('pipeline'):
            return loader
    raise UsageError('the config has no test_dataloader with a pipeline')


class _Samples(torch.utils.data.Dataset):
    """Inputs as a model takes them, or the reason why they are broken."""

    def __init__(self, inputs: Sequence[Input], pipeline) -> None:
        self.inputs, self.pipeline = inputs, pipeline

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, i: int) -> dict | str:
        try:
            return self.pipeline(self.inputs[i])
        except Exception as error:  # decoders raise whatever they like
            return reason_of(error)


def reason_of(error: Exception) -> str:
    """Why a video is broken, in one sentence.

    Raises:
        MemoryError: If the video is not to blame.
    """
    if isinstance(error, MemoryError):
        raise error
    text = getattr(error, 'strerror', None) or str(error)
    return text.strip().split('\n')[-1] or type(error).__name__
