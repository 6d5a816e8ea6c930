"""Pictures of confused classes are readable, whether classes are few or many."""

import numpy as np
import pytest
import torch
from PIL import Image

from mmaction_videomambapro.datasets.classes import read_classes
from mmaction_videomambapro.datasets.videos import VideoError
from mmaction_videomambapro.visualization import confusion, mistakes, pictures


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    figures = []

    def save(figure, out):
        pictures.save(figure, out)
        figures.append(figure)

    monkeypatch.setattr(confusion, 'save', save)
    monkeypatch.setattr(mistakes, 'save', save)
    return figures


def ticks(labels):
    return [label.get_text() for label in labels]


def written(axes):
    """Numbers in the cells of a matrix, by row and column."""
    found = {}
    for text in axes.texts:
        column, row = text.get_position()
        found[row, column] = text.get_text()
    return found


def overlapping(texts):
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    return [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]


def many(classes=400, wrong=3):
    """A matrix in which each class is now and then taken for the next one."""
    matrix = np.diag([20 - wrong] * classes)
    matrix[np.arange(classes), np.roll(np.arange(classes), -1)] = wrong
    return matrix


def test_a_small_matrix_is_shown_in_full(drawn, tmp_path):
    matrix = np.array([[8, 0, 2], [0, 0, 0], [999, 0, 1]])
    names = ['$x', 'a', 'b' * 50]
    confusion.draw_matrix(matrix, names, tmp_path / 'matrix.png')
    (axes,) = drawn[0].axes
    shown = 'b' * 31 + '…'
    rows = ticks(axes.get_yticklabels())
    assert sorted(rows) == ['$x (10)', 'a (0)', f'{shown} (1000)']
    x, b = rows.index('$x (10)'), rows.index(f'{shown} (1000)')
    cells = written(axes)
    assert (cells[x, x], cells[x, b], cells[b, x], cells[b, b]) == (
        '80', '20', '100', '<1',
    )  # fmt: skip
    assert len(cells) == 5  # and 0 % of the class without samples


def test_of_many_classes_the_most_confused_are_shown(drawn, tmp_path):
    names, matrix = read_classes('kinetics400'), many()
    matrix[300, 7] = 9
    confusion.draw_matrix(matrix, names, tmp_path / 'matrix.png')
    (axes,) = drawn[0].axes
    rows, columns = ticks(axes.get_yticklabels()), ticks(axes.get_xticklabels())
    assert len(rows) == confusion.BLOCK
    assert columns == [*(row.rpartition(' (')[0] for row in rows), 'all other classes']
    assert f'{names[300]} (29)' in rows
    assert '30 of 400 classes' in drawn[0].get_suptitle()
    for labels in (axes.get_xticklabels(), axes.get_yticklabels(), axes.texts):
        assert not overlapping(labels)


def test_worst_and_best_of_many_classes(drawn, tmp_path):
    names, matrix = read_classes('kinetics400'), many()
    matrix[7] = 0
    matrix[7, 9] = 4
    matrix[8] = 0  # no samples
    matrix[9] = 0
    matrix[9, 9] = 5
    confusion.draw_classes(matrix, names, tmp_path / 'classes.png')
    worst, best = drawn[0].axes
    assert worst.get_title(loc='left') == 'The worst 20 of 399 classes'
    assert ticks(worst.get_yticklabels())[0] == f'{names[7]} (4)'
    assert worst.texts[0].get_text() == f'0 %, most mistakes as {names[9]} (4)'
    assert ticks(best.get_yticklabels())[0] == f'{names[9]} (5)'
    assert best.texts[0].get_text() == '100 %'
    for axes in (worst, best):
        assert not overlapping(axes.get_yticklabels())


def test_few_classes_are_drawn_once(drawn, tmp_path):
    confusion.draw_classes(many(8), [f'c{i}' for i in range(8)], tmp_path / 'c.png')
    assert len(drawn[0].axes) == 1
    assert len(drawn[0].axes[0].get_yticklabels()) == 8


