"""Add measured rows to the model zoo, check it, and publish checkpoints."""

import argparse

from mmaction_videomambapro.apis.cli import add_config_options, run_tool
from mmaction_videomambapro.checkpoints.publish import publish
from mmaction_videomambapro.errors import UsageError
from mmaction_videomambapro.zoo.add import add
from mmaction_videomambapro.zoo.check import check, unseen
from mmaction_videomambapro.zoo.metafiles import Zoo


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    zoo = argparse.ArgumentParser(add_help=False)
    zoo.add_argument(
        '--zoo', default='.', metavar='DIR', help='folder of the zoo; default: this one'
    )

    command = commands.add_parser(
        'add', parents=[zoo], help='add or replace a row of measured numbers'
    )
    command.add_argument('config', help='the config that was tested')
    command.add_argument('checkpoint', help='the checkpoint that was tested')
    command.add_argument(
        '--result', required=True, help='RESULT.pkl of tools/test.py --dump'
    )
    command.add_argument('--log', help='work directory of the training')
    add_config_options(
        command,
        'the same as in the test, if it used another list: '
        'test_dataloader.dataset.ann_file=LIST',
    )

    commands.add_parser('check', parents=[zoo], help='list what is wrong with the zoo')
    commands.add_parser(
        'update', parents=[zoo], help='write missing entries, and all tables'
    )

    command = commands.add_parser('publish', help='prepare a checkpoint for release')
    command.add_argument('checkpoint', help='checkpoint of a training run')
    command.add_argument('out', help='folder and name; date and hash are appended')
    command.add_argument(
        '--weights',
        choices=['ema', 'raw'],
        help='averaged or live weights, with an EMAHook; '
        'default: those that were validated',
    )
    return parser.parse_args()


def main():
    args = parse_args()
    if args.command == 'add':
        zoo = Zoo(args.zoo, create=True)
        entry = add(
            zoo,
            args.config,
            args.checkpoint,
            args.result,
            args.log,
            args.cfg_options,
        )
        zoo.save()
        metrics = ', '.join(
            f'{k} {v}' for k, v in entry['Results'][0]['Metrics'].items()
        )
        print(f'{entry["Name"]}: {metrics}')
    elif args.command == 'update':
        zoo = Zoo(args.zoo)
        zoo.update()
        zoo.save()
    elif args.command == 'check':
        zoo = Zoo(args.zoo)
        faults = check(zoo)
        if faults:
            raise UsageError(f'{len(faults)} faults:\n' + '\n'.join(faults))
        elsewhere = ''.join(f'\nnot available, not compared: {x}' for x in unseen(zoo))
        print(f'rows without faults: {len(list(zoo.entries()))}{elsewhere}')
    else:
        print(publish(args.checkpoint, args.out, args.weights))


if __name__ == '__main__':
    run_tool(main)
