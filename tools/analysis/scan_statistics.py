"""Draw how the scans of VideoMamba models use distance, the diagonal and signs."""

import argparse
import os.path as osp

import torch
from mmaction.registry import MODELS
from mmengine.registry import init_default_scope

from mmaction_videomambapro.apis.cli import (
    add_config_options,
    check_output,
    load_config,
    run_tool,
)
from mmaction_videomambapro.apis.inferencer import VideoInferencer
from mmaction_videomambapro.apis.inputs import find_inputs
from mmaction_videomambapro.errors import UsageError
from mmaction_videomambapro.explain.scan_figures import draw_scan_statistics
from mmaction_videomambapro.explain.scan_statistics import scan_statistics
from mmaction_videomambapro.models.backbones import VideoMamba
from mmaction_videomambapro.zoo.metadata import views_of

COLUMNS = dict(
    diagonal='diagonal',
    diagonal_with_skip='with D',
    first_share='first',
    distance='distance',
    states='states',
    channels='channels',
    directions='directions',
    rank='rank',
)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'models',
        nargs='+',
        metavar='MODEL',
        help='checkpoints or work directories, which know their config, or names of '
        'the zoo; or a config and its checkpoints, without any its random weights',
    )
    parser.add_argument(
        '--videos',
        nargs='+',
        metavar='VIDEO',
        help='videos, folders or lists, of which one view each is looked at; default: '
        'a clip of noise',
    )
    parser.add_argument(
        '--clips', type=int, default=4, help='how many of the videos; default: 4'
    )
    parser.add_argument(
        '--tokens', type=int, default=32, help='output tokens to sample; default: 32'
    )
    parser.add_argument('--out', default='scan_statistics.png', help='picture')
    add_config_options(parser)
    return parser.parse_args()


def main():
    args = parse_args()
    check_output(args.out, '--out')
    for option in ('clips', 'tokens'):
        if getattr(args, option) < 1:
            raise UsageError(f'--{option} must be at least 1')
    found = {}
    for name, model, clips in load_models(args):
        backbone = getattr(model, 'backbone', None)
        if not isinstance(backbone, VideoMamba):
            raise UsageError(f'{name}: its backbone is not a VideoMamba(Pro)')
        if len({clip.shape for clip in clips}) > 1:
            raise UsageError(f'{name}: its pipeline makes clips of several sizes')
        seen = f'{len(clips)} clips' if args.videos else 'noise'
        title = f'{name} ({describe(backbone)}; on {seen})'
        found[title] = scan_statistics(backbone, clips, args.tokens)
        print_table(title, found[title])
    draw_scan_statistics(found, args.out)
    print(f'picture: {args.out}')


def describe(backbone):
    """What the model itself has of mask and residual."""
    mixer = backbone.layers[0].mixer
    parts = dict(mask=mixer.masked, residual=mixer.residual)
    return 'has ' + (' and '.join(x for x in parts if parts[x]) or 'neither')


def load_models(args):
    """Yield the name, the model and normalised clips of each."""
    config, *checkpoints = args.models
    if not config.endswith(('.py', '.json', '.yaml', '.yml')):
        pairs = [(model, None) for model in args.models]
    elif checkpoints:
        pairs = [(config, weights) for weights in checkpoints]
    else:
        if args.videos:
            raise UsageError('--videos needs a checkpoint: random weights see noise')
        init_default_scope('mmaction')
        cfg = load_config(config, args.cfg_options)
        torch.manual_seed(0)
        model = MODELS.build(cfg.model).eval()
        model.init_weights()
        name = osp.splitext(osp.basename(config))[0]
        yield f'{name}, random weights', model, [noise(cfg)]
        return
    for model, weights in pairs:
        inferencer = VideoInferencer(
            model, weights, device='cpu', cfg_options=args.cfg_options
        )
        yield weights or model, inferencer.model, look(inferencer, args)


def noise(cfg):
    """A normalised clip of noise, as large as a view of the test pipeline."""
    shape = views_of(cfg).shape[-4:]
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def look(inferencer, args):
    """Normalised clips of the videos: the middle one of each video's views."""
    if not args.videos:
        return [noise(inferencer.cfg)]
    inputs = find_inputs(args.videos, classes=inferencer.classes)
    step = max(len(inputs) // args.clips, 1)
    clips = []
    for source in inputs[::step][: args.clips]:
        data = inferencer.collate_fn([inferencer.pipeline(source)])
        views = inferencer.model.data_preprocessor(data)['inputs'].flatten(0, 1)
        clips.append(views[len(views) // 2])
    return clips


def print_table(title, layers):
    print(title)
    print('layer  mask, residual', *(f'{x:>10}' for x in COLUMNS.values()))
    for i, layer in enumerate(layers, start=1):
        for on, statistics in layer.items():
            cells = (f'{getattr(statistics, x):10.3f}' for x in COLUMNS)
            print(f'{i:5}  {"on" if on else "off":>14}', *cells)


if __name__ == '__main__':
    run_tool(main)
