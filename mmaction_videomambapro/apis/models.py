"""Which model is meant: a config, a name of the zoo, a checkpoint, or an ONNX file."""

from __future__ import annotations

import os
import os.path as osp
from typing import Any, NoReturn

import numpy as np
import torch
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.runner.checkpoint import _load_checkpoint

from ..checkpoints.config_text import config_in
from ..checkpoints.loading import loading
from ..configs import merge_options, read_config
from ..deploy.session import OnnxModel
from ..engine.checkpoints import newest_of
from ..errors import UsageError
from ..zoo.find import find_model


def resolve(
    model: str | os.PathLike | Config,
    weights: str | os.PathLike | None = None,
    options: dict[str, Any] | None = None,
) -> tuple[Config, dict[str, Any], str]:
    """Find the config and the weights of a model.

    Args:
        model (str | PathLike | Config): A config, its path, a name of the zoo, or a
            checkpoint: file, URL, or work directory. A checkpoint's own config is read
            as data.
        weights (str | PathLike, optional): Checkpoint. Defaults to None: that of the
            zoo, or ``model`` itself.
        options (dict, optional): Changes to the config by dotted keys.
            Defaults to None.

    Returns:
        tuple[Config, dict, str]: Config, content of the checkpoint, and its place.

    Raises:
        UsageError: If one of them is unknown or cannot be read.
    """
    cfg, place = None, None if weights is None else os.fspath(weights)
    if isinstance(model, (Config, dict)):
        cfg = model if isinstance(model, Config) else Config(model)
    else:
        model = os.fspath(model)
        if model.endswith(('.py', '.json', '.yaml', '.yml')):
            cfg = read_config(model)
        elif osp.exists(model) or '://' in model:
            place = place or model
        else:
            path, published = find_model(model)
            cfg, place = read_config(path), place or published
    if place is None:
        raise UsageError(
            f'{model if isinstance(model, str) else "the config"} needs weights: none '
            'are published for it, so name a checkpoint'
        )
    if is_onnx(place):
        raise UsageError(
            f'{place} is an ONNX file, which is a complete model: it has no layers to '
            'look into, and takes no config; give it alone to tools/predict.py, or '
            'take the checkpoint that it was made from'
        )
    place = newest_of(place)
    if not osp.exists(place) and '://' not in place:
        raise UsageError(f'checkpoint {place} does not exist')
    content = _load_checkpoint(place, 'cpu', logger='silent')
    if cfg is None:
        with loading(place):
            cfg = config_in(content)
    if options:
        merge_options(cfg, options)
    if not cfg.get('model'):
        raise UsageError('the config has no model')
    return cfg, content, place


def is_onnx(model: Any) -> bool:
    """Whether this is the path of an ONNX file."""
    path = isinstance(model, (str, os.PathLike))
    return path and os.fspath(model).lower().endswith('.onnx')


class OnnxRecognizer:
    """An ONNX file, where a recognizer is expected. No PyTorch model is built.

    Args:
        path (str | PathLike): The file.
        device (str): 'cpu' or 'cuda'. Defaults to 'cpu'.
        options (dict, optional): Changes to the config by dotted keys.
            Defaults to None.

    Attributes:
        file (OnnxModel): The file.
        cfg (Config): The number of its classes, and the test data that it names.
        meta (dict): Names of its classes, as in a checkpoint.

    Raises:
        UsageError: If the file cannot be used, or an option does not apply.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        device: str = 'cpu',
        options: dict[str, Any] | None = None,
    ) -> None:
        self.file = file = OnnxModel(path, torch.get_num_threads(), device)
        if file.output != 'scores':
            raise UsageError(
                f'{file.path} gives features, not scores of classes: run it with '
                'deploy.session.OnnxModel, or export it without --features'
            )
        if file.metadata.pipeline is None:
            raise UsageError(
                f'{file.path} has no test pipeline in its metadata, so it is not known '
                'which frames it takes: run it with deploy.session.OnnxModel'
            )
        for key in options or ():
            if not key.startswith('test_dataloader.'):
                raise UsageError(
                    f'--cfg-options {key} does not apply to {file.path}, which is a '
                    'complete model: only test_dataloader can be changed'
                )
        self.cfg = Config(
            dict(
                model=dict(cls_head=dict(num_classes=file.num_classes)),
                test_dataloader=dict(
                    batch_size=file.metadata.batch_size or 1,
                    dataset=dict(pipeline=file.metadata.pipeline),
                ),
            )
        )
        self.meta = dict(dataset_meta=dict(classes=file.metadata.classes))
        if options:
            merge_options(self.cfg, options)

    def test_step(self, data: dict) -> list[ActionDataSample]:
        """Predict a batch.

        Args:
            data (dict): ``inputs``, (views, 3, T, H, W) uint8 each, and
                ``data_samples``.
        """
        samples = data['data_samples']
        try:
            frames = np.stack([x.movedim(1, -1).numpy() for x in data['inputs']])
        except ValueError as error:
            raise UsageError(
                'the videos have different numbers or sizes of views: use --batch-size '
                '1'
            ) from error
        scores = torch.from_numpy(self.file.run(frames))
        for sample, score in zip(samples, scores):
            sample.set_pred_score(score)
            sample.set_pred_label(score.argmax(-1, keepdim=True))
        return samples

    def _refuse(self) -> NoReturn:
        """There is none: what explains a model looks into its layers."""
        raise UsageError(
            f'{self.file.path} is an ONNX file, which has no layers to look into: take '
            'the checkpoint that it was made from'
        )

    backbone = data_preprocessor = property(_refuse)
