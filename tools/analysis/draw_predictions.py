"""Print the accuracy of dumped predictions and draw some of them."""

import argparse
import os.path as osp

import mmaction_videomambapro  # noqa: F401  mends and registers
from mmaction_videomambapro.datasets.classes import read_classes
from mmaction_videomambapro.engine.launch import (
    UsageError,
    add_common_arguments,
    check_files,
    load_config,
    run_tool,
)
from mmaction_videomambapro.visualization.predictions import draw_predictions
from mmaction_videomambapro.zoo.results import ResultError, load_results, top_k


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='the config that was tested')
    parser.add_argument('results', help='RESULT.pkl of tools/test.py --dump')
    add_common_arguments(parser)
    parser.add_argument(
        '--out', help='picture; default: predictions.png next to the results'
    )
    parser.add_argument('--samples', type=int, default=8, help='clips to draw')
    parser.add_argument(
        '--classes',
        help='file of class names in label order; default: those of the test set',
    )
    args = parser.parse_args()
    cfg = load_config(args)
    check_files(cfg, ('test_dataloader',))
    out = args.out or osp.join(osp.dirname(args.results), 'predictions.png')
    try:
        results = load_results(args.results)
        classes = read_classes(args.classes) if args.classes else None
        draw_predictions(cfg, results, out, args.samples, classes)
    except (ResultError, OSError, ValueError) as error:
        raise UsageError(error) from error
    print(
        f'top-1 {top_k(results, 1):.3f}, top-5 {top_k(results, 5):.3f} '
        f'on {len(results)} clips'
    )
    print(f'predictions: {out}')


if __name__ == '__main__':
    run_tool(main)
