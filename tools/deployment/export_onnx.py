"""Write a recognizer into an ONNX file that needs neither PyTorch nor a config."""

import argparse

from mmaction_videomambapro.apis.cli import (
    add_classes,
    add_config_options,
    check_output,
    needing,
    run_tool,
)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config, or the name of a model in the zoo')
    parser.add_argument('checkpoint', help='file, URL, or work directory')
    parser.add_argument('out', metavar='OUT.onnx')
    parser.add_argument(
        '--lowering',
        choices=['chunked', 'scan', 'linear_attention', 'standard'],
        help='operators of the scan; default: the fastest here',
    )
    parser.add_argument(
        '--features',
        action='store_true',
        help='give what the backbone computes for each view, not scores',
    )
    parser.add_argument(
        '--portable',
        action='store_true',
        help='write what OpenVINO can read, too; a little slower in ONNX Runtime',
    )
    parser.add_argument(
        '--video',
        help='whose frames prove the file; default: the first of the test data, or a '
        'clip that is drawn',
    )
    add_classes(parser)
    add_config_options(parser)
    args = parser.parse_args()
    if not args.out.endswith('.onnx'):
        parser.error('OUT must end in .onnx')
    return args


def main():
    args = parse_args()
    check_output(args.out, 'OUT')

    from mmengine.logging import MMLogger

    from mmaction_videomambapro.apis.inferencer import VideoInferencer

    MMLogger.get_current_instance().setLevel('WARNING')  # it logs to stdout
    with needing('onnx'):
        from mmaction_videomambapro.apis.export import export
    inferencer = VideoInferencer(
        args.config, args.checkpoint, 'cpu', args.classes, args.cfg_options
    )
    metadata = export(
        inferencer,
        args.out,
        args.lowering,
        args.features,
        args.portable,
        args.video,
    )
    scan = f', scan as {metadata.lowering}' if metadata.lowering else ''
    errors = ', '.join(
        f'{x:.1e} on {kind} frames' for kind, x in metadata.error.items()
    )
    print(f'{args.out}{scan}; differs from PyTorch by {errors}')


if __name__ == '__main__':
    run_tool(main)
