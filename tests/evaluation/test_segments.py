"""Segments of long videos, against the definitions written out."""

from itertools import pairwise

import numpy as np
import pytest

from mmaction_videomambapro.evaluation.segments import (
    find_segments,
    score_over_time,
    smooth,
)


def random_windows(seed, windows=12, classes=4):
    random = np.random.default_rng(seed)
    starts = np.sort(random.integers(0, 40, windows)) / 4
    return (
        starts,
        starts + random.integers(1, 12, windows) / 4,
        random.random((windows, classes)),
    )


@pytest.mark.parametrize('seed', range(5))
def test_a_moment_is_the_mean_of_its_windows(seed):
    starts, ends, scores = random_windows(seed)
    times, found = score_over_time(starts, ends, scores)
    assert list(times) == sorted({*starts, *ends})
    for k, moment in enumerate((times[:-1] + times[1:]) / 2):
        covering = [i for i in range(12) if starts[i] <= moment < ends[i]]
        expected = scores[covering].mean(0) if covering else np.full(4, np.nan)
        np.testing.assert_allclose(found[k], expected)


@pytest.mark.parametrize('width', [0.1, 0.7, 3, 100])
@pytest.mark.parametrize('seed', range(3))
def test_smoothing_weighs_by_overlap(seed, width):
    times, scores = score_over_time(*random_windows(seed))
    scores[3] = np.nan
    found = smooth(times, scores, width)
    for k, middle in enumerate((times[:-1] + times[1:]) / 2):
        total, weight = np.zeros(4), 0
        for j in range(len(scores)):
            low = max(times[j], middle - width / 2)
            shared = max(0, min(times[j + 1], middle + width / 2) - low)
            if not np.isnan(scores[j]).any():
                total, weight = total + shared * scores[j], weight + shared
        expected = np.full(4, np.nan) if np.isnan(scores[k]).any() else total / weight
        np.testing.assert_allclose(found[k], expected)


def test_no_width_changes_nothing():
    times, scores = score_over_time(*random_windows(0))
    np.testing.assert_array_equal(smooth(times, scores, 0), scores)


def scores_of(letters, high=0.8):
    """One step per letter: a, b or c scores high, '.' has scores below all limits."""
    table = {'a': 0, 'b': 1, 'c': 2}
    scores = np.full((len(letters), 3), 0.1)
    for i, letter in enumerate(letters):
        if letter == '-':
            scores[i] = np.nan
        elif letter != '.':
            scores[i, table[letter]] = high
    return np.arange(len(letters) + 1.0), scores


def letters_of(segments, length):
    shown = ['.'] * length
    for segment in segments:
        span = slice(int(segment['start']), int(segment['end']))
        shown[span] = 'abc'[segment['class']] * (span.stop - span.start)
    return ''.join(shown)


@pytest.mark.parametrize(
    ('steps', 'options', 'expected'),
    [
        ('aabbb', {}, 'aabbb'),
        ('aa..bb', dict(min_score=0.5), 'aa..bb'),
        ('aa--aa', {}, 'aa..aa'),
        ('----', {}, '....'),
        ('....', dict(min_score=0.5), '....'),
        ('aabaacc', dict(min_duration=2), 'aaaaacc'),
        ('aababaac', dict(min_duration=3), 'aaaaaaaa'),
        ('aab', dict(min_duration=2, min_score=0.5), 'aa.'),  # no a, and too little b
        ('..a..', dict(min_duration=2, min_score=0.5), '.....'),
        ('ab', dict(min_duration=9), '..'),
        ('-a-', dict(min_duration=2), '...'),
    ],
)
def test_segments(steps, options, expected):
    times, scores = scores_of(steps)
    segments = find_segments(times, scores, **options)
    assert letters_of(segments, len(steps)) == expected
    joined = pairwise(segments)
    assert all(a['class'] != b['class'] or a['end'] < b['start'] for a, b in joined)


def test_the_score_is_the_mean_over_time():
    times = np.array([0.0, 1, 4])
    (segment,) = find_segments(times, np.array([[0.9, 0.1], [0.5, 0.2]]))
    assert segment == {'start': 0, 'end': 4, 'class': 0, 'score': pytest.approx(0.6)}


def test_negative_scores_count_too():
    """Such as logits."""
    times, scores = scores_of('ab')
    found = find_segments(times, scores - 9, min_score=-np.inf)
    assert letters_of(found, 2) == 'ab'


def test_no_windows_are_no_segments():
    times, scores = score_over_time([], [], np.empty((0, 3)))
    assert find_segments(times, smooth(times, scores, 1)) == []
