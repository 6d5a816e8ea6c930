"""Turn a published list of videos, frames or images into MMAction2's annotations."""

import argparse
import os
from functools import partial

from mmaction_videomambapro.datasets.convert import convert_list
from mmaction_videomambapro.datasets.list_check import CHECKS, check_rows
from mmaction_videomambapro.datasets.lists import FORMATS, ListError, read_list
from mmaction_videomambapro.engine.launch import UsageError, run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', help='the list; it stays as it is')
    parser.add_argument('destination', help='annotation file to write')
    parser.add_argument('--format', choices=[*FORMATS, 'auto'], default='auto')
    parser.add_argument('--data-root', default='', help='folder in front of all paths')
    parser.add_argument(
        '--strip-prefix', default='', help='beginning of paths to take away, your_path'
    )
    parser.add_argument(
        '--check',
        choices=CHECKS,
        default='none',
        help='whether to look at the files; writes DESTINATION.report.txt and .csv',
    )
    parser.add_argument('--jobs', type=int, default=os.cpu_count(), help='processes')
    parser.add_argument(
        '--skip-bad', action='store_true', help='leave bad rows out instead of stopping'
    )
    parser.add_argument('--num-classes', type=int, help='labels have to be below')
    parser.add_argument(
        '--min-frames', type=int, default=1, help='fewer frames make a row bad'
    )
    parser.add_argument(
        '--against', help='annotation file of the other split: no path may be in both'
    )
    args = parser.parse_args()
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
        written, left_out = convert_list(
            args.source,
            args.destination,
            args.format,
            data_root=args.data_root,
            strip_prefix=args.strip_prefix,
            skip_bad=args.skip_bad,
            check=check,
        )
    except ListError as error:
        raise UsageError(
            f'{args.source} has {len(error.bad)} bad rows:\n{error}\n'
            f'{args.destination} was not written; --skip-bad leaves them out'
        ) from error
    except OSError as error:
        raise UsageError(error) from error
    print(f'{args.destination}: {written} rows, {left_out} left out')


def _paths(file):
    try:
        return frozenset(row.path for row in read_list(file)) if file else frozenset()
    except (ListError, OSError) as error:
        raise UsageError(f'--against {file}: {error}') from error


if __name__ == '__main__':
    run_tool(main)
