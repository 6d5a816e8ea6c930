"""Pages of the zoo: a README per folder of configs, and an overview of all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby
from pathlib import PurePosixPath

from ..literals import markdown_link
from .references import Reference
from .tables import Link, overview, table, tables

MODEL_ZOO, README = 'model_zoo.md', 'README.md'
TOP1 = 'Top 1 Accuracy'
NOTES = """\
## How to read the tables

Top-1 and top-5 accuracies were measured with this code, and the predictions that they
come from are on record. Reference accuracies are what others printed, and *official*
checkpoints are theirs. FLOPs are multiply-adds of one view, or of the clips that a
probe attends to together; those of a scan are half of 9 operations for each token,
channel and state. Projection FLOPs are only those of the patch embedding and of the
projections into and out of each mixer: what the paper of VideoMamba counts.
"""


def readme_of(metafile: str) -> str:
    """The page beside a metafile, both as metafiles write paths."""
    return PurePosixPath(metafile).with_name(README).as_posix()


def pages(
    metafiles: dict[str, dict], references: dict[str, Reference]
) -> dict[str, tuple[str, str]]:
    """Text that the zoo writes into its pages.

    Args:
        metafiles (dict[str, dict]): Content of each metafile.
        references (dict[str, Reference]): The references that entries name.

    Returns:
        dict[str, tuple[str, str]]: Title, used if the page does not exist yet, and
        Markdown of each page.
    """
    made: dict[str, tuple[str, str]] = {}
    rows = []
    for page, group in groupby(sorted(metafiles, key=readme_of), readme_of):
        contents = [metafiles[metafile] for metafile in group]
        names = dict.fromkeys(c['Name'] for x in contents for c in x['Collections'])
        entries = [entry for content in contents for entry in content['Models']]
        folder = PurePosixPath(page).parent.as_posix()
        up = '../' * len(PurePosixPath(page).parent.parts)
        note = markdown_link('How to read the tables', f'{up}{MODEL_ZOO}')
        text = f'{tables(entries, references, folder)}\n{note}\n'
        made[page] = ', '.join(names), text
        rows += [(entry, page) for entry in entries]
    parts = (
        '## Models\n', overview(rows),
        '## Data sets\n', datasets(rows, references), NOTES,
    )  # fmt: skip
    made[MODEL_ZOO] = 'Model zoo', '\n'.join(parts)
    return made


def datasets(rows: Iterable[tuple[dict, str]], references: dict[str, Reference]) -> str:
    """The highest accuracies on each data set.

    Args:
        rows (Iterable[tuple[dict, str]]): Entries, each with its page.
        references (dict[str, Reference]): The references that entries name.

    Returns:
        str: Markdown.
    """
    groups = defaultdict(list)
    for entry, _ in rows:
        groups[entry['Metadata']['Training Data']].append(entry)
    lines = []
    for name, entries in sorted(groups.items()):
        measured, referred = [], []
        for entry in entries:
            for result in entry.get('Results') or []:
                measured.append((result['Metrics'].get(TOP1), entry))
            if entry.get('Reference') in references:
                reference = references[entry['Reference']]
                referred.append((reference.metrics.get(TOP1), entry))
        lines.append((name, len(entries), *_best(measured), *_best(referred)))
    columns = (
        'data set', 'configs', 'best top1 acc here', 'by', 'best reference top1 acc',
        'of',
    )  # fmt: skip
    return table(columns, lines)


def _best(results):
    """The highest accuracy, and a link to its config."""
    known = [(top1, entry) for top1, entry in results if top1 is not None]
    if not known:
        return '', ''
    top1, entry = max(known, key=lambda result: result[0])
    metadata = entry['Metadata']
    what = f'{metadata["Architecture"]}, {metadata["Frame"]} x {metadata["Resolution"]}'
    return top1, Link(what, entry['Config'])
