"""Reads the results of the laboratory, and refuses what is wrong with them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from mmaction_videomambapro.datasets.lab_clips import TASKS
from mmaction_videomambapro.errors import UsageError

TRACKS = 'models', 'controls', 'objectives'
PLAIN = r'[a-z0-9]+(-[a-z0-9]+)*'


class ResultsError(UsageError):
    """Results that cannot be reported, or a page that does not match them."""

    exit_code = 1


@dataclass(frozen=True)
class Entry:
    """One training of one contestant.

    Attributes:
        accuracy (float): On the held-out clips, after the last step.
        positions (dict[str, float]): The same by where the cue stood, if the task has
            a cue.
        curve (tuple): Steps and the accuracies after them, on other held-out clips.
        seconds (float): Of CPU time, for training alone.
        date (str): Year, month and day.
        machine (str): On which it was trained.
        code (str): The version.
    """

    accuracy: float
    positions: dict[str, float]
    curve: tuple[tuple[float, float], ...]
    seconds: float
    date: str
    machine: str
    code: str


@dataclass(frozen=True)
class Result:
    """All that a contestant has for a task; ``entries`` are by seed."""

    path: Path
    contestant: str
    track: str
    task: str
    chance: float
    config: str
    parameters: int
    steps: int
    clips: int
    entries: dict[int, Entry]

    @property
    def accuracies(self) -> dict[int, float]:
        """Accuracy by seed."""
        return {seed: entry.accuracy for seed, entry in self.entries.items()}

    def seconds_to(self, accuracy: float) -> list[float]:
        """CPU seconds until the curve reaches an accuracy, per seed; inf if never."""
        return [
            next((s for s, a in self.timed(entry) if a >= accuracy), math.inf)
            for entry in self.entries.values()
        ]

    def timed(self, entry: Entry) -> list[tuple[float, float]]:
        """The curve of an entry, with CPU seconds in place of steps."""
        return [(step * entry.seconds / self.steps, a) for step, a in entry.curve]


Results = Mapping[str, Mapping[str, Result]]  # of a track: by contestant and task


def read_results(folder: Path) -> dict[str, dict[str, dict[str, Result]]]:
    """Read all results of a folder.

    Args:
        folder (Path): Has a file CONTESTANT/TASK.json for each result.

    Returns:
        dict: Results by track, contestant and task, in a fixed order.

    Raises:
        ResultsError: If there are none, or one is wrong; it names file and key.
    """
    tracks = {track: {} for track in TRACKS}
    for path in sorted(folder.glob('*/*.json')):
        result = read_result(path)
        track = tracks[result.track]
        if result.entries:
            track.setdefault(result.contestant, {})[result.task] = result
    if not any(tracks.values()):
        raise ResultsError(f'{folder} has no results; benchmarks/lab/run.py makes them')
    equals = 'chance', 'steps', 'clips'
    _check_same(every(tracks['models'], tracks['controls']), equals)
    _check_same(every(tracks['objectives']), ['chance'])
    return tracks


def every(*tracks: Results) -> Iterable[Result]:
    """All results of tracks."""
    contestants = chain.from_iterable(track.values() for track in tracks)
    return chain.from_iterable(each.values() for each in contestants)


def read_result(path: Path) -> Result:
    """Read one file; errors are those of :func:`read_results`."""
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:
        raise ResultsError(f'{path} is not JSON: {error}') from error
    fields = _Fields(path, content)
    result = Result(
        path=path,
        contestant=fields.word('contestant'),
        track=fields.text('track', '|'.join(TRACKS)),
        task=fields.word('task'),
        chance=fields.number('chance', 0, 0.999),
        config=fields.text('config', '[0-9a-f]{8}'),
        parameters=int(fields.number('parameters', 0)),
        steps=int(fields.number('steps', 1)),
        clips=int(fields.number('clips', 1)),
        entries={
            int(seed): _entry(entry)
            for seed, entry in sorted(
                fields.inside('entries').all_inside(r'\d{1,9}'),
                key=lambda pair: int(pair[0]),
            )
        },
    )
    for key, word in ('contestant', path.parent.name), ('task', path.stem):
        if getattr(result, key) != word:
            raise ResultsError(f"{path}: {key} is not '{word}', as the path says")
    if result.track != 'objectives' and result.task not in TASKS:
        raise ResultsError(f"{path}: task '{result.task}' does not exist")
    return result


def _entry(fields):
    made = fields.inside('made')
    positions = fields.inside('positions') if fields.has('positions') else None
    return Entry(
        accuracy=fields.number('accuracy', 0, 1),
        positions={k: positions.number(k, 0, 1) for k in positions.words()}
        if positions
        else {},
        curve=fields.curve('curve'),
        seconds=made.number('seconds', 0),
        date=made.text('date', r'\d{4}-\d\d-\d\d'),
        machine=made.text('machine', r'.+'),
        code=made.text('code', r'\S+'),
    )


class _Fields:
    """The values of a mapping in a file, of which each is checked when it is read."""

    def __init__(self, path, content, where=''):
        self.path, self.content, self.where = path, content, where
        if not isinstance(content, dict):
            self._refuse('is not a mapping')

    def has(self, key):
        return key in self.content

    def text(self, key, pattern):
        value = self._get(key)
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            self._refuse(f'is {value!r:.60}, which does not match {pattern}', key)
        return value

    def word(self, key):
        return self.text(key, PLAIN)

    def number(self, key, least, most=math.inf):
        value = self._get(key)
        if not _is_number(value) or not least <= value <= most:
            self._refuse(f'is {value!r:.60}, not a number from {least} to {most}', key)
        return value

    def inside(self, key):
        return _Fields(self.path, self._get(key), self._name(key))

    def words(self):
        for key in self.content:
            if not re.fullmatch(PLAIN, key):
                self._refuse('is not a plain name', key)
        return list(self.content)

    def all_inside(self, pattern):
        for key in self.content:
            if not re.fullmatch(pattern, key, re.ASCII):
                self._refuse(f'does not match {pattern}', key)
            yield key, self.inside(key)

    def curve(self, key):
        """Steps and accuracies; the loss between them may be NaN."""
        rows = self._get(key)
        good = isinstance(rows, list) and all(
            isinstance(row, list)
            and len(row) == 3
            and _is_number(row[0])
            and _is_number(row[2])
            and 0 <= row[2] <= 1
            for row in rows
        )
        if not good:
            self._refuse('is not a list of [step, loss, accuracy]', key)
        return tuple((step, accuracy) for step, _, accuracy in rows)

    def _get(self, key):
        if key not in self.content:
            self._refuse('is missing', key)
        return self.content[key]

    def _name(self, key):
        return f'{self.where}.{key}' if self.where else key

    def _refuse(self, what, key=None):
        name = self.where if key is None else self._name(key)
        raise ResultsError(f'{self.path}: {name or "the content"} {what}')


def _is_number(value):
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _check_same(results, keys):
    """Whoever is compared on a task has the same chance and the same budget."""
    first = {}
    for result in results:
        other = first.setdefault(result.task, result)
        for key in keys:
            ours, theirs = getattr(result, key), getattr(other, key)
            if ours != theirs:
                raise ResultsError(
                    f'{result.path}: {key} is {ours}, but {theirs} in {other.path}'
                )
