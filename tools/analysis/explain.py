"""Draw what in a video speaks for the model's answer, and what against it."""

import argparse

from mmaction_videomambapro.apis.cli import add_classes, check_output, run_tool
from mmaction_videomambapro.errors import UsageError


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('model', help='as for tools/predict.py')
    parser.add_argument('video', help='a video, or a folder of its frames')
    parser.add_argument(
        '--out',
        required=True,
        help='a picture, or a film if it ends in .mp4',
    )
    parser.add_argument(
        '--method',
        default='lrp',
        help='lrp, gradient, gradcam, rollout or random; default: lrp',
    )
    parser.add_argument(
        '--class',
        dest='target',
        metavar='CLASS',
        help='a name or a number; default: the best answer',
    )
    parser.add_argument(
        '--layers', action='store_true', help='draw a row for each of a few layers'
    )
    parser.add_argument('--weights', help='checkpoint, if MODEL is not one')
    add_classes(parser)
    parser.add_argument('--device', help='such as cpu or cuda:1; default: a GPU')
    return parser.parse_args()


def main():
    args = parse_args()
    check_output(args.out, '--out')
    from mmaction_videomambapro.visualization.heat_maps import check_ending

    check_ending(args.out)
    from mmengine.logging import MMLogger

    from mmaction_videomambapro.apis.explanation import explain
    from mmaction_videomambapro.apis.inferencer import VideoInferencer
    from mmaction_videomambapro.apis.inputs import find_inputs

    MMLogger.get_current_instance().setLevel('WARNING')  # it logs to stdout
    inputs = find_inputs(args.video)
    if len(inputs) != 1:
        raise UsageError(f'{args.video} has {len(inputs)} videos: name one of them')
    inferencer = VideoInferencer(args.model, args.weights, args.device, args.classes)
    found = explain(inferencer, inputs[0], args.target, args.method, args.layers)
    found.save(args.out)
    print(f'{found.score:6.1%}  {found.label}: {args.out}')


if __name__ == '__main__':
    run_tool(main)
