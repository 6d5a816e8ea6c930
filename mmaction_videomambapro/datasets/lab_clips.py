"""Clips of the laboratory: toy tasks, each of which asks for one ability.

``benchmarks/lab`` compares backbones on them. Clips are drawn when they are needed, in
some ten microseconds per frame, and nothing is stored: number i of a split is always
the same clip. Labels follow each other in turn, so that all are equally frequent.

In all tasks but the two about motion, a frame is dark noise with one coloured square,
somewhere; most squares mean nothing. No single frame tells the answer: which frame
counts, or what it means, is said by another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from . import demo_clips

SPLITS = 'train', 'watch', 'test'
CONTROLS = 'none', 'one_frame', 'shuffled'

# red and green, which carry answers; blue, yellow, magenta and cyan, which distract
COLOURS = np.array(
    [(230, 60, 60), (60, 230, 60), (70, 70, 240), (230, 230, 60), (230, 60, 230),
     (60, 230, 230)], np.uint8,
)  # fmt: skip
SIDE = 16  # height and width of frames with squares
WHITE = 255
# right, left, down, up
DIRECTIONS = np.array([(1, 0), (-1, 0), (0, 1), (0, -1)])

Drawn = tuple[np.ndarray, int]  # clip and frame of its cue, or -1


@dataclass(frozen=True)
class Task:
    """A task of the laboratory.

    Attributes:
        summary (str): What is asked, in one sentence.
        classes (int): Number of labels.
        frames (int): Frames of a clip, T.
        size (int): Height and width of a frame in pixels, S.
        draw (Callable): Label and random numbers to RGB frames, (T, S, S, 3), uint8,
            and the frame of the cue that must be remembered, or -1.
    """

    summary: str
    classes: int
    frames: int
    size: int
    draw: Callable[[int, np.random.Generator], Drawn]

    def sample(self, seed: int, split: str, index: int) -> tuple[np.ndarray, int, int]:
        """A clip, its label, and the frame of its cue, or -1.

        Args:
            seed (int): Other seeds give other clips.
            split (str): 'train', 'watch' (held out, to look at during training) or
                'test' (held out, for the end).
            index (int): Number of the clip.

        Returns:
            tuple: RGB frames, (T, S, S, 3), uint8; an int; and an int.

        Raises:
            ValueError: For an unknown ``split``.
        """
        if split not in SPLITS:
            raise ValueError(f'split must be one of {SPLITS}, but got {split!r}')
        rng = np.random.default_rng([seed, SPLITS.index(split), index])
        label = index % self.classes
        clip, cue = self.draw(label, rng)
        return clip, label, cue


def draw_batch(
    task: Task, seed: int, split: str, indices: Sequence[int], control: str = 'none'
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw clips of a task.

    Args:
        task (Task): One of ``TASKS``.
        seed (int): See :meth:`Task.sample`.
        split (str): See :meth:`Task.sample`.
        indices (Sequence[int]): Numbers of the clips, N.
        control (str): 'none'; 'one_frame', a frame of each clip, chosen at random, in
            the place of all; or 'shuffled', frames in random order. A model that still
            solves a task did not need time, or order. Defaults to 'none'.

    Returns:
        tuple[ndarray]: RGB frames, (N, T, S, S, 3), uint8; labels, (N,), int64; frames
        of the cues, (N,), int64, or -1.

    Raises:
        ValueError: For an unknown ``split`` or ``control``.
    """
    if control not in CONTROLS:
        raise ValueError(f'control must be one of {CONTROLS}, but got {control!r}')
    samples = [task.sample(seed, split, i) for i in indices]
    clips, labels, cues = (np.stack(x) for x in zip(*samples))
    if control != 'none':
        for clip, i in zip(clips, indices):
            rng = np.random.default_rng([seed, SPLITS.index(split), i, 1])
            if control == 'one_frame':
                clip[:] = clip[rng.integers(task.frames)]
            else:
                rng.shuffle(clip)
    return clips, labels, cues


