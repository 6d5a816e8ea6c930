"""Compare the published sampling rules with vectors computed by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmaction.registry import TRANSFORMS

from mmaction_videomambapro.datasets.transforms import sampling

pytestmark = pytest.mark.base

VJEPA = dict(type='SampleVJEPA', clip_len=4, frame_interval=2, random=False)


def sample(n, start_index=0, avg_fps=None, clip_len=4, **config):
    transform = TRANSFORMS.build(dict(clip_len=clip_len, **config))
    results = dict(total_frames=n, start_index=start_index, avg_fps=avg_fps)
    results = transform(results)
    shape = results['num_clips'], results['clip_len']
    return results['frame_inds'].reshape(shape).tolist()


@pytest.mark.parametrize(
    ('config', 'n', 'expected'),
    [
        # s = 9 / 4: segments begin at 0, 2.25, 4.5, 6.75, rounded half to even
        (dict(type='SampleSparse', mode='val'), 10, [[1, 3, 5, 8]]),
        (
            dict(type='SampleSparse', mode='test', num_clips=2),
            10,
            [[0, 2, 4, 7], [1, 3, 5, 8]],
        ),
        (dict(type='SampleSparse', mode='val'), 2, [[0, 0, 0, 1]]),
        (dict(type='SampleSparse', mode='train'), 1, [[0, 0, 0, 0]]),
        # stretches of 8 frames from 0, 6 and 12
        (
            dict(type='SampleDense', frame_interval=2, mode='test', num_clips=3),
            20,
            [[0, 2, 4, 6], [6, 8, 10, 12], [12, 14, 16, 18]],
        ),
        (
            dict(type='SampleDense', frame_interval=2, mode='test', num_clips=1),
            20,
            [[6, 8, 10, 12]],
        ),
        (
            dict(type='SampleDense', frame_interval=2, mode='test', num_clips=2),
            5,
            [[0, 2, 4, 4], [0, 2, 4, 4]],
        ),
        # 6 to 14 in three steps of 8 / 3; the published one begins at -2, that is 18
        (dict(type='SampleDense', frame_interval=2, mode='val'), 20, [[6, 8, 11, 13]]),
        (
            dict(type='SampleDense', frame_interval=2, mode='val', published_val=True),
            20,
            [[18, 0, 3, 5]],
        ),
        (dict(type='SampleDense', frame_interval=2, mode='train'), 5, [[0, 4, 4, 4]]),
        (dict(type='SampleDense', frame_interval=2, mode='train'), 1, [[0, 0, 0, 0]]),
        # segments of 2.5 frames
        (dict(type='SampleSSv2', mode='val'), 10, [[1, 3, 6, 8]]),
        (dict(type='SampleSSv2', mode='val', source='rawframes'), 10, [[1, 3, 5, 7]]),
        (
            dict(type='SampleSSv2', mode='test', num_clips=2),
            10,
            [[0, 2, 5, 7], [1, 3, 6, 8]],
        ),
        (
            dict(type='SampleSSv2', mode='test', num_clips=2),
            3,
            [[0, 0, 1, 2], [0, 1, 1, 2]],
        ),
        (
            dict(type='SampleSSv2', mode='test', num_clips=3, source='rawframes'),
            10,
            [[0, 2, 5, 7], [0, 3, 5, 8], [1, 4, 6, 9]],
        ),
        (dict(type='SampleSSv2', mode='train'), 3, [[0, 0, 0, 0]]),
        (dict(type='SampleSSv2', mode='train', source='rawframes'), 3, [[0, 0, 1, 2]]),
        (VJEPA, 20, [[0, 2, 5, 7]]),
        (dict(VJEPA, num_clips=2), 20, [[0, 2, 5, 7], [10, 12, 15, 17]]),
        (dict(VJEPA, num_clips=2), 10, [[0, 4, 4, 4], [5, 9, 9, 9]]),
        (
            dict(VJEPA, num_clips=2, allow_overlap=True),
            10,
            [[0, 3, 6, 6], [2, 5, 8, 8]],
        ),
        (VJEPA, 1, [[0, 0, 0, 0]]),
    ],
    ids=str,
)
def test_by_hand(config, n, expected):
    assert sample(n, **config) == expected


def test_published_example_of_vjepa():
    config = dict(VJEPA, clip_len=16, frame_interval=4)
    spread = [0, 4, 9, 13, 18, 22, 27, 31, 36, 40, 44]
    assert sample(45, **config) == [spread + [44] * 5]


def test_seconds_instead_of_frames():
    config = dict(VJEPA, clip_duration=2)
    assert sample(200, avg_fps=12, **config) == sample(
        200, **dict(VJEPA, frame_interval=6)
    )


@pytest.mark.parametrize('avg_fps', [1.0, 7.9, 23.976, 24, 25, 29.97, 30, 59.94])
@pytest.mark.parametrize('fps', [1, 4, 8])
def test_frames_per_second_of_v_jepa_2(avg_fps, fps):
    """ceil(frame rate) // fps, as its released code; where that is 0 it stops."""
    interval = max(1, -int(-avg_fps // 1) // fps)
    assert sample(200, avg_fps=avg_fps, **dict(VJEPA, fps=fps)) == sample(
        200, **dict(VJEPA, frame_interval=interval)
    )


def test_seconds_of_an_odd_frame_rate():
    """23.976 is 24: 4 seconds of 16 frames are every sixth, not every fifth."""
    config = dict(VJEPA, clip_len=16)
    assert sample(400, avg_fps=23.976, **dict(config, clip_duration=4)) == sample(
        400, **dict(config, frame_interval=6)
    )


def test_training_draws_from_whole_segments():
    drawn = np.array([sample(10, type='SampleSparse')[0] for _ in range(300)])
    borders = [0, 2, 4, 7, 9]
    assert drawn.min(0).tolist() == borders[:-1]
    assert drawn.max(0).tolist() == borders[1:]
    drawn = np.array([sample(11, type='SampleSSv2')[0] for _ in range(300)])
    assert drawn.min(0).tolist() == [0, 2, 4, 6]
    assert drawn.max(0).tolist() == [1, 3, 5, 7]
    starts = {sample(12, type='SampleDense', frame_interval=2)[0][0] for _ in range(99)}
    assert starts == {0, 1, 2, 3}


def test_same_seed_same_frames():
    for name in ('SampleSparse', 'SampleDense', 'SampleSSv2', 'SampleVJEPA'):
        np.random.seed(3)
        first = sample(300, type=name)
        np.random.seed(3)
        assert sample(300, type=name) == first


@given(
    name=st.sampled_from(['SampleSparse', 'SampleDense', 'SampleSSv2', 'SampleVJEPA']),
    n=st.integers(1, 400),
    clip_len=st.integers(1, 40),
    frame_interval=st.integers(1, 9),
    num_clips=st.integers(1, 11),
    mode=st.sampled_from(sampling.MODES),
    start_index=st.integers(0, 1),
)
def test_every_frame_exists(name, n, num_clips, mode, start_index, **kwargs):
    if name == 'SampleSSv2':
        kwargs['source'] = 'rawframes'
    if mode != 'test':
        num_clips = 1
    clips = sample(n, start_index, type=name, num_clips=num_clips, mode=mode, **kwargs)
    assert len(clips) == num_clips
    inds = np.array(clips) - start_index
    assert inds.shape == (num_clips, kwargs['clip_len'])
    assert (inds >= 0).all()
    assert (inds < n).all()
    assert (np.diff(inds) >= 0).all()


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (dict(type='SampleSparse', mode='validate'), "mode is 'validate'"),
        (dict(type='SampleDense', num_clips=0), 'num_clips must be at least 1'),
        (
            dict(type='SampleSSv2', mode='test', num_clips=3),
            'num_clips is 3, .* tests 2 clips',
        ),
        (dict(type='SampleSSv2', source='jpg'), "source is 'jpg'"),
        (dict(VJEPA, fps=4, clip_duration=2), 'at most one of them'),
        (dict(VJEPA, fps=0), 'fps is 0'),
    ],
)
def test_wrong_arguments_are_named(config, message):
    with pytest.raises(ValueError, match=message):
        sample(10, **config)


def test_no_frames():
    transform = TRANSFORMS.build(dict(type='SampleDense', clip_len=4))
    with pytest.raises(ValueError, match=r'empty\.mp4 has no frames'):
        transform(dict(total_frames=0, start_index=0, filename='empty.mp4'))
