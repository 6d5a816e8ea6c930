"""Frame i is frame i: every kind of file is read exactly, or refused."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from video_kinds import KINDS, PLAIN_KINDS, Truth, linear

from mmaction_videomambapro.datasets.videos import Video, VideoError


@pytest.fixture(scope='module', params=KINDS, ids=lambda kind: kind.name)
def made(request, tmp_path_factory):
    """A file of each kind: the kind, its path, its truth."""
    kind = request.param
    path = tmp_path_factory.mktemp('kind') / kind.filename
    truth = kind.make(path)
    yield kind, str(path), truth
    path.unlink()


def check(video: Video, truth: Truth, inds: list[int]) -> None:
    """The frames asked for are the right ones; damaged ones may be refused."""
    try:
        frames = video.frames(inds)
    except VideoError:
        if truth.doubtful.isdisjoint(inds):
            raise
        return
    faults = [truth.faults(i, frame) for i, frame in zip(inds, frames, strict=True)]
    assert not any(faults), list(zip(inds, faults))


def test_every_frame_is_exact(made):
    _, path, truth = made
    if truth is None:
        with pytest.raises(VideoError, match='cannot be decoded'):
            Video(path, ['pyav'])
        return
    try:
        video = Video(path, ['pyav'])
    except VideoError:
        if truth.optional:
            return
        raise
    for i in (1, truth.counts[0] // 3, truth.counts[0] // 2):  # each the first one read
        with Video(path, ['pyav']) as fresh:
            check(fresh, truth, [min(i, truth.counts[0] - 1)])
    with video:
        assert len(video) in truth.counts
        places = range(len(truth.numbers))
        check(video, truth, [i for i in places if i not in truth.doubtful])
        for i in sorted(truth.doubtful.intersection(range(len(video)))):
            check(video, truth, [i])

        last = truth.counts[0] - 1
        drawn = st.integers(0, last) | st.sampled_from([0, last])

        @settings(max_examples=4, deadline=None, database=None)
        @given(st.lists(drawn, min_size=1, max_size=6))
        def in_any_order(inds):
            check(video, truth, inds)

        in_any_order()


@pytest.mark.parametrize('backend', ['decord', 'opencv'])
def test_other_backends_are_exact_or_refuse(made, backend):
    kind, path, truth = made
    try:
        video = Video(path, [backend])
    except VideoError:
        assert kind.name not in PLAIN_KINDS
        return
    with video:
        assert truth is not None
        assert len(video) in truth.counts
        last = truth.counts[0] - 1
        inds = [last, last // 2, 0, last // 3, last // 3]
        try:
            check(video, truth, inds)
        except VideoError:
            assert kind.name not in PLAIN_KINDS


def test_truth_is_what_a_decode_without_seeks_gives(made):
    """But for what that does not know: which way up, how large, what is damaged."""
    kind, path, truth = made
    if truth is None or truth.optional or kind.turned:
        return
    seen = linear(Path(path))
    expected = list(truth.numbers)
    for i in truth.doubtful:
        seen[i : i + 1] = expected[i : i + 1]
    assert seen == expected
    assert sorted(set(expected)) == expected
