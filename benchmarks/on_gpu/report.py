"""What a stage leaves: Markdown and JSON, line by line."""

from __future__ import annotations

import json
from pathlib import Path

from common import cell


class Report:
    """Prints, and keeps what it prints in PATH.md and its rows in PATH.jsonl.

    Without a path, it prints only. Every line is on disk before the next is measured.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        if path:
            for kind in ('md', 'jsonl'):
                Path(f'{path}.{kind}').write_text('')

    def line(self, text: str = '') -> None:
        print(text, flush=True)
        self._keep('md', text)

    def table(self, title: str, *columns: str) -> None:
        """Begin one; a first column for names is understood."""
        self._title, self._columns = title, columns
        self.line(f'\n{title}\n')
        self._cells('', *columns)
        self._cells('---', *('---' for _ in columns))

    def row(self, name: str, *cells: object) -> None:
        self._cells(name, *cells, *('',) * (len(self._columns) - len(cells)))
        found = {'table': self._title, 'row': name, **dict(zip(self._columns, cells))}
        self._keep('jsonl', json.dumps(found))

    def _cells(self, *cells):
        self.line('| ' + ' | '.join(map(cell, cells)) + ' |')

    def _keep(self, kind, text):
        if self.path:
            with open(f'{self.path}.{kind}', 'a') as file:
                print(text, file=file)