def test_pairs_say_how_many_of_how_many(drawn, tmp_path):
    matrix = np.array([[8, 2, 0], [3, 17, 0], [0, 0, 4]])
    confusion.draw_pairs(matrix, ['a', 'b', 'c'], tmp_path / 'pairs.png')
    (axes,) = drawn[0].axes
    assert ticks(axes.get_yticklabels()) == ['b → a', 'a → b']
    assert [text.get_text() for text in axes.texts] == [
        ' 3 of 20, 2 in reverse', ' 2 of 10, 3 in reverse',
    ]  # fmt: skip


def test_nothing_confused_and_nothing_changed_is_drawn(tmp_path):
    perfect, names = np.diag([2] * 50), [f'c{i}' for i in range(50)]
    labels = np.arange(50)
    for draw, *arguments in (
        (confusion.draw_matrix, perfect, names),
        (confusion.draw_pairs, perfect, names),
        (confusion.draw_classes, perfect, names),
        (confusion.draw_changes, labels, np.full(50, 3), names, 'no change'),
        (mistakes.draw_mistakes, [mistake(0, 0)], None, names),
    ):
        draw(*arguments, out=tmp_path / 'picture.png')
        assert Image.open(tmp_path / 'picture.png').width > 300


def test_gains_and_losses_are_those_of_each_class(drawn, tmp_path):
    labels, outcomes = np.array([0, 0, 1, 1, 2, 3]), np.array([1, 1, 1, 2, 2, 0])
    names = ['a', 'b', 'c', 'd']
    confusion.draw_changes(labels, outcomes, names, 'title', tmp_path / 'c.png')
    below = drawn[0].axes[1]
    assert ticks(below.get_yticklabels()) == ['c', 'b', 'a']  # the most gained first
    widths = [bar.get_width() for bar in below.patches]
    assert widths == [0, -1, -2, 1, 1, 0]
    legend = [text.get_text() for text in drawn[0].legends[0].texts]
    assert legend == ['both right: 0', 'only B right: 2', 'only A right: 3',
                      'both wrong: 1']  # fmt: skip


def mistake(label, predicted, **more):
    score = torch.tensor([0.125, 0.125, 0.125])
    score[predicted] = 0.75
    return dict(pred_score=score, pred_label=torch.tensor([predicted]),
                gt_label=torch.tensor([label]), **more)  # fmt: skip


def test_mistakes_have_frames_or_a_reason(drawn, tmp_path):
    def clips(i):
        if i == 1:
            raise VideoError('x.mp4 cannot be decoded')
        return np.full((3, 9, 16, 3), 10 * i, np.uint8)

    results = [
        mistake(0, 0),
        mistake(0, 1, file='x.mp4'),
        mistake(1, 2, file='d/$.mp4'),
    ]
    mistakes.draw_mistakes(results, clips, ['a', 'b', 'c'], tmp_path / 'm.png')
    assert [text.get_text() for text in drawn[0].texts] == [
        'b (0.75), should be a (0.12)    x.mp4',
        'not shown: x.mp4 cannot be decoded',
        'c (0.75), should be b (0.12)    $.mp4',
        'The most certain mistakes: 2 of 2',
    ]
    assert len(drawn[0].axes) == mistakes.FRAMES
    assert all(axes.images[0].get_array().max() == 20 for axes in drawn[0].axes)


def test_frames_of_named_files(clips):
    file = sorted((clips / 'videos/val').iterdir())[0]
    read = mistakes.clips_of_files([mistake(0, 1, file=str(file))])
    frames = read(0)
    assert frames.shape[0] == mistakes.FRAMES
    assert len(np.unique(frames.reshape(len(frames), -1), axis=0)) > 1
    for bad in ('nowhere.mp4', str(clips), 'http://localhost/x.mp4', 'a\0b', 5, None):
        with pytest.raises((VideoError, OSError), match='give --config'):
            mistakes.clips_of_files([mistake(0, 1, file=bad)])(0)
