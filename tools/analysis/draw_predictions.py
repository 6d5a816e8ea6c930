"""Print the accuracy of dumped predictions and draw some of them."""

import argparse
import os.path as osp

from mmaction_videomambapro.apis.cli import (
    add_classes,
    add_config_options,
    load_config,
    run_tool,
)
from mmaction_videomambapro.datasets.classes import read_classes
from mmaction_videomambapro.engine.checks import check_files
from mmaction_videomambapro.evaluation.results import load_results, top_k
from mmaction_videomambapro.visualization.predictions import draw_predictions


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='the config that was tested')
    parser.add_argument('results', help='RESULT.pkl of tools/test.py --dump')
    add_config_options(parser)
    parser.add_argument('--out', help='picture; default: predictions.png beside it')
    parser.add_argument('--samples', type=int, default=8, help='clips to draw')
    add_classes(parser, default='those of the test set')
    args = parser.parse_args()
    cfg = load_config(args.config, args.cfg_options)
    check_files(cfg, ('test_dataloader',))
    out = args.out or osp.join(osp.dirname(args.results), 'predictions.png')
    results = load_results(args.results)
    classes = read_classes(args.classes) if args.classes else None
    draw_predictions(cfg, results, out, args.samples, classes)
    print(
        f'top-1 {top_k(results, 1):.3f}, top-5 {top_k(results, 5):.3f} '
        f'on {len(results)} clips'
    )
    print(f'predictions: {out}')


if __name__ == '__main__':
    run_tool(main)
