"""Convert a published checkpoint to MMAction2's format, or back."""

import argparse

from mmaction_videomambapro.apis.cli import add_config_options, load_config, run_tool
from mmaction_videomambapro.checkpoints.fit import convert
from mmaction_videomambapro.errors import UsageError


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', help='checkpoint, file or URL; it is not changed')
    parser.add_argument('destination', help='checkpoint to write')
    parser.add_argument('--config', required=True, help='config of the model')
    parser.add_argument(
        '--to',
        choices=['mmaction', 'official'],
        default='mmaction',
        help='names of the keys to write; default: mmaction',
    )
    parser.add_argument(
        '--inflate',
        choices=['centre', 'mean'],
        default='centre',
        help='how a patch kernel of fewer frames fills a tubelet; only mean accepts '
        'kernels of more frames; default: centre, as published',
    )
    parser.add_argument(
        '--weights',
        choices=['ema', 'raw'],
        default='ema',
        help='averaged or live weights, if the checkpoint has both; default: ema',
    )
    parser.add_argument(
        '--label-map',
        nargs=2,
        metavar=('SOURCE.txt', 'MODEL.txt'),
        help='label names of the checkpoint and of the model, one per line; rows of '
        'the head are matched by name',
    )
    parser.add_argument(
        '--no-strict',
        dest='strict',
        action='store_false',
        help='load what fits and leave out the rest',
    )
    add_config_options(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    if 'model' not in cfg:
        raise UsageError(f'{args.config} has no model')

    from mmengine.registry import init_default_scope

    init_default_scope(cfg.get('default_scope', 'mmaction'))
    report = convert(
        args.source,
        args.destination,
        cfg.model,
        official=args.to == 'official',
        inflate=args.inflate,
        label_map=args.label_map,
        weights=args.weights,
        strict=args.strict,
    )
    print(f'{args.destination}:\n{report}')


if __name__ == '__main__':
    run_tool(main)
