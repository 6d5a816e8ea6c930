"""Answers about many videos: in order, by one process or several, shown and written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from mmengine.dist import all_gather_object, get_dist_info
from rich.console import Console
from rich.progress import track

from ..errors import RunStopped, UsageError
from ..literals import printable_lines
from .answers import AnswerFile
from .inferencer import VideoInferencer
from .inputs import Input

SHOWN = 50  # videos whose answers are printed although they are also written


def answers(
    inferencer: VideoInferencer,
    inputs: Sequence[Input],
    batch_size: int,
    top: int | None = 5,
) -> Iterator[list[dict]]:
    """Share the videos out to all processes.

    Each one takes every n-th batch, so that batches are those of a single process, and
    scores as well, to the last bit.

    Args:
        inferencer (VideoInferencer): The model.
        inputs (Sequence[Input]): The videos.
        batch_size (int): Videos at once.
        top (int, optional): How many classes to name. Defaults to 5; None for all.

    Yields:
        list[dict]: Answers in the order of the videos, a batch of each process at a
        time, in all of the processes.
    """
    rank, size = get_dist_info()
    starts = range(0, len(inputs), batch_size)
    own = [x for i in starts[rank::size] for x in inputs[i : i + batch_size]]
    own_answers = (
        inferencer.answer(*pair, top) for pair in inferencer.predict(own, batch_size)
    )
    for _ in starts[::size]:
        batch = list(islice(own_answers, batch_size))
        yield list(chain.from_iterable(all_gather_object(batch)))


def predict(
    inferencer: VideoInferencer,
    inputs: Sequence[Input],
    batch_size: int | None = None,
    top: int | None = 5,
    out: str | None = None,
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Answer, print and write, as ``tools/predict.py`` does.

    Args:
        inferencer (VideoInferencer): The model.
        inputs (Sequence[Input]): The videos.
        batch_size (int, optional): Videos at once. Defaults to that of the config.
        top (int, optional): How many classes to name. Defaults to 5; None for all.
        out (str, optional): File for the answers. Defaults to None.
        origin (Mapping, optional): See :class:`AnswerFile`. Defaults to None.

    Raises:
        UsageError: If no video could be answered.
        RunStopped: If some could not.
    """
    batch_size = batch_size or inferencer.batch_size
    first = get_dist_info()[0] == 0
    file = AnswerFile(out, origin or {}) if out and first else None
    skipped = file.skip([x.name for x in inputs]) if file else 0
    skipped = all_gather_object(skipped)[0]
    done = list(file.done) if file else []
    rest = inputs[skipped:]
    batches = answers(inferencer, rest, batch_size, top)
    if first:
        batches = _with_progress(batches, len(rest), batch_size)
        if skipped:
            print(f'{skipped} videos were answered before')
    for batch in batches:
        done += batch
        if not first:
            continue
        if file:
            file.add(batch)
        for answer in batch:
            if answer['error'] or not file or len(inputs) <= SHOWN:
                print(shown(answer))
    if not first:
        return
    if file:
        file.finish()
        print(f'{len(done)} answers: {out}')
    broken = sum(answer['error'] is not None for answer in done)
    if broken == len(done):
        raise UsageError('none of the videos could be answered')
    if broken:
        raise RunStopped(f'{broken} of {len(done)} videos could not be answered')


def shown(answer: Mapping[str, Any]) -> str:
    """An answer as lines for a terminal: the path, and its best classes below."""
    lines = [answer['path']]
    if answer['error']:
        lines.append(f'   broken: {answer["error"]}')
    for label, score in zip(answer['labels'], answer['scores']):
        lines.append(f'  {score:6.1%}  {label}')
    return '\n'.join(printable_lines(line).replace('\n', ' ') for line in lines)


def _with_progress(batches, videos, batch_size):
    console = Console(stderr=True)
    if not console.is_terminal or videos <= batch_size:
        return batches
    rounds = -(-videos // batch_size) // get_dist_info()[1] or 1
    return track(batches, 'Videos', rounds, console=console, transient=True)


def origin_of(weights: str, **options: Any) -> dict[str, Any]:
    """What answers depend on: the weights, as a file, and options."""
    origin = dict(options, weights=weights)
    if os.path.isfile(weights):
        status = os.stat(weights)
        origin['weights'] = [os.path.abspath(weights), status.st_size, status.st_mtime]
    return origin
