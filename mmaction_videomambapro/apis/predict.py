"""Answers about many videos: in order, by one process or several, shown and written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

from mmengine.dist import all_gather_object, get_dist_info

from ..errors import RunStopped, UsageError
from ..literals import printable_lines
from ..visualization.timeline import clock
from .answers import AnswerFile
from .inferencer import bar
from .inputs import Input

SHOWN = 50  # videos whose answers are printed although they are also written


def shared_out(
    ask: Callable[[Sequence[Input]], Iterable[dict]],
    inputs: Sequence[Input],
    batch_size: int,
) -> Iterator[list[dict]]:
    """Share the videos out to all processes.

    Each one takes every n-th batch, so that batches are those of a single process, and
    scores as well, to the last bit.

    Args:
        ask (Callable): Answers about some of the videos, in order.
        inputs (Sequence[Input]): The videos.
        batch_size (int): Videos at once.

    Yields:
        list[dict]: Answers in the order of the videos, a batch of each process at a
        time, in all of the processes.
    """
    rank, size = get_dist_info()
    starts = range(0, len(inputs), batch_size)
    own = [x for i in starts[rank::size] for x in inputs[i : i + batch_size]]
    answers = iter(ask(own))
    for _ in starts[::size]:
        batch = list(islice(answers, batch_size))
        yield list(chain.from_iterable(all_gather_object(batch)))


def predict(
    ask: Callable[[Sequence[Input]], Iterable[dict]],
    inputs: Sequence[Input],
    batch_size: int,
    out: str | None = None,
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Answer, print and write, as ``tools/predict.py`` does.

    Args:
        ask (Callable): Answers about some of the videos, in order.
        inputs (Sequence[Input]): The videos.
        batch_size (int): Videos at once.
        out (str, optional): File for the answers. Defaults to None.
        origin (Mapping, optional): See :class:`AnswerFile`. Defaults to None.

    Raises:
        UsageError: If no video could be answered.
        RunStopped: If some could not.
    """
    first = get_dist_info()[0] == 0
    file = AnswerFile(out, origin or {}) if out and first else None
    skipped = file.skip([x.name for x in inputs]) if file else 0
    skipped = all_gather_object(skipped)[0]
    done = list(file.done) if file else []
    rest = inputs[skipped:]
    if first and skipped:
        print(f'{skipped} videos were answered before')
    rounds = len(range(0, len(rest), batch_size)[:: get_dist_info()[1]])
    for batch in bar(shared_out(ask, rest, batch_size), rounds, rounds > 1):
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
    """An answer as lines for a terminal: the path, and below it classes or segments."""
    lines = [answer['path']]
    if answer['error']:
        lines.append(f'   broken: {answer["error"]}')
    if 'segments' in answer:
        for x in answer['segments']:
            times = f'{clock(x["start"])} to {clock(x["end"])}'
            lines.append(f'  {times:>16}  {x["score"]:6.1%}  {x["label"]}')
    else:
        for label, score in zip(answer['labels'], answer['scores']):
            lines.append(f'  {score:6.1%}  {label}')
    return '\n'.join(printable_lines(line).replace('\n', ' ') for line in lines)


def origin_of(weights: str, **options: Any) -> dict[str, Any]:
    """What answers depend on: the weights, as a file, and options."""
    origin = dict(options, weights=weights)
    if os.path.isfile(weights):
        status = os.stat(weights)
        origin['weights'] = [os.path.abspath(weights), status.st_size, status.st_mtime]
    return origin
