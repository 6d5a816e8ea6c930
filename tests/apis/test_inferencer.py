"""Answers about videos, from Python."""

import json
from copy import deepcopy

import cv2
import numpy as np
import pytest
import torch
from mmaction.apis import ActionRecogInferencer, MMAction2Inferencer

from mmaction_videomambapro.apis.inferencer import VideoInferencer
from mmaction_videomambapro.apis.inputs import find_inputs
from mmaction_videomambapro.datasets.demo_clips import CLASSES
from mmaction_videomambapro.datasets.videos import Video
from mmaction_videomambapro.errors import UsageError
from tests.conftest import DEMO_CONFIG, ROOT


@pytest.fixture(scope='module')
def videos(clips):
    return [x.name for x in find_inputs(clips / 'val_videos.txt')]


@pytest.fixture(scope='module')
def array(videos):
    with Video(videos[0]) as video:
        return np.stack(video.frames(range(len(video))))


def altered(checkpoint, path, **meta):
    content = torch.load(checkpoint, weights_only=False)
    content['meta'].update(meta)
    torch.save(content, path)
    return path


def test_answers_are_plain_data(inferencer, videos):
    answers = inferencer(videos[:3], top=2)
    assert [x['path'] for x in answers] == videos[:3]
    assert json.loads(json.dumps(answers)) == answers
    for answer in answers:
        assert answer['error'] is None
        assert answer['labels'] == [CLASSES[i] for i in answer['classes']]
        assert answer['scores'] == sorted(answer['scores'], reverse=True)
        assert len(answer['scores']) == 2
    (whole,) = inferencer(videos[0], top=None)
    assert sorted(whole['classes']) == list(range(8))
    assert sum(whole['scores']) == pytest.approx(1)


def test_all_kinds_of_inputs_agree(inferencer, clips, videos, array, tmp_path):
    (expected,) = inferencer(videos[0], top=None)

    frames = tmp_path / 'frames'
    frames.mkdir()
    for i, frame in enumerate(array):  # 10.png comes after 9.png
        cv2.imwrite(str(frames / f'{i}.png'), frame[..., ::-1])
    for kind in (array, torch.from_numpy(array), frames, str(frames)):
        (answer,) = inferencer(kind, top=None)
        assert answer['error'] is None
        assert answer['scores'] == expected['scores']
    assert inferencer([videos[0], array], top=None)[1]['scores'] == expected['scores']

    image = str(tmp_path / 'frames' / '3.png')
    (answer,) = inferencer(image, top=None)
    assert answer['note'] == 'too few frames for a clip (1): some are repeated'
    assert answer['scores'] == inferencer(array[3:4], top=None)[0]['scores']
    assert 'note' not in inferencer(array)[0]

    for several in (videos, clips / 'val_videos.txt', f'{clips}/videos/val/*.mp4'):
        assert [x['path'] for x in inferencer(several)] == videos
    assert len(inferencer(clips)) == 16 + 8


def test_one_pipeline_reads_folders_of_frames(
    checkpoint, config, videos, array, tmp_path
):
    """A config for frames answers about a video as one for videos does."""
    steps = config.test_pipeline[1:]
    steps = [dict(x, type='RawFrameDecode') if x['type'] == 'VideoDecode' else x
             for x in steps]  # fmt: skip
    cfg = deepcopy(config)
    cfg.test_dataloader.dataset.pipeline = steps
    of_frames = VideoInferencer(cfg, checkpoint, device='cpu')
    of_videos = VideoInferencer(config, checkpoint, device='cpu')
    assert of_frames(array, top=None) == of_videos(array, top=None)
    (answer,) = of_frames(videos[0], top=None)
    assert answer['scores'] == of_videos(videos[0], top=None)[0]['scores']


def test_broken_inputs_are_answered_with_a_reason(inferencer, videos, tmp_path):
    (tmp_path / 'text.mp4').write_text('not a video')
    (tmp_path / 'empty').mkdir()
    inputs = [
        videos[0], str(tmp_path / 'text.mp4'), str(tmp_path / 'gone.mp4'),
        np.zeros((4, 8, 8), np.uint8), np.zeros((4, 8, 8, 3), np.float32),
        np.zeros((0, 8, 8, 3), np.uint8), videos[1],
    ]  # fmt: skip
    answers = inferencer(inputs, batch_size=4)
    broken = [x['error'] for x in answers]
    assert broken[0] is None
    assert broken[6] is None
    assert 'cannot be decoded' in broken[1]
    assert broken[2] == 'No such file or directory'
    assert 'expected (frames, height, width, 3) and uint8' in broken[3]
    assert 'float32' in broken[4]
    assert 'no frames' in broken[5]
    assert answers[6]['scores'] == inferencer(videos[1])[0]['scores']
    assert inferencer(inputs, return_datasamples=True)[1] is None

    for nothing, message in (
        (tmp_path / 'empty', 'has no videos and no folders of images'),
        (tmp_path / '*.avi', 'no file matches'),
        ([], 'no videos'),
    ):
        with pytest.raises(UsageError, match=message):
            inferencer(nothing)


