"""Test a recognizer and optionally dump its predictions."""

import argparse

from mmaction_videomambapro.apis.cli import (
    add_run_arguments,
    build_runner,
    check_output,
    load_config,
    run_tool,
)
from mmaction_videomambapro.apis.mixed_precision import compute_in
from mmaction_videomambapro.engine.checkpoints import newest_of
from mmaction_videomambapro.engine.checks import check_files, limit_labels
from mmaction_videomambapro.errors import UsageError


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='test config')
    parser.add_argument(
        'checkpoint', help='file, URL, or work directory (its newest checkpoint)'
    )
    add_run_arguments(parser)
    parser.add_argument(
        '--dump',
        metavar='RESULT.pkl',
        help='write a list with pred_score, pred_label and gt_label per sample',
    )
    parser.add_argument(
        '--show-dir', help='draw samples with their predictions into this folder'
    )
    parser.add_argument(
        '--show', action='store_true', help='show samples with their predictions'
    )
    parser.add_argument(
        '--interval', type=int, default=1, help='draw every N-th sample; default: 1'
    )
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds to show each sample'
    )
    return parser.parse_args()


def merge_args(cfg, args):
    """Apply the options that only exist for testing."""
    cfg.load_from, cfg.resume = newest_of(args.checkpoint), False
    if args.show or args.show_dir:
        hook = dict(
            type='VisualizationHook',
            enable=True,
            show=args.show,
            wait_time=args.wait_time,
            out_dir=args.show_dir,
            interval=args.interval,
        )
        cfg.default_hooks = {**cfg.get('default_hooks', {}), 'visualization': hook}
    if args.dump:
        if not args.dump.endswith(('.pkl', '.pickle')):
            raise UsageError(f'--dump {args.dump} must end in .pkl or .pickle')
        evaluators = cfg.test_evaluator
        if not isinstance(evaluators, (list, tuple)):
            evaluators = [evaluators]
        dump = dict(type='DumpResults', out_file_path=args.dump)
        cfg.test_evaluator = [*evaluators, dump]


def main():
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options, args.work_dir, args.launcher)
    merge_args(cfg, args)
    check_files(cfg, ('test_dataloader',))
    limit_labels(cfg, ('test_dataloader',))
    if args.dump:
        check_output(args.dump, '--dump')
    runner = build_runner(cfg)
    if args.amp:
        compute_in(runner.model, args.amp)
    runner.test()


if __name__ == '__main__':
    run_tool(main)
