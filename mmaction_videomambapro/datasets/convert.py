"""Turns a list into an annotation file of MMAction2."""

from __future__ import annotations

import csv
import os.path as osp
from collections.abc import Callable, Sequence

from ..files import refuse_same, replacing
from ..literals import csv_cell
from .list_check import Finding, describe
from .lists import BadLine, ListError, Row, parse_list


def convert_list(
    source: str,
    destination: str,
    form: str = 'auto',
    *,
    data_root: str = '',
    strip_prefix: str = '',
    skip_bad: bool = False,
    check: Callable[[Sequence[Row]], list[Finding]] | None = None,
) -> tuple[int, int]:
    """Write ``path label...`` or ``folder total_frames label...`` lines.

    The source stays as it is. The destination is written under another name first, and
    only if every row is good or bad ones are to be left out.

    Args:
        source (str): The list, see :mod:`lists`.
        destination (str): The annotation file.
        form (str): Format of the list. Defaults to ``'auto'``.
        data_root (str): Folder to put in front of every path that is not absolute.
            Defaults to none.
        strip_prefix (str): Beginning of paths to take away before, such as the
            ``your_path`` of published lists. Defaults to none.
        skip_bad (bool): Leave bad rows out. Defaults to False.
        check (Callable, optional): Finds what is wrong with rows whose paths are
            complete; a report of it is written beside the destination, as
            ``.report.txt`` and ``.report.csv``. Defaults to None.

    Returns:
        tuple[int, int]: Rows written, and left out.

    Raises:
        ListError: With all bad rows, unless they are to be left out, or if no row is
            good.
        OSError: If a file cannot be read or written, or if the source would be
            overwritten.
    """
    reports = f'{destination}.report.txt', f'{destination}.report.csv'
    refuse_same(source, destination, *(() if check is None else reports))
    rows, bad = [], []
    for item in parse_list(source, form):
        if isinstance(item, Row):
            item = _with_root(item, source, data_root, strip_prefix)
        (bad if isinstance(item, BadLine) else rows).append(item)
    if check is not None:
        findings = check(rows)
        _write_report(*reports, rows, bad, findings)
        wrong = {f.line: f for f in findings}
        bad += [
            BadLine(source, f.line, f.path, f'{f.kind}: {f.detail}') for f in findings
        ]
        rows = [row for row in rows if row.line not in wrong]
    if bad and not skip_bad:
        raise ListError(sorted(bad, key=lambda x: x.number))
    if not rows:
        bad.append(BadLine(source, 1, '', 'the list has no good rows'))
        raise ListError(bad)
    with replacing(destination) as file:
        for row in rows:
            frames = () if row.total_frames is None else (row.total_frames,)
            print(row.path, *frames, *row.labels, file=file)
    return len(rows), len(bad)


def _with_root(row, source, data_root, strip_prefix):
    path = row.path
    if strip_prefix and path.startswith(strip_prefix):
        path = path[len(strip_prefix) :].lstrip('/')
    if data_root:
        path = osp.join(data_root, path)
    if ' ' in path or '\t' in path:
        return BadLine(
            source,
            row.line,
            path,
            'the path has a blank, where MMAction2 cuts the lines of its annotation '
            'files: rename what it names',
        )
    return row._replace(path=path)


def _write_report(text, table, rows, bad, findings):
    with replacing(text) as file:
        file.write(describe(rows, len(bad), findings))
    with replacing(table) as file:
        writer = csv.writer(file)
        writer.writerow(['line', 'path', 'kind', 'detail'])
        for row in [*((b.number, b.text, 'line', b.reason) for b in bad), *findings]:
            writer.writerow(map(csv_cell, row))