def _with_squares(colours: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dark noise, with a square of these colours, (T,), in a quarter of each frame."""
    clip = rng.integers(20, 90, (len(colours), 4, 4, 3), np.uint8)
    clip = clip.repeat(SIDE // 4, 1).repeat(SIDE // 4, 2)
    half = SIDE // 2
    for frame, colour, place in zip(clip, colours, rng.integers(4, size=len(clip))):
        top, left = (half * x + half // 4 for x in divmod(place, 2))
        frame[top : top + half // 2, left : left + half // 2] = COLOURS[colour]
    return clip


def _draw_order(label: int, rng: np.random.Generator, frames: int, apart: int) -> Drawn:
    colours = rng.integers(2, len(COLOURS), frames)
    first = rng.integers(frames - apart)
    colours[[first, first + apart]] = label, 1 - label
    return _with_squares(colours, rng), -1


def _draw_counting(label: int, rng: np.random.Generator, frames: int) -> Drawn:
    colours = rng.integers(1, len(COLOURS), frames)
    colours[rng.choice(frames, 1 + label, replace=False)] = 0
    return _with_squares(colours, rng), -1


def _draw_recall(
    label: int, rng: np.random.Generator, distance: int, around: int = 0
) -> Drawn:
    colours = rng.integers(2, len(COLOURS), around + distance + 1 + around)
    cue = rng.integers(2)
    colours[[around, around + distance]] = cue, cue ^ label
    return _with_squares(colours, rng), around


def _draw_selective(label: int, rng: np.random.Generator, frames: int) -> Drawn:
    colours = rng.integers(2, size=frames)
    marked = rng.integers(frames - 1)
    colours[marked + 1] = label
    clip = _with_squares(colours, rng)
    clip[marked, [0, -1]] = clip[marked, :, [0, -1]] = WHITE
    return clip, int(marked) + 1


def _draw_motion(label: int, rng: np.random.Generator, frames: int, size: int) -> Drawn:
    clip = demo_clips.draw_clip(label, frames, rng)[..., ::-1]  # from BGR
    side = (demo_clips.WIDTH - demo_clips.HEIGHT) // 2
    clip = [
        cv2.resize(x[:, side:-side], (size, size), interpolation=cv2.INTER_AREA)
        for x in clip
    ]
    return np.stack(clip), -1


def _draw_camera(label: int, rng: np.random.Generator, frames: int, size: int) -> Drawn:
    # seen against the frame alone, the square's way gives 3 of 4 labels at best
    speed = 1.5  # pixels per frame
    camera = rng.uniform(-speed, speed, 2)
    texture = rng.integers(20, 140, (32, 32, 3), np.uint8)
    texture = cv2.resize(texture, (4 * size, 4 * size))
    colour = rng.integers(170, 255, 3)
    start = 2 * size + rng.uniform(-size / 8, size / 8, 2)
    half = size // 8
    clip = []
    for t in np.arange(frames) - (frames - 1) / 2:
        left, top = np.round(1.5 * size + camera * t).astype(int)
        x, y = np.round(start + speed * DIRECTIONS[label] * t).astype(int) - (left, top)
        frame = texture[top : top + size, left : left + size].copy()
        frame[max(y - half, 0) : y + half, max(x - half, 0) : x + half] = colour
        clip.append(frame)
    return np.stack(clip), -1


def _squares(summary: str, classes: int, frames: int, draw: Callable) -> Task:
    return Task(summary, classes, frames, SIDE, draw)


TASKS = {
    'motion': Task(
        'How does the shape move? The eight classes of the demo clips, of which each '
        'is another one played backwards.',
        8, 8, 32, partial(_draw_motion, frames=8, size=32),
    ),
    'camera': Task(
        'Which way does the square move over the ground, while the camera moves as '
        'well, at up to the same speed?',
        4, 8, 32, partial(_draw_camera, frames=8, size=32),
    ),
    **{
        f'order-{k}': _squares(
            f'Which comes first, the red square or the green one, {k} frames apart?',
            2, frames, partial(_draw_order, frames=frames, apart=k),
        )
        for k, frames in ((4, 16), (8, 24))
    },
    'counting': _squares(
        'How many squares are red, one to four of 16?',
        4, 16, partial(_draw_counting, frames=16),
    ),
    **{
        f'recall-{k}': _squares(
            f'Does the last square have the colour of the first one, {k} frames '
            'before it?',
            2, k + 1, partial(_draw_recall, distance=k),
        )
        for k in (4, 16, 64)
    },
    'recall-inside': _squares(
        'Recall over 4 frames, from the second frame to the last but one: neither is '
        'at an end, where a scan starts.',
        2, 7, partial(_draw_recall, distance=4, around=1),
    ),
    **{
        f'selective-{n}': _squares(
            f'Of {n} squares, red or green, which colour has the one after the frame '
            'with a white border?',
            2, n, partial(_draw_selective, frames=n),
        )
        for n in (8, 16)
    },
}  # fmt: skip
