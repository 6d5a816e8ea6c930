from itertools import pairwise

import numpy as np
import pytest

from mmaction_videomambapro.datasets.lab_clips import (
    COLOURS,
    TASKS,
    draw_batch,
)

SQUARES = [name for name, task in TASKS.items() if task.size == 16]


def squares(clip):
    """The colour of each frame's square, as an index of COLOURS, (T,)."""
    matches = (clip[:, None] == COLOURS[:, None, None]).all(-1)  # (T, 6, S, S)
    found = matches.sum((-2, -1))
    assert (found.max(1) == 16).all(), 'one square of 4 x 4 pixels in each frame'
    return found.argmax(1)


def answer(name, clip):
    """What is right, found by looking at the clip."""
    kind, _, number = name.partition('-')
    colours = squares(clip).tolist()
    if kind == 'order':
        red, green = colours.index(0), colours.index(1)
        assert sorted(c for c in colours if c < 2) == [0, 1]
        assert abs(red - green) == int(number)
        return int(red > green)
    if kind == 'counting':
        return colours.count(0) - 1
    if kind == 'recall':
        first, last = (i for i, colour in enumerate(colours) if colour < 2)
        assert last - first == (4 if number == 'inside' else int(number))
        assert (first == 0) == (last == len(clip) - 1) == (number != 'inside')
        return int(colours[first] != colours[last])
    if kind == 'selective':
        (marked,) = np.flatnonzero((clip[:, 0] == 255).all((-2, -1)))
        return colours[marked + 1]
    raise AssertionError(name)


@pytest.mark.parametrize('name', SQUARES)
def test_labels_are_what_the_clips_show(name):
    clips, labels, _ = draw_batch(TASKS[name], 0, 'train', range(40))
    assert [answer(name, clip) for clip in clips] == labels.tolist()


@pytest.mark.parametrize('name', [x for x in SQUARES if x.startswith('selective')])
def test_the_cue_is_the_frame_that_says_the_answer(name):
    clips, labels, cues = draw_batch(TASKS[name], 0, 'test', range(128))
    assert [squares(x)[cue] for x, cue in zip(clips, cues)] == labels.tolist()
    assert set(cues) == set(range(1, TASKS[name].frames))


def shift(before, after):
    """By how many pixels (x, y) the ground moves between two frames; NaN is unseen."""
    inside = slice(4, 28)
    errors = {
        (x, y): np.nanmean(
            np.abs(
                after[inside, inside] - np.roll(before, (y, x), (0, 1))[inside, inside]
            )
        )
        for x in range(-3, 4)
        for y in range(-3, 4)
    }
    return min(errors, key=errors.get)


def test_camera_is_about_the_ground():
    task = TASKS['camera']
    clips, labels, _ = draw_batch(task, 0, 'train', range(32))
    for clip, label in zip(clips, labels):
        bright = clip.min(-1) > 120
        centres = [np.argwhere(x).mean(0)[::-1] for x in bright[[0, -1]]]
        square = centres[1] - centres[0]
        ground = clip.astype(float)
        ground[bright] = np.nan
        steps = [shift(a, b) for a, b in pairwise(ground)]
        own = square - np.sum(steps, 0)
        expected = [(1, 0), (-1, 0), (0, 1), (0, -1)][label]
        assert own @ expected > 0.6 * np.linalg.norm(own)


@pytest.mark.parametrize('name', TASKS)
def test_numbers_decide_the_clips(name):
    task = TASKS[name]
    first = draw_batch(task, 3, 'train', range(16))
    again = draw_batch(task, 3, 'train', range(8, 16))
    assert all((a[8:] == b).all() for a, b in zip(first, again))
    for seed, split in ((4, 'train'), (3, 'watch'), (3, 'test')):
        assert (draw_batch(task, seed, split, range(16))[0] != first[0]).any()
    clips, labels, cues = first
    assert clips.shape == (16, task.frames, task.size, task.size, 3)
    assert clips.dtype == np.uint8
    assert np.ptp(np.bincount(labels, minlength=task.classes)) <= 1
    assert ((cues >= -1) & (cues < task.frames)).all()


@pytest.mark.parametrize('name', TASKS)
def test_controls_take_time_and_order_away(name):
    task = TASKS[name]
    plain, labels, _ = draw_batch(task, 0, 'train', range(8))
    one, of_one, _ = draw_batch(task, 0, 'train', range(8), 'one_frame')
    shuffled, of_shuffled, _ = draw_batch(task, 0, 'train', range(8), 'shuffled')
    assert (labels == of_one).all()
    assert (labels == of_shuffled).all()
    for clip, still, mixed in zip(plain, one, shuffled):
        frames = {x.tobytes() for x in clip}
        assert len({x.tobytes() for x in still} & frames) == 1
        assert len({x.tobytes() for x in still}) == 1
        assert sorted(x.tobytes() for x in mixed) == sorted(x.tobytes() for x in clip)
    assert (shuffled != plain).any()


@pytest.mark.parametrize('name', SQUARES)
def test_no_single_frame_tells_the_answer(name):
    """Guess from the colour in the best frame alone, whichever it is."""
    task = TASKS[name]
    clips, labels, _ = draw_batch(task, 0, 'train', range(1000))
    colours = np.stack([squares(x) for x in clips])
    # how often the best guess is right, given the colour of a frame anywhere
    table = np.zeros((len(COLOURS), task.classes))
    np.add.at(table, (colours.ravel(), labels.repeat(task.frames)), 1)
    assert table.max(1).sum() / table.sum() < 1 / task.classes + 0.08


@pytest.mark.parametrize('wrong', [dict(control='one-frame'), dict(split='val')])
def test_unknown_words_are_refused(wrong):
    arguments = dict(split='train', indices=range(2)) | wrong
    with pytest.raises(ValueError, match='must be one of'):
        draw_batch(TASKS['counting'], 0, **arguments)
