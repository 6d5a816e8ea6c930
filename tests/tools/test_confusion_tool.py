"""Results are explained, and compared, by the tools."""

import csv
import pickle

import pytest
import torch

from tests.conftest import DEMO_CONFIG


def result(label, predicted, classes=8, **more):
    score = torch.full((classes,), 0.0625)
    score[predicted] = 1 - 0.0625 * (classes - 1)
    return dict(pred_score=score, pred_label=torch.tensor([predicted]),
                gt_label=torch.tensor([label]), **more)  # fmt: skip


def dump(path, results):
    path.write_bytes(pickle.dumps(results))
    return path


def rows(path):
    with open(path, newline='') as file:
        return list(csv.DictReader(file))


@pytest.fixture
def predictions(clips, tmp_path):
    """Result of the demo's eight clips: two mistakes, one broken sample."""
    lines = (clips / 'val_videos.txt').read_text().splitlines()
    files, labels = zip(*(line.rsplit(' ', 1) for line in lines))
    labels = [int(label) for label in labels]
    wrong = {0: (labels[0] + 1) % 8, 3: (labels[3] + 1) % 8}
    results = [
        result(label, wrong.get(i, label), file=str(clips / file))
        for i, (file, label) in enumerate(zip(files, labels))
    ]
    results[5]['gt_label'] = torch.tensor([-1])
    return dump(tmp_path / 'result.pkl', results)


def test_confused_classes(tool, predictions, clips, tmp_path):
    out = tmp_path / 'confusion'
    process = tool('analysis/confusion.py', predictions, '--classes', 'demo_clips')
    first, broken, *pairs, last = process.stdout.splitlines()
    assert first.startswith('top-1 0.625, mean over the classes ')
    assert first.endswith(' on 8 clips')
    assert broken.startswith('1 broken: ')
    assert len(pairs) == 2
    assert all(' -> ' in pair and ': 1 of ' in pair for pair in pairs)
    assert last == f'pictures and tables: {out}'
    assert {path.name for path in out.iterdir()} == {
        *('matrix.png', 'classes.png', 'pairs.png', 'mistakes.png'),
        *('matrix.csv', 'classes.csv', 'pairs.csv', 'mistakes.csv'),
    }
    mistakes = rows(out / 'mistakes.csv')
    assert [row['sample'] for row in mistakes] == ['0', '3']
    assert mistakes[0]['score'] == '0.5625'
    assert mistakes[0]['file'].startswith(f'{clips}/')
    assert sum(int(row['samples']) for row in rows(out / 'classes.csv')) == 7
    assert [row['samples'] for row in rows(out / 'pairs.csv')] == ['1', '1']
    matrix = rows(out / 'matrix.csv')
    assert sum(int(n) for row in matrix for k, n in row.items() if k != 'class') == 7


def test_clips_of_the_config(tool, predictions, demo_options, tmp_path):
    def run(results, **options):
        return tool(
            'analysis/confusion.py', results, '--config', DEMO_CONFIG,
            *demo_options(), '--out', tmp_path / 'out', **options,
        )  # fmt: skip

    assert ' -> ' in run(predictions).stdout
    row = rows(tmp_path / 'out' / 'classes.csv')[0]
    assert not row['class'].startswith('class ')  # the dataset's names

    results = pickle.loads(predictions.read_bytes())
    shifted = dump(tmp_path / 'shifted.pkl', [*results[1:], results[0]])
    process = run(shifted, check=False)
    assert process.returncode == 2
    assert "in the config's test set" in process.stderr


def test_results_that_cannot_be_explained(tool, tmp_path):
    several = dict(result(0, 0), gt_label=torch.tensor([0, 1]))
    for results, options, reason in (
        ([several], (), 'several labels'),
        ([result(0, 0)], ('--classes', 'kinetics400'), '400 class names, but'),
    ):
        file = dump(tmp_path / 'bad.pkl', results)
        process = tool('analysis/confusion.py', file, *options, check=False)
        assert process.returncode == 2
        assert reason in process.stderr
        assert len(process.stderr.splitlines()) == 1


def test_two_results(tool, tmp_path):
    pairs = [(0, 0, 0), (0, 1, 0), (1, 0, 1), (1, 0, 1), (2, 2, 3), (3, 0, 1)]
    a = dump(tmp_path / 'a.pkl', [result(label, a, 4) for label, a, _ in pairs])
    b = [result(label, b, 4, file=f'{i}.mp4') for i, (label, _, b) in enumerate(pairs)]
    b = dump(tmp_path / 'b.pkl', [*b[:-1], result(-1, 0, 4)])
    out = tmp_path / 'out'
    process = tool('analysis/compare_results.py', a, b, '--out', out)
    assert process.stdout.splitlines() == [
        'top-1 0.333 (A), 0.667 (B) on 6 clips',
        'both wrong: 0',
        'only A right: 1',
        'only B right: 3',
        'both right: 1',
        'broken in A or B: 1, which are left out of these',
        "McNemar's test: p = 0.625",
        f'changed clips and picture: {out}',
    ]
    changed = rows(out / 'changed.csv')
    assert [(row['sample'], row['file'], row['outcome']) for row in changed] == [
        ('1', '1.mp4', 'only B right'),
        ('2', '2.mp4', 'only B right'),
        ('3', '3.mp4', 'only B right'),
        ('4', '4.mp4', 'only A right'),
    ]
    assert (changed[0]['A'], changed[0]['B']) == ('class 1', 'class 0')
    assert (out / 'changes.png').stat().st_size > 10_000

    other = dump(tmp_path / 'other.pkl', [result(1, 1, 4)] * 6)
    process = tool('analysis/compare_results.py', a, other, check=False)
    assert process.returncode == 2
    assert 'sample 0 has label 0 in A and 1 in B' in process.stderr
