"""Convert a list into an MMAction2 annotation file."""

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

    The source is never changed. The destination is only written if all rows are good or
    ``skip_bad`` is set, and under another name first.

    Args:
        source (str): The list, see :mod:`lists`.
        destination (str): The annotation file.
        form (str): Format of the list. Defaults to ``'auto'``.
        data_root (str): Folder to put in front of every path that is not absolute.
            Defaults to ''.
        strip_prefix (str): Leading folders to remove from the paths first, such as the
            ``your_path`` of published lists. Defaults to ''.
        skip_bad (bool): Leave bad rows out. Defaults to False.
        classes (str | Sequence[str], optional): Class names in label order, or a file
            of them, needed if labels are class names. Defaults to None.
        subset (str, optional): Read only the rows of this split, such as ``'train'``,
            from an official file. Defaults to None (all rows).
        fold (int): Fold of HMDB51, 1 to 3. Defaults to 1.
        check (Callable, optional): Checks rows with full paths. Its report is written
            next to the destination, as ``.report.txt`` and ``.report.csv``.
            Defaults to None.

    Returns:
        tuple[int, int]: Number of rows written, and of rows left out.

    Raises:
        ListError: If there are bad rows (it lists them all) and ``skip_bad`` is not
            set, or if there are no good rows.
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
    if whole:  # the rest of the list was not read
        raise ListError(whole)
    pairs = [row.total_frames is None and len(row.labels) == 2 for row in rows]
    if form == 'auto' and rows and all(pairs):
        raise ListError.of(
            source,
            'two numbers follow each path: choose --format counted if the first is the '
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
    """The row with its full path, or a BadLine if MMAction2 would misread it."""
    path = osp.join(data_root, row.path) if data_root else row.path
    row, reason = row._replace(path=path), None
    if ' ' in path or '\t' in path:
        reason = 'the path contains a space, where MMAction2 splits the line'
    elif row_line(row) != plain_line(row):
        reason = 'the path cannot be written to an MMAction2 annotation file'
    if reason is None:
        return row
    reason += ': rename the file, or let VideoClsDataset read the list directly'
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
