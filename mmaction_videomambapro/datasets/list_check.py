"""Check what a list refers to: files, frames, labels."""

from __future__ import annotations

import os
import os.path as osp
import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

import cv2
import numpy as np

from .lists import Row
from .media import IMAGE
from .rows import quote
from .videos import Video, VideoError

CHECKS = 'none', 'exists', 'decode', 'all'
MOST_JOBS = 256
FRAMES = 16  # per video, spread from the first to the last as by a sampler

TRAITS = {  # properties of videos that are read correctly, and how they are read
    'variable rate': 'clips are counted in frames, not in seconds',
    'rotated': 'frames are turned upright',
    'interlaced': 'frames are not deinterlaced',
    'HDR': 'frames are not tone-mapped',
}
_DAMAGED = re.compile(r'damaged (at [0-9.]+ s)')


class Finding(NamedTuple):
    """A fault of a row, or a note on it.

    Attributes:
        line (int): Line number in the list.
        path (str): Path of the file or folder.
        kind (str): For faults: missing, undecodable, damaged, truncated, count, short,
            label, duplicate or overlap. For notes: one of ``TRAITS``, or fewer frames.
        detail (str): Details.
    """

    line: int
    path: str
    kind: str
    detail: str


class Report(NamedTuple):
    """The result of checking a list.

    Attributes:
        findings (list[Finding]): Faults that would stop or spoil a training run; at
            most one per row, in the order of the rows.
        notes (list[Finding]): Remarks on videos that do no harm.
        exact (int): Number of videos in which all requested frames were read, and
            which have as many frames as their files and the list say.
    """

    findings: list[Finding]
    notes: list[Finding]
    exact: int


class Look(NamedTuple):
    """The result of checking a file or folder.

    Attributes:
        fault (tuple[str, str], optional): Kind and detail of a fault.
        notes (Sequence[tuple[str, str]]): Kinds and details of harmless remarks.
        exact (bool): Whether all requested frames were read and the counts agree.
    """

    fault: tuple[str, str] | None = None
    notes: Sequence[tuple[str, str]] = ()
    exact: bool = False


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
) -> Report:
    """Find faults that would stop or spoil a training run.

    Args:
        rows (Sequence[Row]): The rows, with full paths.
        check (str): How to check files: ``'none'``; ``'exists'``; ``'decode'``, which
            reads 16 frames of each video including the first and the last; or
            ``'all'``, which reads all frames. Defaults to ``'none'``.
        jobs (int): Number of processes. Defaults to 1.
        min_frames (int): Rows with fewer frames are short. Defaults to 1.
        num_classes (int, optional): Number of classes; labels must be less than this.
            Defaults to None (not checked).
        others (frozenset[str]): Paths in the list of the other split.
            Defaults to an empty set.
        filename_tmpl (str): Template of a folder's frames.
            Defaults to ``'img_{:05}.jpg'``.
        start_index (int): Number of a folder's first frame. Defaults to 1.

    Returns:
        Report: The faults and notes, in the order of the rows.
    """
    looks = [Look()] * len(rows)
    if check != 'none':
        look = partial(
            look_at,
            check=check,
            min_frames=min_frames,
            filename_tmpl=filename_tmpl,
            start_index=start_index,
        )
        looks = _with_progress(look, rows, jobs)
    findings, notes, lines = [], [], {}
    for row, seen in zip(rows, looks):
        found = seen.fault
        notes += [Finding(row.line, row.path, *note) for note in seen.notes]
        first = lines.setdefault(row.path, row.line)
        beyond = [x for x in row.labels if num_classes is not None and x >= num_classes]
        if beyond:
            detail = f'label {beyond[0]}, but there are {num_classes} classes'
            found = 'label', detail
        elif row.path in others:
            found = 'overlap', 'the other list has the same path'
        elif first != row.line:
            found = 'duplicate', f'line {first} has the same path'
        if found:
            findings.append(Finding(row.line, row.path, *found))
    return Report(findings, notes, sum(seen.exact for seen in looks))


def look_at(
    row: Row, check: str, min_frames: int, filename_tmpl: str, start_index: int
) -> Look:
    """Check the file or folder of a row."""
    if not osp.exists(row.path):
        return Look(('missing', 'no such file or folder'))
    if row.total_frames is not None:

        def name(i):
            return osp.join(row.path, filename_tmpl.format(start_index + i))

        return Look(_fault_of_folder(row.total_frames, check, min_frames, name))
    if not osp.isfile(row.path):  # reading a pipe would block
        return Look(('undecodable', 'it is not a file'))
    if check == 'exists':
        return Look()
    if IMAGE.search(row.path):
        image = _is_image(row.path)
        return Look(None if image else ('undecodable', 'it is not an image'))
    return _look_at_video(row, check, min_frames)


def _fault_of_folder(frames, check, min_frames, name):
    if frames < min_frames:
        return 'short', f'{frames} frames, {min_frames} are needed'
    for i in range(1 if check == 'exists' else frames):
        if not osp.exists(name(i)):
            return 'missing', f'no frame {osp.basename(name(i))}'
    if check != 'exists':
        for i in range(frames) if check == 'all' else _spread(frames):
            if not _is_image(name(i)):
                return 'undecodable', osp.basename(name(i))


def _look_at_video(row, check, min_frames):
    notes = []
    try:
        with Video(row.path) as video:
            notes += [(trait, TRAITS.get(trait, '')) for trait in sorted(video.traits)]
            video.frames(_spread(len(video)), short_side=32)
            if check == 'all':
                video.verify()
            frames, told, second = len(video), video.told, max(1, video.fps)
    except (OSError, VideoError) as error:
        reason = str(error)
        for name in (row.path, quote(row.path)):
            reason = reason.removeprefix(name).strip()
        damaged = _DAMAGED.search(reason)
        return Look(
            ('damaged', damaged[1]) if damaged else ('undecodable', reason), notes
        )
    fault, lost = None, max(0, (told or 0) - frames)
    in_file = f'the file says {told}'
    if row.counted not in (None, frames):
        detail = f'{frames} frames, the list says {row.counted}'
        fault = 'count', f'{detail}, {in_file}' if lost else detail
    elif lost > second:
        fault = 'truncated', f'{frames} frames, {in_file}'
    elif frames < min_frames:
        fault = 'short', f'{frames} frames, {min_frames} are needed'
    if 0 < lost <= second:
        notes.append(('fewer frames', f'{frames} frames, {in_file}'))
    return Look(fault, notes, exact=not lost and row.counted in (None, frames))


def _spread(frames):
    return np.linspace(0, frames - 1, FRAMES).round().astype(int)


def describe(rows: Sequence[Row], bad: int, report: Report) -> str:
    """Write a summary of a list: counts, unused labels, a histogram of labels."""
    labels = Counter(x for row in rows for x in row.labels)
    lines = [f'{len(rows)} rows, {bad} bad lines']
    exact = {'exact': report.exact} if report.exact else {}
    for kinds in (_count(report.findings), exact, _count(report.notes)):
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


def _count(findings):
    return Counter(finding.kind for finding in findings)


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
