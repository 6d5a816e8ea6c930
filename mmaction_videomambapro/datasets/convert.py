"""Turns a list into an annotation file of MMAction2."""

from __future__ import annotations

import csv
import os.path as osp
from collections.abc import Callable, Sequence

from ..files import refuse_same, replacing
from ..literals import csv_cell
from .list_check import Report, describe
from .lists import (
    BadLine,
    ListError,
    Row,
    parse_list,
    plain_line,
    row_line,
    without_prefix,
)
from .rows import quote


def convert_list(
    source: str,
    destination: str,
    form: str = 'auto',
    *,
    data_root: str = '',
    strip_prefix: str = '',
    skip_bad: bool = False,
    classes: str | Sequence[str] | None = None,
    subset: str | None = None,
    fold: int = 1,
    check: Callable[[Sequence[Row]], Report] | None = None,
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
        strip_prefix (str): First folders of paths, taken away before, such as the
            ``your_path`` of published lists. Defaults to none.
        skip_bad (bool): Leave bad rows out. Defaults to False.
        classes (str | Sequence[str], optional): As for :func:`lists.parse_list`.
            Defaults to None.
        subset (str, optional): As for :func:`lists.parse_list`. Defaults to None.
        fold (int): As for :func:`lists.parse_list`. Defaults to 1.
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
    options = dict(classes=classes, subset=subset, fold=fold)
    stripped = not strip_prefix
    for item in parse_list(source, form, **options):
        if isinstance(item, Row):
            path = without_prefix(item.path, strip_prefix)
            stripped = stripped or path != item.path
            item = _with_root(item._replace(path=path), source, data_root)
        (bad if isinstance(item, BadLine) else rows).append(item)
    whole = [x for x in bad if not x.text]
    if whole:  # what comes after it is not known
        raise ListError(whole)
    pairs = [row.total_frames is None and len(row.labels) == 2 for row in rows]
    if form == 'auto' and rows and all(pairs):
        raise ListError.of(
            source,
            'two numbers follow each path: choose --format counted if the first is a '
            'number of frames, or --format video if both are labels',
        )
    if rows and not stripped:
        reason = f'no path begins with {strip_prefix!r}, the first is {rows[0].path!r}'
        raise ListError.of(source, reason)
    if check is not None:
        report = check(rows)
        _write_report(*reports, rows, bad, report)
        wrong = {f.line: f for f in report.findings}
        bad += [
            BadLine(source, f.line, f.path, f'{f.kind}: {f.detail}')
            for f in report.findings
        ]
        rows = [row for row in rows if row.line not in wrong]
    if bad and not skip_bad:
        raise ListError(sorted(bad, key=lambda x: x.number))
    if not rows:
        bad.append(BadLine(source, 1, '', 'the list has no good rows'))
        raise ListError(bad)
    with replacing(destination) as file:
        file.writelines(f'{plain_line(row)}\n' for row in rows)
    return len(rows), len(bad)


def _with_root(row, source, data_root):
    """The row with its whole path, if MMAction2's dataset types read it back."""
    path = osp.join(data_root, row.path) if data_root else row.path
    row, reason = row._replace(path=path), None
    if ' ' in path or '\t' in path:
        reason = 'the path has a blank, where MMAction2 cuts its annotation files'
    elif row_line(row) != plain_line(row):
        reason = 'the path cannot be written into an annotation file of MMAction2'
    if reason is None:
        return row
    reason += ': rename what it names, or let VideoClsDataset read the list itself'
    return BadLine(source, row.line, path, reason)


def _write_report(text, table, rows, bad, report):
    with replacing(text) as file:
        file.write(describe(rows, len(bad), report))
    with replacing(table) as file:
        writer = csv.writer(file)
        writer.writerow(['line', 'path', 'kind', 'detail'])
        lines = [(b.number, b.text, 'line', b.reason) for b in bad]
        for row in [*lines, *report.findings, *report.notes]:
            writer.writerow(csv_cell(quote(str(cell))) for cell in row)
