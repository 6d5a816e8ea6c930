"""What happens when in a video."""

import json

import av
import numpy as np
import pytest

from mmaction_videomambapro.apis.camera import watch
from mmaction_videomambapro.apis.inferencer import VideoInferencer
from mmaction_videomambapro.apis.inputs import Input
from mmaction_videomambapro.apis.over_time import (
    WindowModel,
    answers_over_time,
    over_time,
)
from mmaction_videomambapro.datasets.videos import Video
from mmaction_videomambapro.errors import UsageError


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    """Four seconds of noise, larger than the model sees it."""
    path = tmp_path_factory.mktemp('long') / 'long.mp4'
    noise = np.random.default_rng(0)
    with av.open(str(path), 'w') as out:
        stream = out.add_stream('h264', rate=20)
        stream.width, stream.height, stream.pix_fmt = 96, 64, 'yuv420p'
        for _ in range(83):
            block = noise.integers(0, 256, (8, 12, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(block.repeat(8, 0).repeat(8, 1))
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return str(path)


def test_windows_score_as_when_they_are_cut_out(inferencer, checkpoint, video):
    """In one pass, with other batches, and shrunk as they are decoded."""
    answer = over_time(inferencer, Input(video), batch_size=3, top=None).answer
    starts = [*range(0, 67, 8), 67]  # a clip has 16 frames; the last ends the video
    times = [(x['start'], x['end']) for x in answer['windows']]
    assert np.allclose(times, [(i / 20, (i + 16) / 20) for i in starts])

    options = {'test_dataloader.dataset.pipeline.1.num_clips': 1}
    alone = VideoInferencer(checkpoint, device='cpu', cfg_options=options)
    with Video(video) as whole:
        cuts = [np.stack(whole.frames(range(i, i + 16))) for i in starts]
    expected = alone(cuts, batch_size=3, top=None)
    for window, cut in zip(answer['windows'], expected, strict=True):
        assert window['error'] is None
        for key in ('classes', 'labels', 'scores'):
            assert window[key] == cut[key]
    scores = np.zeros(8)
    for cut in expected:
        scores[cut['classes']] += np.array(cut['scores']) / len(expected)
    assert answer['scores'] == pytest.approx(sorted(scores, reverse=True))


def test_windows_of_any_length(inferencer, video):
    found = over_time(inferencer, Input(video), window=1, stride=0.5, top=1)
    answer = json.loads(json.dumps(found.answer))
    starts = [x['start'] for x in answer['windows']]
    assert starts == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5, 3, 3.15])
    ends = [segment['end'] for segment in answer['segments']]
    assert [x['start'] for x in answer['segments']] == [0, *ends[:-1]]
    assert ends[-1] == pytest.approx(83 / 20)
    for segment in answer['segments']:
        assert segment['label'] == found.names[segment['class']]
    none = over_time(inferencer, Input(video), window=1, min_score=1.1).answer
    assert none['segments'] == []
    assert len(over_time(inferencer, Input(video), window=60).answer['windows']) == 1


def test_samplers_of_whole_videos_see_ten_seconds(config, checkpoint):
    name = 'test_dataloader.dataset.pipeline.1'
    options = {f'{name}.type': 'SampleSparse', f'{name}.mode': 'test'}
    cfg = config.copy()
    cfg.merge_from_dict(options)
    for key in ('frame_interval', 'test_mode'):
        del cfg.test_dataloader.dataset.pipeline[1][key]
    model = WindowModel(VideoInferencer(cfg, checkpoint, device='cpu'))
    assert model.length(25) == 250
    assert len(model.wanted(250)) == 8 * 4
    assert WindowModel(model.inferencer, 2).length(0) == 50


def test_pictures_and_videos(inferencer, video, tmp_path):
    picture, copy = tmp_path / 'a.png', tmp_path / 'a.mp4'
    (answer,) = answers_over_time(
        inferencer, [Input(video)], str(picture), str(copy), window=1.0
    )
    assert answer['error'] is None
    assert picture.read_bytes().startswith(b'\x89PNG')
    with Video(str(copy)) as annotated, Video(video) as original:
        assert len(annotated) == len(original)
    with pytest.raises(UsageError, match='only one video can be drawn, not 2'):
        list(answers_over_time(inferencer, [Input(video)] * 2, str(picture)))


def test_broken_videos_are_answered_with_a_reason(inferencer, tmp_path):
    (tmp_path / 'a.mp4').write_text('not a video')
    for name in ('a.mp4', 'gone.mp4'):
        source = Input(str(tmp_path / name))
        (answer,) = answers_over_time(inferencer, [source], str(tmp_path / 'a.png'))
        assert answer['error']
        assert 'segments' not in answer
    assert not (tmp_path / 'a.png').exists()


def test_a_file_plays_the_camera(inferencer, video):
    """What is said at its end is what the last window is."""
    *_, last = watch(inferencer, video, top=None, speed=20)
    assert last.result['error'] is None
    assert sorted(last.result['classes']) == list(range(8))
    assert sum(last.result['scores']) == pytest.approx(1)
