"""The tables of the zoo, in OpenMMLab's columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from ..errors import UsageError
from ..literals import markdown_link, markdown_text
from .references import Reference

MODEL_ZOO, README = 'model_zoo.md', 'README.md'
BEGIN, END = '<!-- zoo:begin -->', '<!-- zoo:end -->'
COLUMNS = (
    'frame sampling strategy', 'resolution', 'backbone', 'pretrain', 'top1 acc',
    'top5 acc', 'reference top1 acc', 'reference top5 acc', 'reference',
    'testing protocol', 'FLOPs', 'projection FLOPs', 'params', 'config', 'ckpt', 'log',
)  # fmt: skip
NOTES = """\
Top-1 and top-5 accuracies were measured with this code, and the predictions that they
come from are on record. Reference accuracies are what others printed, and *official*
checkpoints are theirs. FLOPs are multiply-adds of one view, or of the clips that a
probe attends to together; those of a scan are half of 9 operations for each token,
channel and state. Projection FLOPs are only those of the patch embedding and of the
projections into and out of each mixer: what the paper of VideoMamba counts.
"""


class Link(NamedTuple):
    """A cell that leads to a file or a page."""

    text: str
    target: str


def tables(entries: Iterable[dict], references: dict[str, Reference]) -> str:
    """One table for each collection and data set.

    Args:
        entries (Iterable[dict]): Of the metafiles.
        references (dict[str, Reference]): By the names that entries have.

    Returns:
        str: Markdown.
    """
    parts = [NOTES]
    for (collection, dataset), group in groupby(sorted(entries, key=_order), _group):
        rows = [(entry, references.get(entry.get('Reference'))) for entry in group]
        parts.append(f'## {markdown_text(f"{collection}, {dataset}")}\n')
        parts.append(_table(COLUMNS, [_row(*row) for row in rows]))
        notes = [
            '- The reference of '
            f'{markdown_text(entry["Name"])}: {markdown_text(reference.note)}.'
            for entry, reference in rows
            if reference and reference.note
        ]
        if notes:
            parts.append('\n'.join(notes) + '\n')
    return '\n'.join(parts)


def overview(entries: Iterable[dict]) -> str:
    """One line for each backbone.

    Args:
        entries (Iterable[dict]): Of the metafiles.

    Returns:
        str: Markdown.
    """
    groups = defaultdict(list)
    for entry in entries:
        groups[entry['In Collection'], entry['Metadata']['Architecture']].append(entry)
    rows = []
    for (collection, backbone), group in groups.items():
        size = min(entry['Metadata']['Parameters'] for entry in group)
        datasets = {entry['Metadata']['Training Data'] for entry in group}
        datasets = {'LVU' if name.startswith('LVU ') else name for name in datasets}
        measured = sum(bool(entry.get('Results')) for entry in group)
        referring = sum('Reference' in entry for entry in group)
        cells = ', '.join(sorted(datasets)), len(group), measured, referring
        if not backbone.startswith(collection):
            backbone = f'{backbone} ({collection})'
        rows.append((collection, size, backbone, f'{size / 1e6:.3g}M', *cells))
    columns = (
        'backbone', 'params', 'data sets', 'configs', 'measured here',
        'published by others',
    )  # fmt: skip
    return _table(columns, [cells for _, _, *cells in sorted(rows)])


def fill_in(path: Path, text: str) -> str:
    """Content of a file with the text put between its markers.

    Args:
        path (Path): The file. One that does not exist becomes a title and the text.
        text (str): Markdown.

    Returns:
        str: The content; as it is if a README has no markers.

    Raises:
        UsageError: If the markers are not a pair.
    """
    if path.is_file():
        try:
            content = path.read_text(encoding='utf-8')
        except UnicodeDecodeError as error:
            raise UsageError(f'{path} is not text in UTF-8') from error
    else:
        content = f'# Model zoo\n\n{BEGIN}\n{END}\n'
    count = content.count(BEGIN), content.count(END)
    if count == (0, 0) and path.name == README:
        return content
    if count != (1, 1):
        raise UsageError(f'{path} has to have {BEGIN} once, and {END} once behind it')
    before, rest = content.split(BEGIN)
    behind = rest.split(END)[-1]
    return f'{before}{BEGIN}\n\n{text}\n{END}{behind}'


def _group(entry):
    return entry['In Collection'], entry['Metadata']['Training Data']


def _order(entry):
    metadata = entry['Metadata']
    width = int(metadata['Resolution'].split('x')[-1])
    size = float(f'{metadata["Parameters"]:.1g}')  # embeddings differ with the clip
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
        _params(metadata),
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


def _params(metadata):
    return f'{metadata["Parameters"] / 1e6:.2f}M'


def _table(columns, rows):
    lines = [columns, ['---'] * len(columns), *(map(_cell, row) for row in rows)]
    return ''.join('| ' + ' | '.join(line) + ' |\n' for line in lines)


def _cell(value):
    return markdown_link(*value) if isinstance(value, Link) else markdown_text(value)
