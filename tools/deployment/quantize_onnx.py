"""Make a smaller file of an exported model, and say how accurate it is."""

import argparse
import os

from mmaction_videomambapro.apis.cli import check_output, needing, run_tool


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'model', metavar='IN.onnx', help='file that export_onnx.py wrote'
    )
    parser.add_argument('out', metavar='OUT.onnx')
    parser.add_argument(
        '--to',
        choices=['int8', 'float16', 'bfloat16'],
        required=True,
        help='how weights are stored; everything is computed in float32',
    )
    parser.add_argument(
        '--video',
        help='whose frames prove the file; default: the first of LIST, or a clip that '
        'is drawn',
    )
    parser.add_argument(
        '--check',
        metavar='LIST',
        help='videos and labels: compare the accuracy of both files',
    )
    parser.add_argument(
        '--root',
        default='',
        help='folder in front of the paths of LIST; default: they are relative to the '
        'working directory, or else to LIST',
    )
    args = parser.parse_args()
    if not args.out.endswith('.onnx'):
        parser.error('OUT must end in .onnx')
    return args


def main():
    args = parse_args()
    check_output(args.out, 'OUT')
    with needing('onnx'):
        from mmaction_videomambapro.apis.quantize import check, labelled, quantize
        from mmaction_videomambapro.deploy.session import OnnxModel
    video, samples = args.video, None
    if args.check:
        samples = labelled(args.check, args.root, OnnxModel(args.model))
        video = video or samples.inputs[0].name
    metadata = quantize(args.model, args.out, args.to, video)
    ratio = os.path.getsize(args.out) / os.path.getsize(args.model)
    errors = ', '.join(
        f'{x:.1e} on {kind} frames' for kind, x in metadata.error.items()
    )
    print(
        f'{args.out}: {args.to}, {ratio:.2f} x the size; differs from float32 by '
        f'{errors}',
        flush=True,
    )
    if samples is None:
        return
    print(f'{"":10} {"MB":>7} {"top-1":>7} {"top-5":>7} {"ms/video":>9}')
    for x in check(samples, [args.model, args.out]):
        print(
            f'{x.precision:10} {x.megabytes:7.2f} {x.top1:7.1%} {x.top5:7.1%} '
            f'{x.milliseconds:9.1f}'
        )


if __name__ == '__main__':
    run_tool(main)
