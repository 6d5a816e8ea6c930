"""Open a page in the browser that says what happens in videos."""

import argparse

from mmaction_videomambapro.apis.cli import add_classes, needing, run_tool


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'models',
        nargs='+',
        metavar='MODEL',
        help='as for tools/predict.py; several answer side by side',
    )
    parser.add_argument(
        '--weights', nargs='+', help='checkpoints, one per MODEL, if these are not ones'
    )
    add_classes(parser)
    parser.add_argument(
        '--top', type=int, default=5, help='classes to name; default: 5'
    )
    parser.add_argument('--device', help='such as cpu or cuda:1; default: a GPU')
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to serve at; default: 127.0.0.1, for this machine only; 0.0.0.0 '
        'lets everyone in who reaches this machine',
    )
    parser.add_argument(
        '--port', type=int, default=7860, help='default: 7860; 0: any that is free'
    )
    parser.add_argument(
        '--max-size', type=float, default=200, metavar='MB',
        help='largest video to take; default: 200',
    )  # fmt: skip
    args = parser.parse_args()
    if args.weights and len(args.weights) != len(args.models):
        parser.error('--weights must be as many as the models')
    if args.top < 1:
        parser.error('--top must be at least 1')
    if not args.max_size > 0:
        parser.error('--max-size must be above 0')
    return args


def main():
    args = parse_args()
    with needing('page'):
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401

    from mmaction_videomambapro.apis.inferencer import VideoInferencer
    from mmaction_videomambapro.apis.page.app import listen, name_models, serve

    listen(args.host, args.port).close()  # before models are loaded
    weights = args.weights or [None] * len(args.models)
    models = {
        name: VideoInferencer(model, file, args.device, args.classes)
        for name, model, file in zip(name_models(args.models), args.models, weights)
    }
    serve(models, args.host, args.port, args.max_size, args.top)


if __name__ == '__main__':
    run_tool(main)
