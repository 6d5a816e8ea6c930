"""Convert a YAML experiment file of V-JEPA, pre-training or probe, to a config."""

import argparse
import os

from mmaction_videomambapro.apis.cli import run_tool
from mmaction_videomambapro.apis.vjepa_yaml import BASE, write_config
from mmaction_videomambapro.errors import UsageError


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('source', help='the experiment file; it is not changed')
    parser.add_argument('destination', help='config to write')
    parser.add_argument(
        '--base',
        default=BASE,
        help=f'config to inherit hooks and the like from; default: {BASE}',
    )
    args = parser.parse_args()
    base = args.base
    if '::' not in base:
        if not os.path.isfile(base):
            raise UsageError(f'--base: config file {base} does not exist')
        folder = os.path.dirname(os.path.abspath(args.destination))
        base = os.path.relpath(base, folder)
    ignored = write_config(args.source, args.destination, base)
    print(f'{args.destination}: ignored {", ".join(ignored) or "nothing"}')


if __name__ == '__main__':
    run_tool(main)
