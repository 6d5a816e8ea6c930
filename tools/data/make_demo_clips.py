"""Generate a small video dataset that can only be solved by motion."""

import argparse

from mmaction_videomambapro.apis.cli import run_tool
from mmaction_videomambapro.datasets.demo_clips import DemoClips
from mmaction_videomambapro.errors import UsageError


def main():
    defaults = DemoClips()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root', help='folder to write, e.g. data/demo_clips')
    parser.add_argument(
        '--train', type=int, default=defaults.train, help='training clips'
    )
    parser.add_argument('--val', type=int, default=defaults.val, help='held-out clips')
    parser.add_argument(
        '--frames', type=int, default=defaults.frames, help='frames per clip'
    )
    parser.add_argument('--seed', type=int, default=defaults.seed, help='random seed')
    parser.add_argument(
        '--plain', action='store_true', help='plain instead of textured background'
    )
    args = parser.parse_args()
    for option, least, most in (
        ('train', 1, 100_000),
        ('val', 0, 100_000),
        ('frames', 1, 10_000),
        ('seed', 0, 2**63),
    ):
        value = getattr(args, option)
        if not least <= value <= most:
            raise UsageError(f'--{option} is {value}, expected {least} to {most}')
    clips = DemoClips(args.train, args.val, args.frames, args.seed, not args.plain)
    made = clips.make(args.root)
    print(f'{args.root}: {"made" if made else "was there already"}')


if __name__ == '__main__':
    run_tool(main)
