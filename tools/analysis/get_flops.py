"""Print parameters and multiply-adds of a config's model."""

import argparse

from mmaction_videomambapro.apis.cli import add_config_options, load_config, run_tool
from mmaction_videomambapro.errors import UsageError
from mmaction_videomambapro.zoo.flops import SCAN_FLOPS, complexity
from mmaction_videomambapro.zoo.metadata import views_of


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config of a recognizer')
    add_config_options(parser)
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        metavar='N',
        help="shape of one sample's inputs: 1 3 T H W, or SEGMENTS 3 H W for a "
        'Recognizer2D; default: one view of the test pipeline',
    )
    args = parser.parse_args()
    cfg = load_config(args.config, args.cfg_options)
    shape = tuple(args.shape or views_of(cfg).shape)
    try:
        found = complexity(cfg, shape)
    except Exception as error:  # a model can fail in any way
        raise UsageError(f'{args.config} with inputs {shape}: {error}') from error
    print(f'inputs         {" x ".join(map(str, shape))}')
    print(f'parameters     {found.parameters / 1e6:.2f} M ({found.parameters})')
    print(f'multiply-adds  {found.macs / 1e9:.2f} G')
    if found.projection_macs is not None:
        print(
            f'  scans        {found.scan_macs / 1e9:.2f} G ({SCAN_FLOPS} operations '
            'per token, channel and state; a multiply-add is two)\n'
            f'  projections  {found.projection_macs / 1e9:.2f} G (in_proj, out_proj '
            "and patch embedding: all that VideoMamba's paper counts)"
        )


if __name__ == '__main__':
    run_tool(main)
