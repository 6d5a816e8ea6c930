"""Compare the validation accuracies of training runs, as a picture and as numbers."""

import argparse
import os.path as osp

from mmaction_videomambapro.apis.cli import run_tool
from mmaction_videomambapro.visualization.curves import draw_comparison


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('work_dirs', nargs='+', help='work directories of the runs')
    parser.add_argument(
        '--out', help='picture; default: comparison.png in the first work directory'
    )
    args = parser.parse_args()
    out = args.out or osp.join(args.work_dirs[0], 'comparison.png')
    accuracies = draw_comparison(args.work_dirs, out)
    print(f'comparison: {out}')
    for name, accuracy in accuracies.items():
        print(f'top-1 {accuracy:.3f} {name}')


if __name__ == '__main__':
    run_tool(main)
