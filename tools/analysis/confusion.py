"""Show which classes are confused, as numbers, tables and pictures."""

import argparse
import os.path as osp

from mmaction_videomambapro.apis.cli import (
    add_classes,
    add_config_options,
    load_config,
    run_tool,
)
from mmaction_videomambapro.datasets.classes import read_classes
from mmaction_videomambapro.engine.checks import check_files
from mmaction_videomambapro.evaluation import confusion, tables
from mmaction_videomambapro.evaluation.results import (
    load_results,
    mean_class_accuracy,
    top_k,
)
from mmaction_videomambapro.visualization.confusion import (
    draw_classes,
    draw_matrix,
    draw_pairs,
)
from mmaction_videomambapro.visualization.mistakes import (
    clips_of_dataset,
    clips_of_files,
    draw_mistakes,
)

PRINTED = 5


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('results', help='RESULT.pkl of tools/test.py --dump')
    add_classes(parser, default='those of the config, if it is given')
    parser.add_argument(
        '--config',
        help='the config that was tested, to show the clips that the model saw; '
        'default: frames of the files that the results name',
    )
    add_config_options(parser)
    parser.add_argument('--out', help='folder; default: confusion beside the results')
    args = parser.parse_args()
    out = args.out or osp.join(osp.dirname(args.results), 'confusion')
    results = load_results(args.results)
    labels, predicted = confusion.labels_and_predictions(results)
    clips, classes = clips_of_files(results), None
    if args.config:
        cfg = load_config(args.config, args.cfg_options)
        check_files(cfg, ('test_dataloader',))
        clips, classes = clips_of_dataset(cfg, results)
    classes = read_classes(args.classes) if args.classes else classes
    names = tables.names_for(classes, results)
    matrix = confusion.confusion_matrix(labels, predicted, len(names))

    scores = [result['pred_score'] for result in results]
    mean = mean_class_accuracy(scores, labels.tolist())
    print(
        f'top-1 {top_k(results, 1):.3f}, mean over the classes {mean:.3f}, '
        f'on {len(results)} clips'
    )
    if broken := int((labels < 0).sum()):
        print(f'{broken} broken: they count as wrong, and are not in what follows')
    for pair in confusion.confused_pairs(matrix)[:PRINTED]:
        reverse = f', {pair.reverse} in reverse' if pair.reverse else ''
        print(
            f'{names[pair.label]} -> {names[pair.predicted]}: '
            f'{pair.samples} of {matrix[pair.label].sum()}{reverse}'
        )
    tables.write_matrix(osp.join(out, 'matrix.csv'), matrix, names)
    tables.write_classes(osp.join(out, 'classes.csv'), matrix, names)
    tables.write_pairs(osp.join(out, 'pairs.csv'), matrix, names)
    tables.write_mistakes(osp.join(out, 'mistakes.csv'), results, names)
    draw_matrix(matrix, names, osp.join(out, 'matrix.png'))
    draw_classes(matrix, names, osp.join(out, 'classes.png'))
    draw_pairs(matrix, names, osp.join(out, 'pairs.png'))
    draw_mistakes(results, clips, names, osp.join(out, 'mistakes.png'))
    print(f'pictures and tables: {out}')


if __name__ == '__main__':
    run_tool(main)
