"""Train and test one contestant on one task with one seed, under a fixed budget."""

from __future__ import annotations

import hashlib
import json
import math
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from entries import PLAIN
from mmaction.registry import MODELS
from mmengine.registry import init_default_scope
from torch import Tensor, nn
from torch.nn import functional as F

from mmaction_videomambapro.configs import read_config
from mmaction_videomambapro.datasets.lab_clips import (
    CONTROLS,
    TASKS,
    Task,
    draw_batch,
)
from mmaction_videomambapro.engine.memory import keep_freed_memory
from mmaction_videomambapro.errors import UsageError

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
from common import machine  # noqa: E402

# Raise it when a change of the code changes what entries come to.
RULES = 1
BUDGETS = {  # steps, clips per step
    'motion': (700, 16),
    'camera': (500, 16),
    'order-4': (500, 32),
    'order-8': (500, 32),
    'counting': (400, 32),
    'recall-4': (300, 32),
    'recall-16': (500, 32),
    'recall-64': (500, 16),
    'recall-inside': (500, 32),
    'selective-8': (500, 32),
    'selective-16': (700, 32),
}
PATCH = 8
LOOKS = 10  # rows of a curve
WATCHED, TESTED = 256, 1024  # clips held out
SCORED = 128  # clips per forward pass without gradients


@dataclass(frozen=True)
class Contestant:
    """A contestant's config: ``contestants/NAME.py``.

    Attributes:
        name (str): Name of the file.
        backbone (dict): Config of the backbone, which returns (N, ``embed_dims``).
            The task sets ``num_frames``, ``img_size`` and ``patch_size``.
        lr (float): Peak learning rate.
        control (str): What clips lose; see :func:`draw_batch`.
    """

    name: str
    backbone: dict
    lr: float
    control: str

    @classmethod
    def read(cls, name: str) -> Contestant:
        """Read a config.

        Raises:
            UsageError: If it cannot be a contestant.
        """
        path = HERE / f'contestants/{name}.py'
        if not re.fullmatch(PLAIN, name):
            raise UsageError(
                f'{path}: a name has small letters, digits and hyphens alone; rename it'
            )
        cfg = read_config(path)
        if lacks := [key for key in ('backbone', 'lr') if key not in cfg]:
            raise UsageError(f'{path} lacks {" and ".join(lacks)}')
        if not isinstance(cfg.lr, float):
            raise UsageError(f'{path}: lr is {cfg.lr!r}, not a number')
        control = cfg.get('control', 'none')
        if control not in CONTROLS:
            known = ', '.join(CONTROLS)
            raise UsageError(f'{path}: control is {control!r}, not one of {known}')
        return cls(name, cfg.backbone.to_dict(), cfg.lr, control)

    def build(self, task: Task) -> nn.Sequential:
        """Backbone and linear head, with initial weights: clips to (N, classes)."""
        init_default_scope('mmaction')  # MMAction2's TimeSformer needs it
        backbone = MODELS.build(
            dict(
                self.backbone,
                num_frames=task.frames,
                img_size=task.size,
                patch_size=PATCH,
            )
        )
        backbone.init_weights()
        return nn.Sequential(backbone, nn.Linear(backbone.embed_dims, task.classes))


