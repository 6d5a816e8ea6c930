"""Pre-train an encoder with one objective, then learn a task from few labels.

Encoder, clips and the budget of the labelled part are the same for all objectives.
Clips are those of the task 'motion' on a plain ground: a textured one, which stands
still, is all that a short pre-training learns.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from mmaction.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F
from training import (
    SCORED,
    TESTED,
    WATCHED,
    Clips,
    Contestant,
    fit,
    made,
    rounded,
    score,
)

from mmaction_videomambapro.configs import read_config
from mmaction_videomambapro.datasets import demo_clips
from mmaction_videomambapro.datasets.lab_clips import TASKS, Drawn, Task
from mmaction_videomambapro.engine.memory import keep_freed_memory
from mmaction_videomambapro.evaluation.representation_metric import knn_accuracy

HERE = Path(__file__).parent
# Raise it when a change of the code changes what entries come to.
RULES = 1
FRAMES, SIZE, TUBELET, PATCH = 8, 48, 2, 12
TOKENS = FRAMES // TUBELET * (SIZE // PATCH) ** 2
CLASSES = 8
NEIGHBOURS = 10  # of a clip, to watch pre-training
# That of the first track, as pre-training needs it
ENCODER = {
    **Contestant.read('videomambapro').backbone,
    'num_frames': FRAMES,
    'img_size': SIZE,
    'tubelet_size': TUBELET,
    'patch_size': PATCH,
    'pos_embed': 'sincos3d',
    'with_cls_token': False,
    'out_type': 'raw',
}
HEAD = {
    'type': 'AttentiveHead',
    'num_classes': CLASSES,
    'in_channels': ENCODER['arch']['embed_dims'],
    'num_heads': 4,
}


def _draw_plain(label: int, rng: np.random.Generator) -> Drawn:
    clip = demo_clips.draw_clip(label, FRAMES, rng, textured=False)
    side = (demo_clips.WIDTH - SIZE) // 2
    return clip[:, :, side:-side, ::-1], -1  # from BGR


CLIPS = Task(TASKS['motion'].summary, CLASSES, FRAMES, SIZE, _draw_plain)


@dataclass(frozen=True)
class Labelled:
    """What follows pre-training.

    Attributes:
        frozen (bool): Train the head alone.
        clips (int): Number of labelled clips.
        steps (int): Training steps.
        batch (int): Clips per step.
        lr (float): Peak learning rate.
    """

    frozen: bool
    clips: int
    steps: int
    batch: int
    lr: float


LABELLED = {
    'probe': Labelled(frozen=True, clips=160, steps=600, batch=32, lr=3e-3),
    'few-labels': Labelled(frozen=False, clips=80, steps=300, batch=16, lr=3e-3),
}
TASKS_OF_TRACK = tuple(LABELLED)


@dataclass(frozen=True)
class Objective:
    """An objective's config: ``objectives/NAME.py``.

    Attributes:
        model (dict, optional): A model with the argument ``backbone`` that returns
            its losses as MMEngine's models do. None: no pre-training.
        encoder (str): Where in the model the pre-trained encoder is.
        steps (int): Steps of pre-training.
        batch (int): Clips without labels per step.
        lr (float): Peak learning rate.
    """

    model: dict | None
    encoder: str = ''
    steps: int = 0
    batch: int = 0
    lr: float = 0.0

    @classmethod
    def read(cls, name: str) -> Objective:
        return cls(**read_config(HERE / f'objectives/{name}.py').to_dict())


def objectives() -> list[str]:
    """Names of the configs, no pre-training first."""
    names = {path.stem for path in (HERE / 'objectives').glob('*.py')}
    return sorted(names, key=lambda name: (name != 'none', name))


def describe_objective(name: str, task: str) -> dict:
    """What an entry is, apart from its seed; decides whether a result is still valid.

    Returns:
        dict: The head of a result file.
    """
    objective, labelled = Objective.read(name), LABELLED[task]
    settings = [RULES, asdict(objective), asdict(labelled), ENCODER, HEAD]
    text = json.dumps(settings, sort_keys=True)
    model = nn.Sequential(MODELS.build(ENCODER), MODELS.build(HEAD))
    clips = labelled.steps * labelled.batch
    unlabelled = objective.steps * objective.batch
    return {
        'contestant': name,
        'track': 'objectives',
        'task': task,
        'chance': 1 / CLASSES,
        'config': hashlib.sha256(text.encode()).hexdigest()[:8],
        'parameters': sum(p.numel() for p in model.parameters()),
        'steps': labelled.steps,
        'clips': clips,
        'tokens': clips * TOKENS,
        'labels': labelled.clips,
        'pretraining': {
            'steps': objective.steps,
            'clips': unlabelled,
            'tokens': unlabelled * TOKENS,
        },
    }


def run_objective(name: str, task: str, seed: int) -> dict:
    """Pre-train without labels, learn from a few, then test.

    Returns:
        dict: An entry of a result file, under its seed.
    """
    torch.set_num_threads(1)
    keep_freed_memory()
    encoder, progress, before = pretrain(Objective.read(name), seed)
    model, curve, seconds = learn(encoder, LABELLED[task], seed)
    right = score(model, Clips(CLIPS, 0, seed), 'test', TESTED)
    return {
        'accuracy': rounded(right.mean()),
        'curve': curve,
        'pretraining_curve': progress,
        'made': {**made(seconds), 'pretraining_seconds': round(before, 1)},
    }


def pretrain(objective: Objective, seed: int) -> tuple[nn.Module, list, float]:
    """Train an encoder without labels, on clips that are never seen twice.

    Returns:
        tuple: The encoder; rows of step, mean loss since the row before, share of
        held-out clips whose nearest others have the same label; and seconds of CPU
        time.
    """
    torch.manual_seed(seed)
    if objective.model is None:
        encoder = MODELS.build(ENCODER)
        encoder.init_weights()
        return encoder, [], 0.0
    model = MODELS.build(dict(objective.model, backbone=ENCODER))
    model.init_weights()
    encoder = model.get_submodule(objective.encoder)
    clips = Clips(CLIPS, objective.batch, seed)
    watched, labels = clips.draw('watch', range(WATCHED))

    def loss_of(batch):
        return model.parse_losses(model(batch[0].unsqueeze(1), mode='loss'))[0]

    def watch():
        return knn_accuracy(encode(encoder, watched).mean(1), labels, NEIGHBOURS)

    fitted = fit(model, clips.batch, loss_of, objective.steps, objective.lr, watch)
    return encoder.requires_grad_(True), *fitted


def learn(
    encoder: nn.Module, labelled: Labelled, seed: int
) -> tuple[nn.Sequential, list, float]:
    """Train a head, and the encoder unless it is frozen, on the same few clips.

    Returns:
        tuple: Encoder and head; and what :func:`fit` returns.
    """
    torch.manual_seed(seed)
    head = MODELS.build(HEAD)
    head.init_weights()
    model = nn.Sequential(encoder, head)
    trained = head if labelled.frozen else model
    clips = Clips(CLIPS, labelled.batch, seed)
    inputs, labels = clips.draw('train', range(labelled.clips))
    if labelled.frozen:  # once for all steps
        inputs = encode(encoder, inputs)

    def batch(step):
        rng = np.random.default_rng([seed, step])
        chosen = rng.choice(labelled.clips, labelled.batch, replace=False)
        return inputs[chosen], labels[chosen]

    curve, seconds = fit(
        trained,
        batch,
        lambda batch: F.cross_entropy(trained(batch[0]), batch[1]),
        labelled.steps,
        labelled.lr,
        lambda: score(model, clips, 'watch', WATCHED).mean(),
    )
    return model, curve, seconds


@torch.no_grad()
def encode(encoder: nn.Module, clips: Tensor) -> Tensor:
    """Tokens of all clips, (N, L, C)."""
    return torch.cat([encoder(part) for part in clips.split(SCORED)])
