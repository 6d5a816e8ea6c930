"""Report what the laboratory found: writes docs/lab.md and its pictures.

    python benchmarks/lab/report.py

All numbers come from the results; the text between them is in page.md.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

from entries import ResultsError, read_results
from pictures import PICTURES
from sections import sections

from mmaction_videomambapro.apis.cli import run_tool
from mmaction_videomambapro.files import replacing

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / 'docs'


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--results', type=Path, default=HERE / 'results', help='folder of the results'
    )
    parser.add_argument(
        '--out', type=Path, default=DOCS, help='folder for lab.md and the pictures'
    )
    parser.add_argument(
        '--check',
        action='store_true',
        help='write nothing; fail if lab.md is not what the results give',
    )
    args = parser.parse_args()
    tracks = read_results(args.results)
    template = (HERE / 'page.md').read_text(encoding='utf-8')
    text = fill(template, sections(tracks))
    page = args.out / 'lab.md'
    if args.check:
        if not page.exists() or page.read_text(encoding='utf-8') != text:
            raise ResultsError(
                f'{page} is not what {args.results} gives; '
                'write it with python benchmarks/lab/report.py'
            )
        return
    for name, draw in PICTURES.items():
        if name in text:
            draw(tracks['models'], args.out / name)
    with replacing(page) as file:
        file.write(text)
    print(f'report: {page}')


def fill(template: str, places: Mapping[str, str]) -> str:
    """Fill a page, without the parts whose places are all empty.

    A part is a heading and what follows until the next one.
    """
    parts = []
    for part in re.split(r'^(?=##)', template, flags=re.MULTILINE):
        names = re.findall(r'\$\{(\w+)\}', part)
        main = [name for name in names if not _is_inline(part, name)]
        if main and part.startswith('##') and not any(places[name] for name in main):
            continue
        parts.append(re.sub(r'\$\{(\w+)\}', lambda found: places[found[1]], part))
    return re.sub(r'\n{3,}', '\n\n', ''.join(parts)).strip() + '\n'


def _is_inline(part, name):
    return f'\n${{{name}}}\n' not in part


if __name__ == '__main__':
    run_tool(main)
