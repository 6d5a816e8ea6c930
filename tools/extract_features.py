"""Write the features of a frozen backbone to disk, for training probes."""

import argparse

from mmaction_videomambapro.apis.cli import add_config_options, load_config, run_tool
from mmaction_videomambapro.engine.checks import check_files


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='If interrupted, run it again to continue. Train on the features with '
        'configs/recognition/attentive_probe/features/*.py.',
    )
    parser.add_argument('config', help='config of a recognizer, such as a probe')
    parser.add_argument(
        'checkpoint', help='file or URL, from pre-training or of a recognizer'
    )
    parser.add_argument('out_dir', help='folder of the feature cache')
    parser.add_argument(
        '--split',
        choices=['train', 'val', 'test'],
        default='val',
        help='which dataloader to use; default: val',
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='seed of random augmentation; default: 0',
    )
    parser.add_argument(
        '--dtype',
        choices=['float16', 'bfloat16', 'float32'],
        default='float16',
        help='type of the features; default: float16',
    )
    add_config_options(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    cfg = load_config(args.config, args.cfg_options)
    cfg.load_from = args.checkpoint
    check_files(cfg, (f'{args.split}_dataloader',))
    # slow imports, after the arguments were checked
    import torch

    from mmaction_videomambapro.apis.features import extract_features

    cache = extract_features(
        cfg,
        args.checkpoint,
        args.out_dir,
        args.split,
        args.seed,
        getattr(torch, args.dtype),
    )
    print(f'\n{args.out_dir}: features of {cache.num_samples} samples')


if __name__ == '__main__':
    run_tool(main)
