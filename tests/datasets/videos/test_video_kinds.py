"""Frame i is frame i: every kind of file is read exactly, or refused."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from video_kinds import KINDS, PLAIN_KINDS, Kind, Truth, linear

from mmaction_videomambapro.datasets.videos import Video, VideoError


@pytest.mark.parametrize('kind', KINDS, ids=lambda kind: kind.name)
def test_kind(kind, tmp_path):
    path = str(tmp_path / kind.filename)
    truth = kind.make(Path(path))
    if truth is not None and not truth.optional and not kind.turned:
        check_truth(path, truth)
    check_every_frame(path, truth)
    for backend in 'decord', 'opencv':
        check_backend(kind, path, truth, backend)
    os.unlink(path)


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


def check_every_frame(path: str, truth: Truth | None) -> None:
    """All frames in order, and some in any order, are right."""
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
    for i in (1, truth.counts[0] // 2):  # each the first one read
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

        @settings(max_examples=3, database=None)
        @given(st.lists(drawn, min_size=1, max_size=6))
        def in_any_order(inds):
            check(video, truth, inds)

        in_any_order()


def check_backend(kind: Kind, path: str, truth: Truth | None, backend: str) -> None:
    """Another backend is exact, or refuses what is not plain."""
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


def check_truth(path: str, truth: Truth) -> None:
    """The truth is what a decode from beginning to end gives, but for damage."""
    seen = linear(Path(path))
    expected = list(truth.numbers)
    for i in truth.doubtful:
        seen[i : i + 1] = expected[i : i + 1]
    assert seen == expected
    assert sorted(set(expected)) == expected
