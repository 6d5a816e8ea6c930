"""Say what happens in videos."""

import argparse

from mmaction_videomambapro.apis.cli import (
    add_config_options,
    check_output,
    run_tool,
)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'model',
        help='checkpoint or work directory, which know their config; or a config, or '
        'the name of a model in the zoo',
    )
    parser.add_argument(
        'videos',
        nargs='+',
        metavar='VIDEO',
        help='video, folder of videos, folder of frames, list, URL, or pattern such as '
        '"*.mp4"',
    )
    parser.add_argument('--weights', help='checkpoint, if MODEL is not one')
    parser.add_argument('--classes', help='file of class names in label order')
    parser.add_argument(
        '--top', type=int, default=5, help='classes to name per video; default: 5'
    )
    parser.add_argument(
        '--out',
        metavar='FILE',
        help='write the answers to a .json, .jsonl or .csv file; if interrupted, run '
        'it again to continue',
    )
    parser.add_argument('--root', default='', help="folder in front of lists' paths")
    parser.add_argument(
        '--batch-size', type=int, help='videos at once; default: as in tests'
    )
    parser.add_argument('--device', help='such as cpu or cuda:1; default: a GPU')
    parser.add_argument(
        '--amp', nargs='?', const='bf16', choices=['bf16', 'fp16'],
        help='mixed precision, bf16 unless said otherwise',
    )  # fmt: skip
    add_config_options(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='who started the processes, which share the videos',
    )
    args = parser.parse_args()
    for option in ('top', 'batch_size'):
        value = getattr(args, option)
        if value is not None and value < 1:
            parser.error(f'--{option.replace("_", "-")} must be at least 1')
    return args


def main():
    args = parse_args()
    if args.out:
        check_output(args.out, '--out')

    from mmengine.dist import init_dist

    from mmaction_videomambapro.apis.inferencer import VideoInferencer
    from mmaction_videomambapro.apis.inputs import find_inputs
    from mmaction_videomambapro.apis.predict import origin_of, predict

    if args.launcher != 'none':
        init_dist(args.launcher)
    inferencer = VideoInferencer(
        args.model, args.weights, args.device, args.classes, args.cfg_options, args.amp
    )
    predict(
        inferencer,
        find_inputs(args.videos, args.root, inferencer.classes),
        args.batch_size,
        args.top,
        args.out,
        origin_of(
            inferencer.weights,
            model=args.model,
            classes=args.classes,
            top=args.top,
            batch_size=args.batch_size,
            amp=args.amp,
            options=args.cfg_options,
        ),
    )


if __name__ == '__main__':
    run_tool(main)
