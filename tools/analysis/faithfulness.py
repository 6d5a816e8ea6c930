"""Measure how far the maps of a model can be trusted: deletion and insertion."""

import argparse

from mmaction_videomambapro.apis.cli import add_config_options, check_output, run_tool

METHODS = 'lrp', 'gradient', 'gradcam', 'rollout'
ENDINGS = '.png', '.svg', '.pdf', '.csv'


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='On demo clips, whose shapes have known boxes, the share of the '
        'relevance inside them is measured too.',
    )
    parser.add_argument('model', help='as for tools/predict.py')
    parser.add_argument('videos', help='list or folder of videos')
    parser.add_argument('--weights', help='checkpoint, if MODEL is not one')
    parser.add_argument('--root', default='', help="folder in front of lists' paths")
    parser.add_argument(
        '--methods',
        nargs='+',
        choices=METHODS,
        default=METHODS,
        help='default: all; a random order is always measured',
    )
    parser.add_argument(
        '--most',
        type=int,
        default=100,
        help='take so many of them, drawn at random, always the same; default: 100',
    )
    parser.add_argument(
        '--steps', type=int, default=16, help='steps of the curves; default: 16'
    )
    parser.add_argument(
        '--out', help='a picture of the curves (.png, .svg, .pdf), or a table (.csv)'
    )
    parser.add_argument('--device', help='such as cpu or cuda:1; default: a GPU')
    add_config_options(parser)
    args = parser.parse_args()
    for name in ('most', 'steps'):
        if getattr(args, name) < 1:
            parser.error(f'--{name} must be above 0')
    if args.out and not args.out.endswith(ENDINGS):
        parser.error(f'--out must end in {", ".join(ENDINGS)}')
    return args


def main():
    args = parse_args()
    if args.out:
        check_output(args.out, '--out')

    import numpy as np
    from mmengine.logging import MMLogger

    from mmaction_videomambapro.apis.faithfulness import measure, write_table
    from mmaction_videomambapro.apis.inferencer import VideoInferencer
    from mmaction_videomambapro.apis.inputs import find_inputs
    from mmaction_videomambapro.apis.models import resolve
    from mmaction_videomambapro.visualization.faithfulness import draw_faithfulness

    MMLogger.get_current_instance().setLevel('WARNING')  # it logs to stdout
    cfg, _, weights = resolve(args.model, args.weights, args.cfg_options)
    # one view of a video is enough
    cfg.test_dataloader = cfg.get('val_dataloader') or cfg.get('test_dataloader')
    inferencer = VideoInferencer(cfg, weights, args.device)
    inputs = find_inputs(args.videos, args.root, inferencer.classes)
    chosen = np.random.default_rng(0).permutation(len(inputs))[: args.most]
    inputs = [inputs[i] for i in sorted(chosen)]
    found = measure(
        inferencer, inputs, [*dict.fromkeys(args.methods), 'random'], args.steps
    )
    print(f'{len(inputs)} videos, area under the curve of')
    print(f'{"":10}{"deletion":>10}{"insertion":>10}', end='')
    print('  relevance inside the box' if found[0].box else '')
    for one in found:
        print(f'{one.method:10}{one.deletion:10.3f}{one.insertion:10.3f}', end='')
        print(f'{one.inside:7.1%}, {one.times:.2f} times its area' if one.box else '')
    if args.out and args.out.endswith('.csv'):
        write_table(found, args.out)
    elif args.out:
        pairs = {x.method: (x.deletion_curve, x.insertion_curve) for x in found}
        draw_faithfulness(pairs, args.out)


if __name__ == '__main__':
    run_tool(main)
