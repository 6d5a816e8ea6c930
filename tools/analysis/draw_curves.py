"""Draw loss, learning rate and accuracies of a training run."""

import argparse
import os.path as osp

from mmaction_videomambapro.apis.cli import run_tool
from mmaction_videomambapro.visualization.curves import draw_curves


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('work_dir', help='work directory of the run')
    parser.add_argument('--out', help='picture; default: WORK_DIR/curves.png')
    args = parser.parse_args()
    out = args.out or osp.join(args.work_dir, 'curves.png')
    draw_curves(args.work_dir, out)
    print(f'curves: {out}')


if __name__ == '__main__':
    run_tool(main)
