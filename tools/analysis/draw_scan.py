"""Draw the scans of VideoMamba and VideoMambaPro side by side."""

import argparse

import mmaction_videomambapro  # noqa: F401  patches and registers
from mmaction_videomambapro.apis.cli import run_tool
from mmaction_videomambapro.visualization.scan import draw_scan


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', default='scan.png', help='picture; default: scan.png')
    args = parser.parse_args()
    draw_scan(args.out)
    print(f'scan: {args.out}')


if __name__ == '__main__':
    run_tool(main)
