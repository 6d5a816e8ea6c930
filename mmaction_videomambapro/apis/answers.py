"""Files of answers: JSON, JSON lines and CSV, whole or not at all, and resumable."""

from __future__ import annotations

import csv
import io
import json
import os
import os.path as osp
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import UsageError
from ..files import replacing
from ..literals import csv_cell

FORMATS = '.json', '.jsonl', '.csv'
COLUMNS = 'path', 'start', 'end', 'rank', 'class', 'label', 'score', 'error'


class AnswerFile:
    """Collects answers beside the file that it writes at the end.

    What is collected stays if the run is interrupted, and the next run goes on from
    there.

    Args:
        path (str): The file; its ending is one of FORMATS.
        origin (Mapping): Everything that answers depend on, except the videos.

    Attributes:
        done (list[dict]): Answers of an earlier run.

    Raises:
        UsageError: If the ending is unknown, or what was collected has another origin.
    """

    def __init__(self, path: str, origin: Mapping[str, Any]) -> None:
        self.path, self.collected = path, f'{path}.partial'
        self.format = osp.splitext(path)[1].lower()
        if self.format not in FORMATS:
            raise UsageError(f'--out {path} must end in {", ".join(FORMATS)}')
        self._origin = json.loads(json.dumps(origin))
        self.done = self._read() if osp.exists(self.collected) else []
        if not osp.exists(self.collected):
            self._write([self._origin])

    def skip(self, names: Sequence[str]) -> int:
        """How many of the videos an earlier run has answered.

        Raises:
            UsageError: If these were other videos.
        """
        earlier = [answer['path'] for answer in self.done]
        shown = [json.loads(_line(name)) for name in names]
        if earlier != shown[: len(earlier)]:
            raise self._other('of other videos')
        return len(earlier)

    def add(self, answers: Iterable[Mapping[str, Any]]) -> None:
        """Keep some more answers."""
        answers = list(answers)
        self.done += answers
        self._write(answers)

    def finish(self) -> None:
        """Write the file."""
        with replacing(self.path) as file:
            file.write(written(self.done, self.format))
        os.remove(self.collected)

    def _write(self, items):
        with open(self.collected, 'a', encoding='ascii') as file:
            file.write(''.join(f'{_line(item)}\n' for item in items))

    def _read(self):
        with open(self.collected, encoding='utf-8') as file:
            text = file.read()
        whole, _, rest = text.rpartition('\n')
        try:
            first, *answers = map(json.loads, whole.split('\n'))
            if not all(isinstance(x, dict) and 'path' in x for x in answers):
                raise ValueError
        except ValueError:
            raise self._other('damaged') from None
        if first != self._origin:
            keys = sorted({*first, *self._origin} if isinstance(first, dict) else ())
            other = [k for k in keys if first.get(k) != self._origin.get(k)]
            raise self._other(f'of a run with another {" and ".join(other)}')
        if rest:  # a line that was being written
            with replacing(self.collected) as file:
                file.write(f'{whole}\n')
        return answers

    def _other(self, what):
        return UsageError(
            f'{self.collected} is {what}; delete it, or choose another file with --out'
        )


def written(answers: Sequence[Mapping[str, Any]], fmt: str) -> str:
    """The text of a file.

    Args:
        answers (Sequence[Mapping]): Of :meth:`VideoInferencer.answer`.
        fmt (str): One of FORMATS. A CSV file has a line per segment where there are
            segments, else one per class.
    """
    if fmt == '.json':
        return '[\n' + ',\n'.join(map(_line, answers)) + '\n]\n'
    if fmt == '.jsonl':
        return ''.join(f'{_line(answer)}\n' for answer in answers)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(COLUMNS)
    for answer in answers:
        for row in _rows(answer):
            writer.writerow([csv_cell(row.get(name, '')) for name in COLUMNS])
    return text.getvalue()


def _rows(answer) -> Iterator[dict[str, Any]]:
    path = answer['path']
    if answer['error']:
        yield dict(path=path, error=answer['error'])
    elif 'segments' in answer:
        yield from (dict(segment, path=path) for segment in answer['segments'])
    else:
        columns = zip(answer['classes'], answer['labels'], answer['scores'])
        for rank, (number, label, score) in enumerate(columns, 1):
            yield {
                'path': path, 'rank': rank, 'class': number, 'label': label,
                'score': score,
            }  # fmt: skip


def _line(item):
    return json.dumps(item, ensure_ascii=True)
