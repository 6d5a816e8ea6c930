"""Lists, class names and a config for a folder with a folder of videos per class."""

import argparse
import os.path as osp

from mmaction_videomambapro.datasets.folders import list_folder
from mmaction_videomambapro.datasets.lists import ListError
from mmaction_videomambapro.datasets.own_config import BaseConfigError
from mmaction_videomambapro.engine.launch import UsageError, run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', help='its subfolders are the classes')
    parser.add_argument('destination', help='new folder for lists and config')
    parser.add_argument('--config', help='what the new config.py inherits from')
    parser.add_argument(
        '--val-share', type=float, default=0.2, help='of each class; default: 0.2'
    )
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    if not osp.isdir(args.source):
        raise UsageError(f'folder {args.source} does not exist')
    if args.config and not osp.isfile(args.config):
        raise UsageError(f'config file {args.config} does not exist')
    if not 0 < args.val_share < 1:
        raise UsageError(f'--val-share is {args.val_share}, expected between 0 and 1')
    try:
        split = list_folder(
            args.source, args.destination, args.val_share, args.seed, args.config
        )
    except (BaseConfigError, ListError, OSError) as error:
        raise UsageError(f'{error}; nothing was written') from error
    print(
        f'{args.destination}: {split.classes} classes, {split.train} videos to train, '
        f'{split.val} to validate, {split.others} other files left out'
    )


if __name__ == '__main__':
    run_tool(main)
