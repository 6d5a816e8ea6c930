"""Looks at what a list names: files, frames, labels."""

from __future__ import annotations

import os
import os.path as osp
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

import cv2
import numpy as np

from .lists import Row
from .media import IMAGE
from .videos import Video, VideoError

CHECKS = 'none', 'exists', 'decode'
MOST_JOBS = 256
FRAMES = 16  # of a video, spread as a sampler does


class Finding(NamedTuple):
    """Something wrong with a row.

    Attributes:
        line (int): Its number in the list.
        path (str): Of the file or folder.
        kind (str): In one word: missing, undecodable, short, label, duplicate or
            overlap.
        detail (str): What exactly.
    """

    line: int
    path: str
    kind: str
    detail: str


def check_rows(
    rows: Sequence[Row],
    check: str = 'none',
    *,
    jobs: int = 1,
    min_frames: int = 1,
    num_classes: int | None = None,
    others: frozenset[str] = frozenset(),
    filename_tmpl: str = 'img_{:05}.jpg',
    start_index: int = 1,
) -> list[Finding]:
    """Find what would stop or spoil a training run.

    Args:
        rows (Sequence[Row]): With the paths under which files are found.
        check (str): Whether to look at files: ``'none'``, ``'exists'``, or
            ``'decode'`` to read frames from the whole video. Defaults to 'none'.
        jobs (int): Processes. Defaults to 1.
        min_frames (int): Fewer make a row short. Defaults to 1.
        num_classes (int, optional): Labels have to be below. Defaults to None.
        others (frozenset[str]): Paths of another list, that of the other split.
            Defaults to none.
        filename_tmpl (str): Of the frames of a folder. Defaults to
            ``'img_{:05}.jpg'``.
        start_index (int): Of a folder's first frame. Defaults to 1.

    Returns:
        list[Finding]: At most one for each row, in their order.
    """
    looks = [None] * len(rows)
    if check != 'none':
        look = partial(
            look_at,
            check=check,
            min_frames=min_frames,
            filename_tmpl=filename_tmpl,
            start_index=start_index,
        )
        looks = _with_progress(look, rows, jobs)
    findings, lines = [], {}
    for row, found in zip(rows, looks):
        first = lines.setdefault(row.path, row.line)
        beyond = [x for x in row.labels if num_classes is not None and x >= num_classes]
        if beyond:
            detail = f'label {beyond[0]}, but there are {num_classes} classes'
            found = 'label', detail
        elif row.path in others:
            found = 'overlap', 'the other list has it as well'
        elif first != row.line:
            found = 'duplicate', f'line {first} has the same path'
        if found:
            findings.append(Finding(row.line, row.path, *found))
    return findings


def look_at(
    row: Row, check: str, min_frames: int, filename_tmpl: str, start_index: int
) -> tuple[str, str] | None:
    """Kind and detail of what is wrong with a row's file or folder, or None."""
    if not osp.exists(row.path):
        return 'missing', 'no such file or folder'
    if row.total_frames is not None:
        if row.total_frames < min_frames:
            return 'short', f'{row.total_frames} frames, {min_frames} are needed'
        for i in range(start_index, start_index + row.total_frames):
            frame = osp.join(row.path, filename_tmpl.format(i))
            if not osp.exists(frame):
                return 'missing', f'no frame {osp.basename(frame)}'
            if check == 'exists':  # of all frames only the first
                break
        if check == 'exists':
            return None
        for i in np.linspace(0, row.total_frames - 1, FRAMES).astype(int):
            frame = osp.join(row.path, filename_tmpl.format(start_index + i))
            if not _is_image(frame):
                return 'undecodable', osp.basename(frame)
        return None
    if not osp.isfile(row.path):  # a pipe would be waited for
        return 'undecodable', 'it is not a file'
    if check == 'exists':
        return None
    if IMAGE.search(row.path):
        return None if _is_image(row.path) else ('undecodable', 'it is not an image')
    try:
        with Video(row.path) as video:
            frames = len(video)
            video.frames(np.linspace(0, frames - 1, FRAMES).round(), short_side=32)
    except (OSError, VideoError) as error:
        return 'undecodable', str(error).removeprefix(row.path).strip()
    if frames < min_frames:
        return 'short', f'{frames} frames, {min_frames} are needed'
    return None


def describe(rows: Sequence[Row], bad: int, findings: Sequence[Finding]) -> str:
    """A page about a list: counts, gaps between labels, a histogram."""
    kinds = Counter(f.kind for f in findings)
    labels = Counter(x for row in rows for x in row.labels)
    lines = [f'{len(rows)} rows, {bad} bad lines']
    lines += [f'{n:8d} {kind}' for kind, n in sorted(kinds.items())]
    if labels:
        few, many = min(labels.values()), max(labels.values())
        gaps = max(labels) + 1 - len(labels)
        lines.append(
            f'{len(labels)} labels up to {max(labels)}, {few} to {many} rows each'
        )
        if gaps:
            first = islice((x for x in range(max(labels)) if x not in labels), 20)
            shown = ', '.join(map(str, first)) + (' ...' if gaps > 20 else '')
            lines.append(f'{gaps} labels without rows: {shown}')
        lines.append('')
        for label in sorted(labels):
            bar = '#' * max(1, round(40 * labels[label] / many))
            lines.append(f'{label:6d} {labels[label]:8d} {bar}')
    return '\n'.join(lines) + '\n'


def _is_image(path):
    try:
        data = np.fromfile(path, np.uint8)
    except OSError:
        return False
    return data.size > 0 and cv2.imdecode(data, cv2.IMREAD_COLOR) is not None


def _with_progress(function, rows, jobs):
    from mmengine.utils import track_parallel_progress, track_progress

    jobs = min(jobs, len(rows), 4 * (os.cpu_count() or 1))  # more only cost memory
    if jobs <= 1:
        return track_progress(function, rows)
    chunk = max(1, min(200, len(rows) // (4 * jobs)))
    return track_parallel_progress(
        function, rows, jobs, chunksize=chunk, keep_order=True
    )
