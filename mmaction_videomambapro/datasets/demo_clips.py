"""Generate a small video dataset that can only be solved by motion.

A bright shape on a dark textured background moves in one of eight ways. Place, size,
angle, shape, colours and texture are random and distributed equally in all classes.
Each class is another one played backwards: a single frame says little, and frames
without their order only reveal the pair, so a model that ignores frame order gets at
most half of the clips right.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from ..errors import UsageError
from ..files import making_folder
from .classes import classes_text, read_classes
from .lists import Row, row_line

CLASSES = tuple(read_classes('demo_clips'))
HEIGHT, WIDTH, FPS = 48, 64, 12
PLAIN = 60  # the mean of the textures

# Corners on a circle of radius 1. No shape looks the same after a quarter turn or
# less, so that its rotation is visible.
SHAPES = {
    'bar': [(-1, -0.4), (1, -0.4), (1, 0.4), (-1, 0.4)],
    'triangle': [(1, 0), (-0.7, 0.7), (-0.7, -0.7)],
    'arrow': [(1, 0), (-0.8, 0.7), (-0.3, 0), (-0.8, -0.7)],
    'hook': [(-0.8, -0.8), (0.8, -0.8), (0.8, -0.2), (-0.2, -0.2), (-0.2, 0.8),
             (-0.8, 0.8)],
}  # fmt: skip


@dataclass(frozen=True)
class DemoClips:
    """Settings of the demo dataset.

    Attributes:
        train (int): Number of training clips. Defaults to 640.
        val (int): Number of held-out clips. Defaults to 160.
        frames (int): Frames per clip. Defaults to 24.
        seed (int): The same seed gives the same clips. Defaults to 0.
        textured (bool): Draw a textured background, which is still within a clip,
            instead of a plain one. Feature prediction learns what is still first
            (arXiv 2211.10831). Defaults to True.
    """

    train: int = 640
    val: int = 160
    frames: int = 24
    seed: int = 0
    textured: bool = True

    def make(self, root: str | os.PathLike) -> bool:
        """Write the dataset, unless an earlier call has written it already.

        ::

            root/videos/{train,val}/00000.mp4           MPEG-4, 64 x 48, 12 fps
            root/rawframes/{train,val}/00000/img_00001.jpg
            root/{train,val}_videos.txt                 path label
            root/{train,val}_rawframes.txt              folder total_frames label
            root/classes.txt                            names in label order

        Args:
            root (str | PathLike): The folder; it only appears once it is complete.

        Returns:
            bool: Whether anything was written.

        Raises:
            UsageError: If ``root`` contains something else.
        """
        root = Path(root)
        made_of = root / 'made_of.json'
        if root.exists():
            if made_of.is_file():
                # written before the background could be chosen
                made = {'textured': True, **json.loads(made_of.read_text())}
                if made == asdict(self):
                    return False
            raise UsageError(
                f'{root} exists, but does not contain these demo clips; remove it or '
                'choose another folder'
            )
        with making_folder(root) as folder:
            unfinished = Path(folder)
            (unfinished / 'classes.txt').write_text(classes_text(CLASSES))
            for split, size in (('train', self.train), ('val', self.val)):
                self._make_split(unfinished, split, size)
            (unfinished / made_of.name).write_text(json.dumps(asdict(self)))
        return True

    def boxes(self, split: str, index: int) -> np.ndarray:
        """Where the shape of a clip is; see :func:`shape_boxes`.

        Args:
            split (str): 'train' or 'val'.
            index (int): Number of the clip in its list.
        """
        label, rng = self._draws(split, index)
        return shape_boxes(label, self.frames, rng)

    def _draws(self, split: str, i: int) -> tuple[int, np.random.Generator]:
        """Label and random numbers of a clip."""
        rng = np.random.default_rng([self.seed, split == 'val', i])
        return i % len(CLASSES), rng

    def _make_split(self, root: Path, split: str, size: int) -> None:
        videos, folders = [], []
        (root / 'videos' / split).mkdir(parents=True)

        for i in track(range(size), f'{size} {split} clips'):
            label, rng = self._draws(split, i)
            clip = draw_clip(label, self.frames, rng, self.textured)
            video, folder = f'videos/{split}/{i:05}.mp4', f'rawframes/{split}/{i:05}'
            write_video(root / video, clip)
            (root / folder).mkdir(parents=True)
            for j, frame in enumerate(clip):
                picture = root / folder / f'img_{j + 1:05}.jpg'
                picture.write_bytes(cv2.imencode('.jpg', frame)[1])
            videos.append(row_line(Row(video, (label,))) + '\n')
            folders.append(row_line(Row(folder, (label,), self.frames)) + '\n')
        (root / f'{split}_videos.txt').write_text(''.join(videos))
        (root / f'{split}_rawframes.txt').write_text(''.join(folders))


def draw_clip(
    label: int, frames: int, rng: np.random.Generator, textured: bool = True
) -> np.ndarray:
    """Draw a clip of class ``label``: BGR frames, (T, 48, 64, 3), uint8."""
    background, colour, outlines = _scene(label, frames, rng)
    if not textured:
        background[:] = PLAIN
    clip = []
    for points in outlines:
        frame = background.copy()
        # 4 bits of sub-pixel position: slow motion stays visible
        cv2.fillPoly(
            frame, [np.round(points * 16).astype(np.int32)], colour, cv2.LINE_AA, 4
        )
        clip.append(frame)
    return np.stack(clip)


def shape_boxes(label: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Where the shape is in a clip that :func:`draw_clip` draws from the same numbers.

    Returns:
        ndarray: Left, top, right and bottom in pixels for each frame, (T, 4). Pixel i
        reaches from i to i + 1.
    """
    _, _, outlines = _scene(label, frames, rng)
    low, high = outlines.min(1), outlines.max(1) + 1  # centres of pixels
    return np.concatenate([low, high], 1).clip(0, [WIDTH, HEIGHT] * 2)


