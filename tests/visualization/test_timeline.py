"""The picture of a long video."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from mmaction_videomambapro.visualization import timeline
from mmaction_videomambapro.visualization.timeline import (
    Thumbnails,
    clock,
    draw_timeline,
)

NAMES = [
    'tea',
    '打太极拳',
    'a $long$\nname ' * 9,
    '_milk',
    *(f'{i}' for i in range(20)),
]


def thumbnails(duration=10.0, shape=(36, 64, 3), frames=100):
    found = Thumbnails(duration)
    for i in range(frames):
        found.add(i * duration / frames, np.full(shape, i % 256, np.uint8))
    return found


@pytest.fixture
def drawn(monkeypatch):
    """The figure, and not the file, which takes longer."""
    figures: list[Figure] = []
    monkeypatch.setattr(timeline, 'save', lambda figure, out: figures.append(figure))
    return figures


def texts(axis):
    return [text.get_text() for text in axis.texts]


def test_thumbnails_are_few_and_spread_evenly():
    found = thumbnails(duration=3600, shape=(720, 1280, 3), frames=500)
    assert len(found) == timeline.MOST
    assert found.row(1)[0].shape == (144, 256, 3)
    found = thumbnails(10)
    shown = [int(frame[0, 0, 0]) for frame in found.row(5)]
    assert np.abs(np.subtract(shown, [10, 30, 50, 70, 90])).max() <= 3


def test_labels_stand_in_their_segments_where_they_fit(drawn):
    times, scores = np.arange(11.0), np.random.default_rng(0).random((10, 24))
    segments = [
        {'start': 0.0, 'end': 4.0, 'class': 1, 'score': 0.9},
        {'start': 4.0, 'end': 4.01, 'class': 0, 'score': 0.5},
        {'start': 5.0, 'end': 7.0, 'class': 2, 'score': 0.5},
    ]
    draw_timeline(thumbnails(), times, scores, segments, NAMES, 'x.png', curves=4)
    pictures, bars, curves = drawn[0].axes
    assert len(pictures.images) >= 4
    assert [p.get_x() for p in bars.patches] == [0, 4, 5]
    whole, cut = texts(bars)
    assert whole == '打太极拳'
    assert cut.startswith('a $long$')
    assert cut.endswith('…')
    legend = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert legend[0] == '打太极拳'  # the longest segment first
    assert legend[1].startswith('a $long$')
    assert legend[2] == 'tea'
    assert len(legend) == len(curves.lines) == 4
    colours = {line.get_label(): line.get_color() for line in curves.lines}
    assert bars.patches[0].get_facecolor()[:3] == to_rgb(colours['打太极拳'])


def test_classes_without_a_curve_are_grey(drawn):
    times, scores = np.arange(11.0), np.random.default_rng(0).random((10, 24))
    segments = [{'start': i, 'end': i + 1, 'class': i, 'score': 0.5} for i in range(10)]
    draw_timeline(thumbnails(), times, scores, segments, NAMES, 'x.png', curves=2)
    legend = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert legend[0] == 'tea'
    assert legend[2:] == ['other classes']
    colours = [bar.get_facecolor()[:3] for bar in drawn[0].axes[1].patches]
    assert colours[2:] == [to_rgb(timeline.OTHERS)] * 8


@pytest.mark.parametrize('steps', [0, 1, 3])
def test_little_or_nothing_known(tmp_path, steps):
    """As of a video all of whose windows are broken."""
    times = np.arange(steps + 1.0) if steps else np.empty(0)
    scores = np.full((steps, 24), np.nan)
    scores[1:, 3] = 0.7
    out = tmp_path / 'x.png'
    draw_timeline(thumbnails(3, frames=0), times, scores, [], NAMES, out, title='$a\n')
    assert out.read_bytes().startswith(b'\x89PNG')


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [(0, '0:00'), (9.96, '0:10'), (0.5, '0:00.5'), (75, '1:15'), (3661, '1:01:01')],
)
def test_clock(seconds, text):
    assert clock(seconds) == text
