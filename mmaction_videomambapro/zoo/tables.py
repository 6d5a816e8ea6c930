"""The tables of the zoo, in OpenMMLab's columns."""

from __future__ import annotations

import os.path as osp
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import compress, groupby
from pathlib import Path
from typing import NamedTuple

from ..errors import UsageError
from ..literals import markdown_link, markdown_text
from .references import Reference

BEGIN, END = '<!-- zoo:begin -->', '<!-- zoo:end -->'
COLUMNS = (
    'frame sampling strategy', 'resolution', 'backbone', 'pretrain', 'top1 acc',
    'top5 acc', 'reference top1 acc', 'reference top5 acc', 'reference',
    'testing protocol', 'FLOPs', 'projection FLOPs', 'params', 'config', 'ckpt', 'log',
)  # fmt: skip


class Link(NamedTuple):
    """A cell that links to a file or a page."""

    text: str
    target: str


def tables(
    entries: Iterable[dict], references: dict[str, Reference], folder: str
) -> str:
    """One table per data set.

    Args:
        entries (Iterable[dict]): Entries of the metafiles in one folder.
        references (dict[str, Reference]): The references that they name.
        folder (str): The folder, as metafiles write paths; links are relative to it.

    Returns:
        str: Markdown.
    """
    parts = []
    entries = sorted(entries, key=_order)
    collections = {entry['In Collection'] for entry in entries}
    for (collection, dataset), group in groupby(entries, _group):
        rows = [(entry, references.get(entry.get('Reference', ''))) for entry in group]
        heading = f'{collection}, {dataset}' if len(collections) > 1 else dataset
        parts.append(f'## {markdown_text(heading)}\n')
        parts.append(table(COLUMNS, [_row(*row) for row in rows], folder))
        notes = [
            '- The reference of '
            f'{markdown_text(entry["Name"])}: {markdown_text(reference.note)}.'
            for entry, reference in rows
            if reference and reference.note
        ]
        if notes:
            parts.append('\n'.join(notes) + '\n')
    return '\n'.join(parts)


def overview(rows: Iterable[tuple[dict, str]]) -> str:
    """One line per backbone and folder.

    Args:
        rows (Iterable[tuple[dict, str]]): Entries, each with the page of its folder.

    Returns:
        str: Markdown.
    """
    groups = defaultdict(list)
    for entry, page in rows:
        metadata = entry['Metadata']
        groups[page, entry['In Collection'], metadata['Architecture']].append(entry)
    lines = []
    for (page, collection, backbone), group in groups.items():
        size = min(entry['Metadata']['Parameters'] for entry in group)
        datasets = {entry['Metadata']['Training Data'] for entry in group}
        datasets = {'LVU' if name.startswith('LVU ') else name for name in datasets}
        measured = sum(bool(entry.get('Results')) for entry in group)
        referring = sum('Reference' in entry for entry in group)
        cells = ', '.join(sorted(datasets)), len(group), measured, referring
        if not backbone.startswith(collection):
            backbone = f'{backbone} ({collection})'
        cells = Link(backbone, page), f'{size / 1e6:.3g}M', *cells
        lines.append(((page, collection, size), cells))
    columns = (
        'backbone', 'params', 'data sets', 'configs', 'measured here',
        'published by others',
    )  # fmt: skip
    return table(columns, [cells for _, cells in sorted(lines)])


def fill_in(path: Path, text: str, title: str) -> str:
    """Content of a file with the text placed between its markers.

    Args:
        path (Path): The file. If it does not exist, it gets a title and the text.
        text (str): Markdown.
        title (str): Title for a file that does not exist.

    Returns:
        str: The content, unchanged if a README has no markers.

    Raises:
        UsageError: If the markers are not a pair.
    """
    if path.is_file():
        try:
            content = path.read_text(encoding='utf-8')
        except UnicodeDecodeError as error:
            raise UsageError(f'{path} is not text in UTF-8') from error
    else:
        content = f'# {markdown_text(title)}\n\n{BEGIN}\n{END}\n'
    count = content.count(BEGIN), content.count(END)
    if count == (0, 0) and path.name == 'README.md':
        return content
    if count != (1, 1):
        raise UsageError(f'{path} needs {BEGIN} once, and {END} once after it')
    before, rest = content.split(BEGIN)
    behind = rest.split(END)[-1]
    return f'{before}{BEGIN}\n\n{text}\n{END}{behind}'


def _group(entry):
    return entry['In Collection'], entry['Metadata']['Training Data']


def _order(entry):
    metadata = entry['Metadata']
    width = int(metadata['Resolution'].split('x')[-1])
    size = float(f'{metadata["Parameters"]:.1g}')  # embeddings depend on the clip
    return *_group(entry), size, metadata['Frame'], width, entry['Name']


def _row(entry, reference):
    metadata = entry['Metadata']
    metrics = entry['Results'][0]['Metrics'] if entry.get('Results') else {}
    weights = 'official' if 'Converted From' in entry else 'ckpt'
    return (
        metadata['Sampling method'],
        metadata['Resolution'],
        metadata['Architecture'],
        metadata.get('Pretrained', ''),
        metrics.get('Top 1 Accuracy', ''),
        metrics.get('Top 5 Accuracy', ''),
        *_reference(reference),
        metadata['Testing protocol'],
        _giga(metadata['FLOPs']),
        _giga(metadata.get('Projection FLOPs')),
        f'{metadata["Parameters"] / 1e6:.2f}M',
        Link('config', entry['Config']),
        Link(weights, entry['Weights']) if 'Weights' in entry else '',
        Link('log', entry['Training Log']) if 'Training Log' in entry else '',
    )


def _reference(row):
    if row is None:
        return '', '', ''
    top1 = row.metrics.get('Top 1 Accuracy', '')
    if 'Mean Squared Error' in row.metrics:
        top1 = f'{row.metrics["Mean Squared Error"]} (mean squared error)'
    return top1, row.metrics.get('Top 5 Accuracy', ''), Link(row.source, row.url)


def _giga(macs):
    if macs is None:
        return ''
    return f'{macs / 1e9:.3g}G' if macs < 1e12 else f'{macs / 1e9:.0f}G'


def table(columns: Sequence[str], rows: Iterable[Sequence], folder: str = '.') -> str:
    """A table in Markdown, without its empty columns.

    Args:
        columns (Sequence[str]): Column headings.
        rows (Iterable[Sequence]): Cells: strings, numbers or links.
        folder (str): Folder that links to files are relative to. Defaults to ``'.'``.

    Returns:
        str: The table.
    """
    cells = [[_cell(value, folder) for value in row] for row in rows]
    full = [any(column) for column in (zip(*cells) if cells else columns)]
    columns, *cells = ([*compress(line, full)] for line in (columns, *cells))
    lines = [columns, ['---'] * len(columns), *cells]
    return ''.join('| ' + ' | '.join(line) + ' |\n' for line in lines)


def _cell(value, folder):
    if not isinstance(value, Link):
        return markdown_text(value)
    text, target = value
    if '://' not in target:
        target = Path(osp.relpath(target, folder)).as_posix()
    return markdown_link(text, target)
