"""Write lists, class names and a config for a folder with one folder per class.

If it is already divided into train, val or test, that is kept.
"""

import argparse
import os
import os.path as osp
from collections import Counter

from mmaction_videomambapro.apis.cli import run_tool
from mmaction_videomambapro.datasets.folders import (
    plan_folder,
    refuse_full,
    write_lists,
)
from mmaction_videomambapro.datasets.list_check import CHECKS, MOST_JOBS, check_rows
from mmaction_videomambapro.datasets.lists import BadLine, ListError
from mmaction_videomambapro.datasets.rows import quote
from mmaction_videomambapro.errors import UsageError

SHOWN = 3  # names to print of each kind of file that is left out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', help='folder whose subfolders are classes or splits')
    parser.add_argument('destination', help='new folder for lists and config')
    parser.add_argument('--config', help='config that config.py inherits from')
    parser.add_argument(
        '--val-share',
        type=float,
        default=0.2,
        help='share of each class for validation; default: 0.2',
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--group',
        metavar='REGEX',
        help='what the paths of one recording have in common, such as '
        "'_g([0-9]+)_': these videos stay in one split",
    )
    parser.add_argument(
        '--check', choices=CHECKS, default='none', help='how to check the videos'
    )
    jobs = min(os.cpu_count() or 1, MOST_JOBS)
    parser.add_argument('--jobs', type=int, default=jobs, help='processes')
    parser.add_argument('--skip-bad', action='store_true', help='leave bad videos out')
    args = parser.parse_args()
    if not osp.isdir(args.source):
        raise UsageError(f'folder {args.source} does not exist')
    if args.config and not osp.isfile(args.config):
        raise UsageError(f'config file {args.config} does not exist')
    if not 0 < args.val_share < 1:
        raise UsageError(f'--val-share is {args.val_share}, expected between 0 and 1')
    if not 1 <= args.jobs <= MOST_JOBS:
        raise UsageError(f'--jobs is {args.jobs}, expected 1 to {MOST_JOBS}')
    try:
        refuse_full(args.destination)
        plan = make_plan(args)
        write_lists(plan, args.source, args.destination, args.config)
    except (UsageError, OSError) as error:
        raise UsageError(f'{error}; nothing was written') from error
    show(plan, args.destination)


def make_plan(args):
    options = args.source, args.val_share, args.seed, args.group
    plan = plan_folder(*options)
    if args.check == 'none':
        return plan
    rows = [
        row._replace(path=osp.join(args.source, row.path))
        for rows in plan.rows.values()
        for row in rows
    ]
    findings = check_rows(rows, args.check, jobs=args.jobs).findings
    bad = [
        BadLine(f.path, 1, '', f'{f.kind}: {f.detail}; --skip-bad leaves it out')
        for f in findings
    ]
    if bad and not args.skip_bad:
        raise ListError(bad)
    broken = frozenset(osp.relpath(f.path, args.source) for f in findings)
    return plan_folder(*options, without=broken) if broken else plan


def show(plan, destination):
    counts = [Counter(row.labels[0] for row in rows) for rows in plan.rows.values()]
    print(*(f'{split:>7}' for split in plan.rows), ' class')
    for i, name in enumerate(plan.classes):
        print(*(f'{n[i]:7}' for n in counts), '', quote(name))
    for note in plan.notes:
        print(note)
    for kind, paths in sorted(plan.left_out.items()):
        names = ', '.join(map(quote, paths[:SHOWN]))
        print(
            f'left out, {kind}: {len(paths)} ({names}{" ..." * (len(paths) > SHOWN)})'
        )
    others = sum(map(len, plan.left_out.values()))
    purposes = dict(train='train', val='validate', test='test')
    parts = [f'{len(rows)} to {purposes[split]}' for split, rows in plan.rows.items()]
    parts[0] = parts[0].replace(' to ', ' videos to ')
    print(
        f'{quote(destination)}: {len(plan.classes)} classes, {", ".join(parts)}, '
        f'{others} other files left out'
    )


if __name__ == '__main__':
    run_tool(main)
