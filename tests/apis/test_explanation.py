"""Why a model answers what it answers."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from mmaction_videomambapro.apis.explanation import explain
from mmaction_videomambapro.apis.inferencer import VideoInferencer
from mmaction_videomambapro.apis.inputs import Input
from mmaction_videomambapro.datasets.videos import Video
from mmaction_videomambapro.errors import UsageError
from mmaction_videomambapro.explain.relevance import relevance


@pytest.fixture(scope='module')
def path(clips):
    return str(sorted((clips / 'videos').rglob('*.mp4'))[0])


@pytest.fixture(scope='module')
def named(checkpoint):
    names = [f'class {i}' for i in 'abcdefg'] + ['3']
    return VideoInferencer(checkpoint, device='cpu', classes=names)


def test_it_is_about_the_view_that_is_shown(inferencer, path):
    """The middle clip and the crop of the centre, as when these are cut out."""
    found = explain(inferencer, Input(path))
    with Video(path) as video:
        start = (len(video) - 16) // 2  # of 8 frames, every second
        inds = np.arange(start, start + 16, 2)
        frames = np.stack(video.frames(inds))
        np.testing.assert_allclose(found.times, video.times[inds] - video.times[0])
    assert found.frames.shape == (8, 48, 48, 3)
    left = (frames.shape[2] - 48) // 2
    if frames.shape[1] == 48:
        np.testing.assert_array_equal(found.frames, frames[:, :, left : left + 48])

    mean, std = (inferencer.model.data_preprocessor.get_buffer(x).view(-1, 1, 1, 1)
                 for x in ('mean', 'std'))  # fmt: skip
    clip = torch.from_numpy(found.frames).movedim(-1, 0)
    clip = ((clip - mean) / std)[None]
    with torch.no_grad():
        scores = inferencer.model.cls_head(inferencer.model.backbone(clip)).softmax(1)
    assert found.label == inferencer.label(scores.argmax().item())
    assert found.score == pytest.approx(scores.max().item(), abs=1e-5)
    expected = relevance(inferencer.model, clip)[0]
    np.testing.assert_allclose(found.map, expected, rtol=1e-3, atol=1e-5)
    assert found.map.shape == (4, 6, 6)
    assert not found.layers


def test_a_class_has_a_name_or_a_number(named, path):
    by_number = explain(named, Input(path), 2, 'gradient')
    by_name = explain(named, Input(path), 'class c', 'gradient')
    assert by_number.label == by_name.label == 'class c'
    np.testing.assert_array_equal(by_number.map, by_name.map)
    other = explain(named, Input(path), 'class d', 'gradient')
    assert not np.allclose(other.map, by_name.map)
    assert explain(named, Input(path), '3', 'random').label == '3'  # a name first
    with pytest.raises(UsageError, match=r'class_c, .* did you mean class c\?'):
        explain(named, Input(path), 'class_c')
    for number in (8, -1, '8'):
        with pytest.raises(UsageError, match=f'no class {number}, only 0 to 7'):
            explain(named, Input(path), number)


def test_arrays_have_frames_without_times(inferencer):
    frames = np.random.default_rng(0).integers(0, 256, (5, 60, 90, 3), np.uint8)
    found = explain(inferencer, Input('array', frames), method='gradcam')
    assert found.times is None
    assert len(found.frames) == 8  # some are repeated


@pytest.mark.parametrize(
    ('step', 'change'),
    [
        (1, dict(twice_sample=True)),
        (1, dict(type='SampleSSv2', clip_len=8, num_clips=2, mode='test')),
        (4, dict(type='TenCrop', crop_size=48)),
    ],
    ids=['SampleFrames', 'SampleSSv2', 'TenCrop'],
)
def test_one_view_is_taken_of_any_pipeline(config, checkpoint, path, step, change):
    cfg = deepcopy(config)
    steps = cfg.test_dataloader.dataset.pipeline
    steps[step] = change if 'type' in change else {**steps[step], **change}
    cfg.model.cls_head.average_clips = None
    found = explain(VideoInferencer(cfg, checkpoint, device='cpu'), Input(path))
    assert found.frames.shape == (8, 48, 48, 3)
    assert len(found.times) == 8
    assert (np.diff(found.times) > 0).all()


def test_layers_are_explained_on_demand(inferencer, path):
    found = explain(inferencer, Input(path), layers=True)
    assert list(found.layers) == ['layer 1', 'layer 2']
    assert {x.shape for x in found.layers.values()} == {(4, 6, 6)}


def test_what_cannot_be_explained_is_one_sentence(inferencer, path, tmp_path):
    (tmp_path / 'a.mp4').write_text('not a video')
    for name in ('a.mp4', 'gone.mp4'):
        with pytest.raises(UsageError, match=name) as refusal:
            explain(inferencer, Input(str(tmp_path / name)))
        assert '\n' not in str(refusal.value)
    with pytest.raises(UsageError, match='gradcam'):  # names those that there are
        explain(inferencer, Input(path), method='shap')


def test_the_test_pipeline_is_left_as_it_is(inferencer, path):
    before = inferencer([path], top=None)
    explain(inferencer, Input(path))
    assert inferencer([path], top=None) == before


def test_from_the_command_line(tool, checkpoint, path, tmp_path):
    def run(name, *options, **kwargs):
        out = tmp_path / name
        return tool(
            'analysis/explain.py', checkpoint, path, '--out', out, '--device', 'cpu',
            *options, **kwargs,
        )  # fmt: skip

    assert 'a.mp4' in run('a.mp4', '--class', 5, '--method', 'gradcam').stdout
    with Video(str(tmp_path / 'a.mp4')) as film:
        assert len(film) == 8
    process = run('b.doc', check=False)
    assert process.returncode == 2
    assert process.stderr.startswith('explain.py: error: ')
    assert process.stderr.count('\n') == 1


def test_a_picture_names_the_class_and_the_video(inferencer, path, tmp_path):
    found = explain(inferencer, Input(path), layers=True)
    found.name, found.label = '../a$b$.mp4', 'move \n' * 40
    out = tmp_path / 'a.svg'
    found.save(str(out))
    text = out.read_text()
    for part in ('Why “move', '…”', 'a$b$.mp4, by lrp', 'layer 2'):
        assert f'<!-- {part}' in text or part in text
