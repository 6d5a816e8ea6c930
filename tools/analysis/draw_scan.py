"""Draw the scans of VideoMamba and VideoMambaPro side by side."""

import argparse

import mmaction_videomambapro  # noqa: F401  mends and registers
from mmaction_videomambapro.engine.launch import UsageError, run_tool
from mmaction_videomambapro.visualization.scan import draw_scan


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', default='scan.png', help='picture; default: scan.png')
    args = parser.parse_args()
    try:
        draw_scan(args.out)
    except (OSError, ValueError) as error:
        raise UsageError(error) from error
    print(f'scan: {args.out}')


if __name__ == '__main__':
    run_tool(main)
