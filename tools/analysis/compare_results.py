"""Compare two results on the same clips: what changed, and whether it is chance."""

import argparse
import os.path as osp

from mmaction_videomambapro.apis.cli import add_classes, run_tool
from mmaction_videomambapro.datasets.classes import read_classes
from mmaction_videomambapro.evaluation import comparison
from mmaction_videomambapro.evaluation.confusion import labels_and_predictions
from mmaction_videomambapro.evaluation.results import load_results, top_k
from mmaction_videomambapro.evaluation.tables import names_for, write_changes
from mmaction_videomambapro.visualization.confusion import draw_changes


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('a', help='A.pkl of tools/test.py --dump')
    parser.add_argument('b', help='B.pkl, of the same test set')
    add_classes(parser, default='numbers')
    parser.add_argument('--out', help='folder; default: comparison beside B.pkl')
    args = parser.parse_args()
    out = args.out or osp.join(osp.dirname(args.b), 'comparison')
    first, second = load_results(args.a), load_results(args.b)
    outcomes = comparison.compare(first, second)
    classes = read_classes(args.classes) if args.classes else None
    names = names_for(classes, first)
    labels, _ = labels_and_predictions(first)

    counts = [int((outcomes == i).sum()) for i in range(len(comparison.OUTCOMES))]
    chance = comparison.mcnemar(counts[comparison.ONLY_A], counts[comparison.ONLY_B])
    title = (
        f'top-1 {top_k(first, 1):.3f} (A), {top_k(second, 1):.3f} (B) on '
        f'{len(first)} clips'
    )
    test = f"McNemar's test: p = {chance:.3g}"
    print(title)
    for outcome, count in zip(comparison.OUTCOMES, counts):
        print(f'{outcome}: {count}')
    if broken := int((outcomes < 0).sum()):
        print(f'broken in A or B: {broken}, which are left out of these')
    print(test)
    write_changes(osp.join(out, 'changed.csv'), first, second, outcomes, names)
    picture = osp.join(out, 'changes.png')
    draw_changes(labels, outcomes, names, f'{title}; {test}', picture)
    print(f'changed clips and picture: {out}')


if __name__ == '__main__':
    run_tool(main)
