"""Say what happens in videos, in a long video over time, or in front of a camera."""

import argparse
from functools import partial

from mmaction_videomambapro.apis.cli import (
    add_classes,
    add_config_options,
    check_output,
    run_tool,
)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'model',
        help='checkpoint or work directory, which know their config; a config, or the '
        'name of a model in the zoo; or an .onnx file',
    )
    parser.add_argument(
        'videos',
        nargs='*',
        metavar='VIDEO',
        help='video, folder of videos, folder of frames, list, URL, or pattern such as '
        '"*.mp4"',
    )
    parser.add_argument('--weights', help='checkpoint, if MODEL is not one')
    add_classes(parser)
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
        '--batch-size', type=int, help='videos or windows at once; default: as in tests'
    )
    parser.add_argument('--device', help='such as cpu or cuda:1; default: a GPU')
    parser.add_argument(
        '--amp',
        nargs='?',
        const='auto',
        choices=['auto', 'bf16', 'fp16'],
        help='mixed precision; auto, the default value, tries bf16 on the first batch '
        'and takes it if it is faster and the scores agree',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='who started the processes, which share the videos',
    )
    add_config_options(parser)

    time = parser.add_argument_group('over time')
    time.add_argument(
        '--over-time', action='store_true', help='say what happens when in each video'
    )
    time.add_argument(
        '--window',
        type=float,
        metavar='SECONDS',
        help='what the model sees at once; default: its clip, or 10 s if it takes a '
        'fixed number of frames from a whole video',
    )
    time.add_argument(
        '--stride',
        type=float,
        metavar='SECONDS',
        help='from one window to the next; default: half a window',
    )
    time.add_argument(
        '--min-score', type=float, default=0.0, help='lowest score of a segment'
    )
    time.add_argument(
        '--picture', metavar='FILE.png', help='draw the segments of one video'
    )
    time.add_argument(
        '--video', metavar='FILE.mp4', help='write one video with its segments in it'
    )
    time.add_argument(
        '--camera',
        metavar='SOURCE',
        help='watch a camera (a number), a stream (a URL), or a file that plays one',
    )
    args = parser.parse_args()
    for name in ('top', 'batch_size', 'window', 'stride'):
        value = getattr(args, name)
        if value is not None and value <= 0:
            parser.error(f'--{name.replace("_", "-")} must be above 0')
    if (args.picture or args.video) and len(args.videos) > 1:
        parser.error('--picture and --video take one video')
    if bool(args.videos) == bool(args.camera):
        parser.error('name videos, or a --camera')
    return args


def main():
    args = parse_args()
    for option in ('out', 'picture', 'video'):
        if getattr(args, option):
            check_output(getattr(args, option), f'--{option}')

    from mmengine.dist import init_dist
    from mmengine.logging import MMLogger

    from mmaction_videomambapro.apis.inferencer import VideoInferencer

    MMLogger.get_current_instance().setLevel('WARNING')  # it logs to stdout
    if args.launcher != 'none':
        init_dist(args.launcher)
    inferencer = VideoInferencer(
        args.model, args.weights, args.device, args.classes, args.cfg_options, args.amp
    )
    (watch if args.camera else answer)(inferencer, args)


def watch(inferencer, args):
    from mmaction_videomambapro.apis.camera import status_line
    from mmaction_videomambapro.apis.camera import watch as answers

    try:
        for result, latency, rate, _ in answers(
            inferencer, args.camera, args.window, args.stride or 0, args.top
        ):
            print(end=status_line(result, latency, rate), flush=True)
    finally:
        print()


def answer(inferencer, args):
    from mmaction_videomambapro.apis.inputs import find_inputs
    from mmaction_videomambapro.apis.over_time import answers_over_time
    from mmaction_videomambapro.apis.predict import origin_of, predict

    inputs = find_inputs(args.videos, args.root, inferencer.classes)
    batch_size = args.batch_size or inferencer.batch_size
    options = dict(batch_size=batch_size, top=args.top)
    ask, shared = inferencer.answers, batch_size
    if args.over_time or args.picture or args.video:
        for name in ('window', 'stride', 'min_score', 'picture', 'video'):
            options[name] = getattr(args, name)
        ask, shared = partial(answers_over_time, inferencer), 1
    origin = origin_of(
        inferencer.weights,
        **options,
        **{name: getattr(args, name) for name in ('model', 'classes', 'amp')},
        cfg_options=args.cfg_options,
    )
    predict(partial(ask, **options), inputs, shared, args.out, origin)


if __name__ == '__main__':
    run_tool(main)