def boxes_of_file(path: str | os.PathLike) -> np.ndarray | None:
    """As :meth:`DemoClips.boxes`, for a video that :meth:`DemoClips.make` has written.

    Args:
        path (str | PathLike): The video.

    Returns:
        ndarray | None: None if the file is not one of the demo clips.
    """
    video = Path(path).absolute()
    made_of = video.parents[2] / 'made_of.json' if len(video.parents) > 2 else video
    split = video.parent.name
    known = split in ('train', 'val') and video.stem.isdecimal()
    if not known or video.parents[1].name != 'videos' or not made_of.is_file():
        return None
    try:
        clips = DemoClips(**json.loads(made_of.read_text()))
    except (TypeError, ValueError):  # it is about something else
        return None
    return clips.boxes(split, int(video.stem))


def _scene(label, frames, rng):
    """Background, colour, and the shape's corners in each frame, (T, corners, 2)."""
    motion, sign = label // 2, 1 if label % 2 == 0 else -1
    background = _texture(rng)
    colour = rng.uniform(150, 255, 3).tolist()
    corners = np.array(list(SHAPES.values())[rng.integers(len(SHAPES))], float)
    radius = rng.uniform(7, 10)
    pivot = np.array([WIDTH, HEIGHT]) / 2 + rng.uniform(-3, 3, 2)
    arm = np.array([8, 0])  # the shape turns about a point away from its centre
    angle = rng.uniform(0, 2 * np.pi)
    speed = rng.uniform(0.7, 1.0)

    outlines = []
    for s in np.linspace(-1, 1, frames):
        s = sign * speed * s
        shift = np.array([s * (motion == 0), s * (motion == 1)]) * 12
        theta = angle + (motion == 2) * s * np.pi
        scale = radius * np.exp((motion == 3) * s * 0.7)
        turn = np.array([[np.cos(theta), -np.sin(theta)],
                         [np.sin(theta), np.cos(theta)]])  # fmt: skip
        outlines.append(pivot + shift + (arm + scale * corners) @ turn.T)
    return background, colour, np.stack(outlines)


def _texture(rng: np.random.Generator) -> np.ndarray:
    """Dark blobs of random colours, coarse and fine, (48, 64, 3), uint8."""
    coarse = rng.uniform(20, 100, (4, 5, 3)).astype(np.float32)
    fine = rng.uniform(-20, 20, (24, 32, 3)).astype(np.float32)
    size = (WIDTH, HEIGHT)
    blobs = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    blobs += cv2.resize(fine, size, interpolation=cv2.INTER_LINEAR)
    return blobs.clip(0, 255).astype(np.uint8)


def write_video(path: str | os.PathLike, clip: np.ndarray, fps: int = FPS) -> None:
    """Write BGR frames (T, H, W, 3), uint8, as MPEG-4.

    Raises:
        OSError: If OpenCV cannot write the file, or not all of it.
    """
    height, width = clip.shape[1:3]
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*'mp4v'), fps, (width, height)
    )
    if not writer.isOpened():
        raise OSError(f'OpenCV cannot write {path}: no MPEG-4 encoder, or no folder')
    for frame in clip:
        writer.write(frame)
    writer.release()  # which reports nothing, nor does write
    if cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) != len(clip):
        raise OSError(f'OpenCV could not write {path}: is the disk full?')
