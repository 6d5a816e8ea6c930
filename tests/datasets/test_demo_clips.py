import resource
import runpy

import cv2
import decord
import numpy as np
import pytest
from mmaction.registry import DATASETS, TRANSFORMS
from mmengine.registry import init_default_scope

from mmaction_videomambapro.datasets.demo_clips import (
    CLASSES,
    PLAIN,
    DemoClips,
    boxes_of_file,
    draw_clip,
    shape_boxes,
)
from mmaction_videomambapro.errors import UsageError
from tests.conftest import ROOT


@pytest.mark.parametrize('label', range(0, len(CLASSES), 2))
def test_pairs_of_classes_are_each_other_backwards(label):
    """So only the order of the frames distinguishes them."""
    for seed in range(5):
        forwards = draw_clip(label, 12, np.random.default_rng(seed))
        backwards = draw_clip(label + 1, 12, np.random.default_rng(seed))
        np.testing.assert_array_equal(forwards, backwards[::-1])


def test_on_a_plain_ground_the_same_things_move():
    textured = draw_clip(4, 6, np.random.default_rng(1))
    plain = draw_clip(4, 6, np.random.default_rng(1), textured=False)
    still = (plain == PLAIN).all(-1)
    assert 0.5 < still.mean() < 0.99
    shape = (~still) & (plain == textured).all(-1)  # but for the smooth edge
    assert shape.sum() > 0.5 * (~still).sum()


@pytest.mark.parametrize('label', range(len(CLASSES)))
def test_boxes_are_around_the_shape(label):
    clip = draw_clip(label, 6, np.random.default_rng(2), textured=False).astype(int)
    boxes = shape_boxes(label, 6, np.random.default_rng(2))
    for frame, box in zip(clip, boxes):
        y, x = np.nonzero(np.abs(frame - PLAIN).max(-1) > 5)
        tight = [x.min(), y.min(), x.max() + 1, y.max() + 1]
        np.testing.assert_allclose(box, tight, atol=1.6)


def test_boxes_of_a_written_clip(clips, tmp_path):
    made = DemoClips(train=16, val=8, frames=20)
    boxes = boxes_of_file(clips / 'videos' / 'val' / '00003.mp4')
    np.testing.assert_array_equal(boxes, made.boxes('val', 3))
    video = decord.VideoReader(str(clips / 'videos' / 'val' / '00003.mp4'))
    bright = video[7].asnumpy().astype(int).max(-1) > 140
    left, top, right, bottom = boxes[7].round().astype(int)
    assert bright[top:bottom, left:right].sum() > 0.9 * bright.sum() > 0
    assert boxes_of_file(clips / 'rawframes' / 'val' / '00003') is None
    assert boxes_of_file(tmp_path / 'videos' / 'val' / '00003.mp4') is None
    assert boxes_of_file('00003.mp4') is None


def test_files_and_both_list_formats(clips):
    init_default_scope('mmaction')
    assert (clips / 'classes.txt').read_text().split('\n')[:-1] == list(CLASSES)
    videos = [x.split() for x in (clips / 'train_videos.txt').read_text().splitlines()]
    frames = (clips / 'train_rawframes.txt').read_text().splitlines()
    assert len(videos) == len(frames) == 16
    for (video, label), (folder, total, same_label) in zip(
        videos, (x.split() for x in frames)
    ):
        assert label == same_label
        decoded = decord.VideoReader(str(clips / video))[:].asnumpy()
        assert decoded.shape == (20, 48, 64, 3)
        assert int(total) == 20 == len(list((clips / folder).iterdir()))
        image = cv2.imread(str(clips / folder / 'img_00020.jpg'))[..., ::-1]
        assert np.abs(image.astype(int) - decoded[-1]).mean() < 12
    stock = DATASETS.build(
        dict(
            type='RawframeDataset',
            ann_file=str(clips / 'val_rawframes.txt'),
            data_prefix=dict(img=str(clips)),
            pipeline=[
                dict(type='SampleFrames', clip_len=4, frame_interval=2, num_clips=1),
                dict(type='RawFrameDecode'),
                dict(type='FormatShape', input_format='NCTHW'),
                dict(type='PackActionInputs'),
            ],
        )
    )
    assert stock[3]['inputs'].shape == (1, 3, 4, 48, 64)


def test_same_seed_same_clips_and_nothing_is_overwritten(tmp_path):
    make = DemoClips(train=2, val=1, frames=3).make
    assert make(tmp_path / 'a')
    assert not make(tmp_path / 'a')
    make(tmp_path / 'b')
    for file in ('videos/train/00001.mp4', 'val_videos.txt'):
        assert (tmp_path / 'a' / file).read_bytes() == (
            tmp_path / 'b' / file
        ).read_bytes()
    with pytest.raises(UsageError, match='does not contain these demo clips'):
        DemoClips(train=2, val=1, frames=3, textured=False).make(tmp_path / 'a')
    with pytest.raises(UsageError, match='does not contain these demo clips'):
        DemoClips(train=2, val=1, frames=4).make(tmp_path / 'a')
    (tmp_path / 'c').mkdir()
    with pytest.raises(UsageError, match='does not contain these demo clips'):
        make(tmp_path / 'c')


def test_an_interrupted_make_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(DemoClips, '_make_split', interrupted)
    with pytest.raises(KeyboardInterrupt):
        DemoClips(train=1, val=1).make(tmp_path / 'a')
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        with pytest.raises(OSError, match=r'too large|is the disk full'):
            DemoClips(train=1, val=1).make(tmp_path / 'a')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_shuffle_frames_permutes_inside_clips():
    shuffle = TRANSFORMS.build(dict(type='ShuffleFrames'))
    np.random.seed(0)
    before = np.arange(20)
    after = shuffle(dict(frame_inds=before.copy(), num_clips=2, clip_len=10))
    after = after['frame_inds']
    assert (after != before).any()
    for clip in (slice(0, 10), slice(10, 20)):
        np.testing.assert_array_equal(np.sort(after[clip]), before[clip])


@pytest.mark.parametrize('option', ['--train=0', '--frames=1000000000', '--seed=-1'])
def test_numbers_are_bounded(monkeypatch, tmp_path, option):
    monkeypatch.setattr('sys.argv', ['make_demo_clips.py', str(tmp_path / 'x'), option])
    main = runpy.run_path(str(ROOT / 'tools/data/make_demo_clips.py'))['main']
    with pytest.raises(UsageError, match=rf'{option.split("=")[0]} is .*, expected'):
        main()