def test_objects_of_mmaction2(inferencer, videos):
    (sample,) = inferencer(videos[0], return_datasamples=True)
    (answer,) = inferencer(videos[0])
    assert sample.pred_score.shape == (8,)
    assert sample.pred_label.item() == answer['classes'][0]


def test_classes(checkpoint, tmp_path, videos):
    own = altered(
        checkpoint, tmp_path / 'own.pth', dataset_meta=dict(classes=['a', *'bcdefgh'])
    )
    assert VideoInferencer(own, device='cpu').classes == list('abcdefgh')
    (tmp_path / 'names.txt').write_text('\n'.join('abcdefgh'))
    named = VideoInferencer(checkpoint, device='cpu', classes=tmp_path / 'names.txt')
    (answer,) = named(videos[0])
    assert answer['labels'] == ['abcdefgh'[i] for i in answer['classes']]

    renamed = VideoInferencer(own, device='cpu', classes=['x', *'bcdefgh'])
    assert renamed.classes == list('xbcdefgh')

    (answer,) = VideoInferencer(checkpoint, device='cpu')(videos[0])
    assert answer['labels'] == [CLASSES[i] for i in answer['classes']]
    options = {
        f'{split}_dataloader.dataset.metainfo.classes': None
        for split in ('test', 'val')
    }
    numbered = VideoInferencer(checkpoint, device='cpu', cfg_options=options)
    (answer,) = numbered(videos[0])
    assert answer['labels'] == [str(i) for i in answer['classes']]
    with pytest.raises(UsageError, match='3 class names, but the model has 8 classes'):
        VideoInferencer(checkpoint, classes=['a', 'b', 'c'])


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ("model = __import__('os').system('touch {trace}')", 'is not plain data'),
        ("model = dict(type='os.system', command='touch {trace}')", 'os.system'),
        ("model = dict(type='antigravity')", "type='antigravity', which is not"),
        (
            "model = dict(_scope_='antigravity', type='Recognizer3D')",
            '_scope_=.antigravity',
        ),
        ("custom_imports = dict(imports=['antigravity'])", 'has no model'),
        ('model = 3', 'has no model'),
        ('', 'has no model'),
    ],
)
def test_config_of_a_stranger_is_data(checkpoint, tmp_path, line, message):
    trace = tmp_path / 'trace'
    text = line.format(trace=trace)
    hostile = altered(checkpoint, tmp_path / 'hostile.pth', cfg=text)
    for door in (
        lambda: VideoInferencer(hostile, device='cpu'),
        lambda: ActionRecogInferencer(None, str(hostile), device='cpu'),
    ):
        with pytest.raises(Exception, match=message):
            door()
    assert not trace.exists()


def test_models_that_are_not_there(checkpoint, tmp_path):
    bare = altered(checkpoint, tmp_path / 'bare.pth', cfg=None)
    for model, weights, message in (
        (bare, None, 'bare.pth: there is no config in the checkpoint'),
        (tmp_path / 'none.py', None, 'does not exist'),
        ('videomambapro-tiny', None, 'similar names: videomambapro-tiny-p16'),
        (ROOT / DEMO_CONFIG, None, 'needs weights'),
        (ROOT / DEMO_CONFIG, 'gone.pth', 'checkpoint gone.pth does not exist'),
    ):
        with pytest.raises(UsageError, match=message):
            VideoInferencer(model, weights)


def test_memory_that_does_not_suffice(inferencer, videos, monkeypatch):
    def full(data):
        raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 9 GiB')

    monkeypatch.setattr(inferencer.model, 'test_step', full)
    with pytest.raises(UsageError, match='3 of these videos at once; choose a smaller'):
        inferencer(videos[:3], batch_size=3)


def test_mmaction2s_inferencer_takes_our_names(checkpoint, videos):
    name = 'videomambapro-tiny-p16_16x4x1_kinetics400-rgb'
    inferencer = MMAction2Inferencer(rec=name, device='cpu')
    backbone = inferencer.actionrecog_inferencer.model.backbone
    assert type(backbone).__name__ == 'VideoMambaPro'
    with pytest.raises(UsageError, match='similar names'):
        MMAction2Inferencer(rec='videomambapro-tiny-p16')
