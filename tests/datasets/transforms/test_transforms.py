"""What holds for all transforms of a training pipeline: types, shapes, seeds."""

import numpy as np
import pytest
import torch
from mmaction.registry import TRANSFORMS
from mmcv.transforms import Compose
from mmengine.dataset import COLLATE_FUNCTIONS

from mmaction_videomambapro.datasets.samplers import random_numbers_from

VIEW = [
    dict(type='ClipRandAugment'),
    dict(type='ColorJitter'),
    dict(type='RandomResizedCrop'),
    dict(type='Resize', scale=(32, 32), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
DECODING = [
    dict(type='VideoInit'),
    dict(type='SampleDense', clip_len=6, frame_interval=2),
    dict(type='VideoDecode', short_side=40),
]

pytestmark = pytest.mark.usefixtures('scope')


@pytest.fixture
def video(clips):
    path = str(next(clips.rglob('*.mp4')))
    return dict(filename=path, start_index=0, label=3, modality='RGB')


def run(pipeline, video, seed=0):
    with random_numbers_from(seed):  # as for each sample of SeededSampler
        return Compose(pipeline)(dict(video))


@pytest.mark.parametrize('count', range(len(DECODING), len(DECODING) + len(VIEW) - 1))
def test_frames_keep_their_contract(video, count):
    """After each transform, so that any can follow."""
    results = run((DECODING + VIEW)[:count], video)
    frames = results['imgs']
    if (DECODING + VIEW)[count - 1]['type'] == 'FormatShape':
        assert (frames.shape, frames.dtype) == ((1, 3, 6, 32, 32), np.uint8)
        return
    assert len(frames) == results['num_clips'] * results['clip_len'] == 6
    for frame in frames:
        # MMAction2's ColorJitter leaves float32
        assert frame.dtype in (np.uint8, np.float32)
        assert frame.shape == (*results['img_shape'], 3)
        assert 0 <= frame.min() <= frame.max() <= 255
        frame += 0  # writeable


def test_same_seed_same_pixels(video):
    seen = [run(DECODING + VIEW, video, seed)['inputs'] for seed in (1, 2, 1)]
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[1])


def test_views_of_one_decoded_clip(video):
    repeat = dict(type='RepeatViews', transforms=VIEW[2:], num_views=3)
    views = run([*DECODING, repeat], video)
    assert [int(view['data_samples'].gt_label) for view in views] == [3, 3, 3]
    for first, second in ((0, 1), (1, 2)):
        assert not torch.equal(views[first]['inputs'], views[second]['inputs'])
    collate = COLLATE_FUNCTIONS.get('repeat_pseudo_collate')
    assert len(collate([views, views])['inputs']) == 6


def test_views_do_not_see_each_other(video):
    """Transforms that work in place, as Flip does, start from the same frames."""
    flip = [dict(type='Flip', flip_ratio=1.0), *VIEW[-2:]]
    repeat = dict(type='RepeatViews', transforms=flip)
    once = run([*DECODING, *flip], video)['inputs']
    for view in run([*DECODING, repeat], video):
        assert torch.equal(view['inputs'], once)
    with pytest.raises(ValueError, match='num_views is 0'):
        TRANSFORMS.build(dict(repeat, num_views=0))


@pytest.mark.parametrize('key', ['imgs', 'array'])
def test_frames_that_are_there_are_not_decoded(key):
    """As in MMAction2's demos for cameras and long videos, which cut a stream."""
    frames = [np.full((30, 40, 3), i, np.uint8) for i in range(4)]
    results = {key: frames, 'img_shape': (30, 40), 'modality': 'RGB'}
    results.update(num_clips=1, clip_len=4)
    pipeline = [dict(type='VideoInit'), dict(type='VideoDecode', short_side=8)]
    if key == 'array':
        results['frame_inds'] = np.arange(4)
        pipeline.insert(1, dict(type='ArrayDecode'))
    pipeline += [dict(type='FormatShape', input_format='NCTHW')]
    clip = Compose(pipeline)(results)['imgs']
    assert clip.shape == (1, 3, 4, 30, 40)
    assert clip[0, 0, :, 0, 0].tolist() == [0, 1, 2, 3]