def describe(contestant: Contestant, task_name: str) -> dict:
    """What an entry is, apart from its seed; decides whether a result is still valid.

    Returns:
        dict: The head of a result file.

    Raises:
        UsageError: If the backbone does not return (N, C).
    """
    task = TASKS[task_name]
    steps, batch = BUDGETS[task_name]
    settings = [RULES, contestant.backbone, contestant.lr, contestant.control, steps]
    settings += [batch, PATCH, task.classes, task.frames, task.size]
    text = json.dumps(settings, sort_keys=True)
    model = contestant.build(task)
    _check_features(contestant.name, model[0], task)
    return {
        'contestant': contestant.name,
        'track': 'models' if contestant.control == 'none' else 'controls',
        'task': task_name,
        'chance': 1 / task.classes,
        'config': hashlib.sha256(text.encode()).hexdigest()[:8],
        'parameters': sum(p.numel() for p in model.parameters()),
        'steps': steps,
        'clips': steps * batch,
        'tokens': steps * batch * task.frames * (task.size // PATCH) ** 2,
    }


@torch.no_grad()
def _check_features(name, backbone, task):
    found = backbone(torch.zeros(1, 3, task.frames, task.size, task.size))
    shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
    if shape != (1, backbone.embed_dims):
        raise UsageError(
            f'{name}: of a clip, the backbone returns {shape}, not one vector, '
            f'{(1, backbone.embed_dims)}; choose what it puts out in its config'
        )


def run_entry(contestant: Contestant, task_name: str, seed: int) -> dict:
    """Train on clips that are never seen twice, then test.

    Returns:
        dict: An entry of a result file, under its seed.
    """
    torch.set_num_threads(1)
    keep_freed_memory()
    torch.manual_seed(seed)
    task, (steps, batch) = TASKS[task_name], BUDGETS[task_name]
    clips = Clips(task, batch, seed, contestant.control)
    model = contestant.build(task)
    curve, seconds = fit(
        model,
        clips.batch,
        lambda batch: F.cross_entropy(model(batch[0]), batch[1]),
        steps,
        contestant.lr,
        lambda: score(model, clips, 'watch', WATCHED).mean(),
    )
    right = score(model, clips, 'test', TESTED)
    entry = {'accuracy': rounded(right.mean())}
    cues = clips.cues('test', TESTED)
    if len(set(cues)) > 1:
        thirds = cues * 3 // task.frames
        entry['positions'] = {
            name: rounded(right[thirds == i].mean())
            for i, name in enumerate(('first', 'middle', 'last'))
        }
    return {**entry, 'curve': curve, 'made': made(seconds)}


class Clips:
    """Clips of a task as normalised tensors.

    Args:
        task (Task): Draws them.
        batch_size (int): Training clips per step.
        seed (int): Decides all clips.
        control (str): What they lose; see :func:`draw_batch`.
    """

    def __init__(
        self, task: Task, batch_size: int, seed: int, control: str = 'none'
    ) -> None:
        self.task, self.batch_size = task, batch_size
        self.seed, self.control = seed, control

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Training clips of a step."""
        first = step * self.batch_size
        return self.draw('train', range(first, first + self.batch_size))

    def draw(self, split: str, indices: range) -> tuple[Tensor, Tensor]:
        """Clips, (N, 3, T, S, S), float32, and labels, (N,)."""
        clips, labels, _ = self._drawn(split, indices)
        clips = torch.from_numpy(clips).permute(0, 4, 1, 2, 3).float()
        return (clips - 60) / 60, torch.from_numpy(labels)

    def cues(self, split: str, number: int) -> np.ndarray:
        return self._drawn(split, range(number))[2]

    def _drawn(self, split, indices):
        return draw_batch(self.task, self.seed, split, indices, self.control)


def fit(
    model: nn.Module,
    batch: Callable[[int], Any],
    loss_of: Callable[[Any], Tensor],
    steps: int,
    lr: float,
    watch: Callable[[], float],
) -> tuple[list, float]:
    """AdamW with 10 % of warm-up and a cosine.

    Args:
        model (nn.Module): What is trained.
        batch (Callable): Clips of a step, from its number.
        loss_of (Callable): Their loss.
        steps (int): Their number.
        lr (float): Peak learning rate.
        watch (Callable): Measures the model, in ``eval()``, at ten steps.

    Returns:
        tuple: Rows of step, mean loss since the row before, what ``watch`` returned;
        and seconds of CPU time, without drawing and watching.
    """
    flat = {n for n, p in model.named_parameters() if p.ndim < 2 or 'A_' in n}
    optimizer = torch.optim.AdamW(
        [
            dict(params=[p for n, p in model.named_parameters() if n not in flat]),
            dict(
                params=[p for n, p in model.named_parameters() if n in flat],
                weight_decay=0.0,
            ),
        ],
        lr=lr,
        betas=(0.9, 0.98),
        weight_decay=0.05,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda i: min(10 * (i + 1) / steps, 0.5 + 0.5 * math.cos(math.pi * i / steps)),
    )
    curve, losses, seconds = [], [], 0.0
    model.train()
    for step in range(steps):
        clips = batch(step)
        start = time.process_time()
        loss = loss_of(clips)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        seconds += time.process_time() - start
        if (step + 1) * LOOKS // steps > step * LOOKS // steps:
            model.eval()
            curve.append([step + 1, rounded(np.mean(losses)), rounded(watch())])
            model.train()
            losses.clear()
    return curve, seconds


@torch.no_grad()
def score(model: nn.Module, clips: Clips, split: str, number: int) -> np.ndarray:
    """Whether each of the held-out clips is recognised, (number,), 0 or 1."""
    model.eval()
    right = []
    for first in range(0, number, SCORED):
        frames, labels = clips.draw(split, range(first, first + SCORED))
        right.append((model(frames).argmax(1) == labels).numpy())
    return np.concatenate(right).astype(float)


def rounded(value: float) -> float:
    """Four digits after the point, as JSON takes them."""
    return round(float(value), 4)


def made(seconds: float) -> dict:
    """The part of an entry that another run may change."""
    commit = subprocess.run(
        ['git', 'rev-parse', '--short', 'HEAD'],
        cwd=HERE, capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    return {
        'seconds': round(seconds, 1),
        'date': time.strftime('%Y-%m-%d'),
        'machine': machine().rsplit(', ', 1)[0],
        'code': commit or 'unknown',
    }
