"""Convert a published list or an official annotation file to MMAction2 annotations."""

import argparse
import os
from functools import partial
from pathlib import Path

from mmaction_videomambapro.apis.cli import run_tool
from mmaction_videomambapro.datasets import annotations
from mmaction_videomambapro.datasets.classes import classes_text
from mmaction_videomambapro.datasets.convert import convert_list
from mmaction_videomambapro.datasets.list_check import CHECKS, MOST_JOBS, check_rows
from mmaction_videomambapro.datasets.lists import FORMATS, ListError, read_list
from mmaction_videomambapro.datasets.rows import quote
from mmaction_videomambapro.errors import UsageError
from mmaction_videomambapro.files import replacing


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', help='the list; it is not changed')
    parser.add_argument('destination', help='annotation file to write')
    formats = [*FORMATS, *annotations.FORMATS, 'auto']
    parser.add_argument('--format', choices=formats, default='auto')
    parser.add_argument('--data-root', default='', help='folder in front of all paths')
    parser.add_argument(
        '--strip-prefix', default='', help='leading folders to drop, as your_path'
    )
    names = parser.add_mutually_exclusive_group()
    names.add_argument(
        '--classes',
        help='class names in label order, if labels are names: a file, or a published '
        'dataset such as kinetics400',
    )
    names.add_argument(
        '--make-classes',
        metavar='FILE',
        help='write the class names to FILE, in alphabetical order, and use it as '
        '--classes; for the training list',
    )
    parser.add_argument(
        '--subset', help='split to read from an official file, such as train or test'
    )
    parser.add_argument(
        '--fold', type=int, default=1, help="fold of HMDB51's files; default: 1"
    )
    parser.add_argument(
        '--check',
        choices=CHECKS,
        default='none',
        help='check that files exist, or decode 16 frames of each video, or all of '
        'its frames; writes DESTINATION.report.txt and .csv',
    )
    jobs = min(os.cpu_count() or 1, MOST_JOBS)
    parser.add_argument('--jobs', type=int, default=jobs, help='processes')
    parser.add_argument(
        '--skip-bad', action='store_true', help='leave bad rows out instead of stopping'
    )
    parser.add_argument('--num-classes', type=int, help='labels must be less than this')
    parser.add_argument(
        '--min-frames', type=int, default=1, help='rows with fewer frames are bad'
    )
    parser.add_argument(
        '--against', help='annotation file of the other split: no path may be in both'
    )
    args = parser.parse_args()
    limits = dict(jobs=MOST_JOBS, num_classes=10**9, min_frames=10**9, fold=9)
    for name, most in limits.items():
        value = getattr(args, name)
        if value is not None and not 1 <= value <= most:
            option = f'--{name.replace("_", "-")}'
            raise UsageError(f'{option} is {value}, expected 1 to {most}')
    check = None
    if args.check != 'none' or args.num_classes is not None or args.against:
        check = partial(
            check_rows,
            check=args.check,
            jobs=args.jobs,
            num_classes=args.num_classes,
            min_frames=args.min_frames,
            others=_paths(args.against),
        )
    try:
        if args.make_classes:
            make_classes(args)
        written, left_out = convert_list(
            args.source,
            args.destination,
            args.format,
            data_root=args.data_root,
            strip_prefix=args.strip_prefix,
            skip_bad=args.skip_bad,
            classes=args.classes or (args.make_classes and Path(args.make_classes)),
            subset=args.subset,
            fold=args.fold,
            check=check,
        )
    except ListError as error:
        raise UsageError(
            f'{args.source} has {len(error.bad)} bad rows:\n{error}\n'
            f'{args.destination} was not written; --skip-bad leaves them out'
            if any(bad.text for bad in error.bad)
            else f'{error}; {args.destination} was not written'
        ) from error
    print(f'{quote(args.destination)}: {written} rows, {left_out} left out')


def make_classes(args):
    if os.path.exists(args.make_classes):
        raise UsageError(f'{args.make_classes} exists: name it with --classes')
    form = args.format if args.format in annotations.FORMATS else None
    names = annotations.class_names(args.source, form)
    with replacing(args.make_classes) as file:
        file.write(classes_text(names))
    print(f'{quote(args.make_classes)}: {len(names)} classes')


def _paths(file):
    try:
        return frozenset(row.path for row in read_list(file)) if file else frozenset()
    except (ListError, OSError) as error:
        raise UsageError(f'--against {file}: {error}') from error


if __name__ == '__main__':
    run_tool(main)
