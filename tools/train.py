"""Train a recognizer."""

import argparse

import mmaction_videomambapro  # noqa: F401  mends and registers
from mmaction_videomambapro.engine.checkpoints import checkpoints, newest_of
from mmaction_videomambapro.engine.checks import check_batches, check_blending
from mmaction_videomambapro.engine.launch import (
    UsageError,
    add_common_arguments,
    build_runner,
    check_files,
    check_initial_weights,
    check_schedules,
    hold_work_dir,
    limit_labels,
    load_config,
    run_tool,
    train,
)

AMP = {
    'OptimWrapper': 'AmpOptimWrapper',
    'GuardedOptimWrapper': 'GuardedAmpOptimWrapper',
}


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='training config')
    add_common_arguments(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='continue from this checkpoint, the newest in this folder, or the newest '
        'in the work directory; if there is none yet, start as without --resume',
    )
    parser.add_argument(
        '--amp',
        nargs='?',
        const='bf16',
        choices=['bf16', 'fp16'],
        help='automatic mixed precision, by default bf16; on GPUs and CPUs',
    )
    parser.add_argument(
        '--no-validate', action='store_true', help='do not validate while training'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the total batch size divided by the '
        "config's auto_scale_lr.base_batch_size",
    )
    parser.add_argument('--seed', type=int, help='random seed')
    parser.add_argument(
        '--diff-rank-seed',
        action='store_true',
        help='give every process its own seed',
    )
    parser.add_argument(
        '--deterministic', action='store_true', help='deterministic CUDNN algorithms'
    )
    return parser.parse_args()


def merge_args(cfg, args):
    """Apply the options that only exist for training."""
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.resume:
        set_resume(cfg, args.resume)
    if args.amp:
        use_amp(cfg.optim_wrapper, args.amp)
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise UsageError(
                '--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) '
                f'in {args.config}'
            )
        cfg.auto_scale_lr.enable = True
    check_schedules(cfg)
    randomness = {'seed': None, **(cfg.get('randomness') or {})}
    if args.seed is not None:
        randomness['seed'] = args.seed
    for flag in ('diff_rank_seed', 'deterministic'):
        if getattr(args, flag):
            randomness[flag] = True
    cfg.randomness = randomness


def set_resume(cfg, checkpoint):
    """Resume from a checkpoint, the newest in a folder, or ('auto') in the work dir."""
    cfg.resume = 'auto' if checkpoint == 'auto' else True
    if checkpoint != 'auto':
        cfg.load_from = newest_of(checkpoint)


def use_amp(optim_wrapper, dtype):
    """Change an OptimWrapper config to mixed precision."""
    name = optim_wrapper.get('type', 'OptimWrapper')
    name = getattr(name, '__name__', name)
    if name not in (*AMP, *AMP.values()):
        raise UsageError(f'--amp cannot change an optim_wrapper of type {name}')
    optim_wrapper.type = AMP.get(name, name)
    if dtype == 'bf16':  # has the range of float32, so no loss scaling
        optim_wrapper.update(dtype='bfloat16', loss_scale=dict(enabled=False))
    else:
        optim_wrapper.update(dtype='float16', loss_scale='dynamic')


def main():
    args = parse_args()
    cfg = load_config(args)
    merge_args(cfg, args)
    check_blending(cfg)
    validate = ('val_dataloader',) if cfg.get('val_cfg') else ()
    check_initial_weights(cfg.get('model'))
    needed = cfg.copy()
    if cfg.resume == 'auto' and checkpoints(cfg.work_dir):
        needed.load_from = None
    loaders = ('train_dataloader', *validate)
    check_files(needed, loaders)
    limit_labels(cfg, loaders)
    hold_work_dir(cfg)
    train(check_batches(build_runner(cfg)))


if __name__ == '__main__':
    run_tool(main)
