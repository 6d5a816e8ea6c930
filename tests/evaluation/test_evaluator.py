"""Broken samples and failing metrics do not affect the results of the others."""

import mmengine
import pytest
import torch
from mmaction.evaluation import AccMetric, ConfusionMatrix
from mmaction.structures import ActionDataSample
from mmengine.evaluator import BaseMetric, DumpResults, Evaluator

from mmaction_videomambapro.evaluation import evaluator as module
from mmaction_videomambapro.evaluation.evaluator import EvaluationError
from mmaction_videomambapro.evaluation.results import accuracies, load_results


def sample(scores, label, file='a.mp4'):
    data = ActionDataSample(metainfo=dict(file=file))
    scores = torch.tensor(scores, dtype=torch.float32)
    data.set_gt_label(label).set_pred_score(scores)
    return data.set_pred_label(scores.argmax(keepdim=True))


SAMPLES = [
    sample([0.9, 0.1, 0.0], 0),
    sample([0.8, 0.1, 0.1], -1),  # broken
    sample([0.1, 0.7, 0.2], 1),
    sample([0.6, 0.2, 0.2], 2),
]


class Failing(BaseMetric):
    default_prefix = 'mine'

    def __init__(self, at='compute'):
        super().__init__()
        self.at = at

    def process(self, data_batch, data_samples):
        if self.at == 'process' and len(self.results) > 1:
            raise KeyError('no such key')
        self.results += list(data_samples)

    def compute_metrics(self, results):
        raise ValueError('two\nlines')


def evaluate(metrics, samples=SAMPLES, batch=2):
    evaluator = Evaluator(metrics)
    for i in range(0, len(samples), batch):
        evaluator.process(samples[i : i + batch], None)
    return evaluator.evaluate(len(samples))


@pytest.mark.parametrize('batch', [1, 2, 3, 4])
def test_broken_samples_are_wrong_in_accuracies_and_left_out_elsewhere(tmp_path, batch):
    dump = DumpResults(str(tmp_path / 'r.pkl'))
    metrics = evaluate([AccMetric(), ConfusionMatrix(), dump], batch=batch)
    assert metrics['acc/top1'] == 2 / 4
    assert metrics['acc/mean1'] == pytest.approx(3 / 4 * (1 + 1 + 0) / 3)
    expected = [[1, 0, 0], [0, 1, 0], [1, 0, 0]]
    assert metrics['confusion_matrix/result'].tolist() == expected
    results = mmengine.load(tmp_path / 'r.pkl')
    assert [int(r['gt_label']) for r in results] == [0, -1, 1, 2]
    in_the_zoo = accuracies(load_results(tmp_path / 'r.pkl'))
    assert in_the_zoo['Mean Class Accuracy'] == pytest.approx(50)
    assert results[0]['file'] == 'a.mp4'


def test_broken_samples_of_several_labels_are_left_out_of_their_mean():
    samples = [
        sample([0.9, 0.8, 0.1], [1, 1, 0]),
        sample([0.9, 0.8, 0.1], [0, 0, 0]),  # broken
    ]
    metrics = ('mean_average_precision', 'mmit_mean_average_precision')
    result = evaluate([AccMetric(metrics)], samples)
    assert result['acc/mmit_mean_average_precision'] == 1
    # a sample of none of the labels costs precision
    assert 0 < result['acc/mean_average_precision'] < 1


@pytest.mark.parametrize('at', ['process', 'compute'])
def test_a_metric_that_fails_loses_nothing_of_the_others(tmp_path, at, monkeypatch):
    logged = []
    monkeypatch.setattr(module, 'print_log', lambda text, *_: logged.append(text))
    dump = DumpResults(str(tmp_path / 'r.pkl'))
    with pytest.raises(
        EvaluationError, match=r'1 of the metrics failed, Failing: '
    ) as e:
        evaluate([Failing(at), AccMetric(), dump])
    assert '\n' not in str(e.value)
    assert len(mmengine.load(tmp_path / 'r.pkl')) == 4
    assert 'acc/top1: 0.5' in logged


def test_a_metric_without_any_sound_sample_says_so():
    with pytest.raises(
        EvaluationError, match='ConfusionMatrix: all samples are broken'
    ):
        evaluate([ConfusionMatrix()], [sample([0.5, 0.5], -1)])


def test_a_dump_that_cannot_be_written_is_a_failure(tmp_path, monkeypatch):
    path = tmp_path / 'r.pkl'
    path.write_bytes(b'the last one')

    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('pickle.dump', full)
    with pytest.raises(EvaluationError, match=r'DumpResults: OSError: .*No space'):
        evaluate([AccMetric(), DumpResults(str(path))])
    assert path.read_bytes() == b'the last one'
    assert [p.name for p in tmp_path.iterdir()] == ['r.pkl']


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_scores_that_are_not_finite_end_it_with_the_file(value):
    bad = sample([value, 0.5, 0.5], 1, 'videos/b.mp4')
    with pytest.raises(
        EvaluationError, match=r'scores of videos/b\.mp4 are not finite'
    ):
        evaluate([AccMetric()], [*SAMPLES, bad])
