"""Decoding: the right frames, whatever decoder, and no file given up too early."""

import os
import shutil

import av
import mmcv
import numpy as np
import pytest
from mmaction.registry import TRANSFORMS

from mmaction_videomambapro.datasets import videos
from mmaction_videomambapro.datasets.videos import Video, VideoError, isolated
from mmaction_videomambapro.datasets.videos.rgb import ToRGB

BACKENDS = 'decord', 'pyav', 'opencv'
FRAMES = 40


def write_video(
    path, codec='libx264', size=(96, 64), frames=FRAMES, options=None, noise=0
):
    """Frame i is grey, of brightness 5 i + 20."""
    random = np.random.default_rng(0)
    with av.open(str(path), 'w', options=options or {}) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, 'yuv420p'
        for i in range(frames):
            image = np.full((size[1], size[0], 3), 5 * i + 20, np.uint8)
            if noise:
                image += random.integers(0, noise, image.shape, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('videos')


@pytest.fixture(scope='module')
def h264(folder):
    return write_video(folder / 'h264.mp4')


@pytest.fixture(scope='module')
def av1(folder):
    """Decord 0.6 and OpenCV do not know this codec."""
    return write_video(folder / 'av1.mp4', 'libsvtav1')


@pytest.fixture(scope='module')
def promising(folder):
    """Promises 40 frames in front, and ends half way."""
    options = dict(movflags='faststart')
    write_video(folder / 'whole.mp4', options=options, noise=30)
    whole = (folder / 'whole.mp4').read_bytes()
    cut = folder / 'cut.mp4'
    cut.write_bytes(whole[: len(whole) // 2])
    return str(cut)


def brightness(frames):
    return [round((float(frame.mean()) - 20) / 5) for frame in frames]


@pytest.mark.parametrize('backend', BACKENDS)
def test_all_decoders_give_the_same_frames(h264, backend):
    inds = [7, 39, 7, 0, 21, *range(20, 0, -1)]
    with Video(h264, [backend]) as video:
        assert (len(video), video.fps, video.backend) == (FRAMES, 10, backend)
        frames = video.frames(np.array(inds))
    assert brightness(frames) == inds
    for frame in frames:
        assert (frame.dtype, frame.shape) == (np.uint8, (64, 96, 3))
        assert frame.flags.c_contiguous
        assert frame.flags.writeable
    frames[0][:] = 0  # transforms work in place
    assert brightness(frames[2:3]) == [7]


@pytest.mark.parametrize('backend', BACKENDS)
def test_colours_come_as_rgb(folder, backend):
    path = folder / f'red_{backend}.mp4'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, 'yuv420p'
        image = np.zeros((64, 64, 3), np.uint8)
        image[..., 0] = 200
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format='rgb24')))
        container.mux(stream.encode())
    with Video(str(path), [backend]) as video:
        red, green, blue = video.frames([0])[0].reshape(-1, 3).mean(0)
    assert red > 180
    assert max(green, blue) < 20


def test_the_next_decoder_takes_over(av1):
    with Video(av1, ['decord', 'opencv', 'pyav']) as video:
        assert brightness(video.frames([3, 30])) == [3, 30]
        assert (len(video), video.backend) == (FRAMES, 'pyav')
        assert [failure.split(':')[0] for failure in video.failures] == [
            *('decord', 'opencv')
        ]


@pytest.fixture
def replaced(monkeypatch):
    """Decoders of this file in place of those of the package, in their process."""
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    monkeypatch.setitem(videos.FOREIGN, 'decord', 'half_decoders:HalfDecord')
    monkeypatch.setitem(videos.FOREIGN, 'opencv', 'half_decoders:Generous')
    if isolated._child is not None:
        isolated._child.stop()  # it imports less
    yield
    isolated._child.stop()


def test_the_next_decoder_takes_over_half_way(h264, replaced):
    with Video(h264, ['decord', 'pyav']) as video:
        assert video.backend == 'decord'
        assert brightness(video.frames([3, 30])) == [3, 30]
        assert video.backend == 'pyav'
    with (
        Video(h264, ['decord']) as video,
        pytest.raises(VideoError, match=r'decoded: decord: .*damaged block$'),
    ):
        video.frames([3, 30])


def test_a_decoder_that_counts_otherwise_is_not_used(h264, replaced):
    with pytest.raises(VideoError, match='opencv: it finds 45 frames, there are 40'):
        Video(h264, ['opencv'])


def test_cut_videos_have_the_frames_that_are_left(promising):
    """Frames that should be there are not replaced by others, but for the last."""
    with Video(promising) as video:
        assert video.told == FRAMES
        assert 5 < len(video) < FRAMES - 11
        left, noise = np.arange(len(video)), 3  # which is that much brighter
        assert brightness(video.frames(left)) == (left + noise).tolist()
        after = brightness(video.frames([3, len(video) + 5]))
        assert after == [3 + noise, len(video) - 1 + noise]
        with pytest.raises(VideoError, match=f'it ends after {len(video)} frames'):
            video.frames([0, 39])
        with pytest.raises(ValueError, match='there is no frame -1'):
            video.frames([0, -1])


def test_frames_without_a_count_are_counted(folder):
    path = write_video(folder / 'x.mkv')
    with Video(path, ['pyav']) as video:
        assert len(video) == FRAMES
        assert brightness(video.frames([0, 39])) == [0, 39]


@pytest.mark.parametrize('backend', BACKENDS)
def test_shrinking_is_what_a_resize_would_do(folder, backend):
    path = write_video(folder / f'large_{backend}.mp4', size=(320, 240), frames=5)
    with Video(path, [backend]) as video:
        large, small = video.frames([4]), video.frames([4], short_side=100)
        assert video.frames([4], short_side=500)[0].shape == (240, 320, 3)
    results = dict(imgs=large, img_shape=(240, 320))
    resized = TRANSFORMS.build(dict(type='Resize', scale=(-1, 100)))(results)['imgs']
    np.testing.assert_array_equal(small[0], resized[0])
    np.testing.assert_array_equal(small[0], mmcv.imresize(large[0], (133, 100)))


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'is empty'),
        (b'no video at all', 'x.mp4 cannot be decoded: Invalid data found'),
    ],
)
def test_what_is_no_video_says_so(tmp_path, content, message):
    (tmp_path / 'x.mp4').write_bytes(content)
    with pytest.raises(VideoError, match=message) as caught:
        Video(str(tmp_path / 'x.mp4'))
    assert '\n' not in str(caught.value)
    with pytest.raises(FileNotFoundError):
        Video(str(tmp_path / 'y.mp4'))


def test_decoders_are_checked():
    with pytest.raises(ValueError, match="no decoder 'ffmpeg', expected some of pyav"):
        TRANSFORMS.build(dict(type='VideoInit', backend='ffmpeg'))
    with pytest.raises(ValueError, match='no decoder is installed: torchcodec'):
        TRANSFORMS.build(dict(type='VideoInit', backend='torchcodec'))
    TRANSFORMS.build(dict(type='VideoInit', backend=('torchcodec', 'decord')))


@pytest.mark.parametrize('sampler', ['SampleSparse', 'SampleFrames'])
def test_in_a_pipeline(h264, sampler):
    """Between the two stands any sampler, MMAction2's as well."""
    pipeline = [
        dict(type='VideoInit', backend='pyav'),
        dict(type=sampler, clip_len=4),
        dict(type='VideoDecode'),
    ]
    results = dict(filename=h264, start_index=0)
    for transform in map(TRANSFORMS.build, pipeline):
        results = transform(results)
    assert (results['total_frames'], results['avg_fps']) == (FRAMES, 10)
    assert brightness(results['imgs']) == results['frame_inds'].tolist()
    assert results['img_shape'] == results['original_shape'] == (64, 96)
    assert 'video_reader' not in results


def test_files_of_a_file_backend(h264, tmp_path):
    from mmengine.fileio import LocalBackend, register_backend

    class Shelf(LocalBackend):
        def get(self, path):
            return super().get(path.removeprefix('shelf://'))

    register_backend('shelf', Shelf, prefixes='shelf', force=True)
    for backend in ('decord', 'pyav'):
        with Video(f'shelf://{h264}', [backend]) as video:
            assert brightness(video.frames([3, 30])) == [3, 30]
    with pytest.raises(VideoError, match='OpenCV reads only files'):
        Video(f'shelf://{h264}', ['opencv'])


def test_nothing_stays_open(h264):
    import os

    before = len(os.listdir('/proc/self/fd'))
    for _ in range(5):
        for backend in BACKENDS:
            with Video(h264, [backend]) as video:
                video.frames([1])
    assert len(os.listdir('/proc/self/fd')) <= before


AWKWARD = (
    *(b'12:30:05.mp4', b'file:a.mp4', b'pipe:0', b'concat:a.mp4', b'-', b' a.mp4'),
    *(b'a%03d.mp4', b'a%d.jpg', b'a*?[1].mp4', b'a|b.mp4', b'x.m3u8', b'a.unknown'),
    *(b'\xff.mp4', b'a\nb.mp4', b'a\\b.mp4', b'http:/a.mp4'),
)


@pytest.mark.parametrize('name', AWKWARD)
def test_any_name_opens(h264, tmp_path, monkeypatch, name):
    """Relative too, where FFmpeg would take it for a protocol or a pattern."""
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(name)
    if '/' in name:
        os.mkdir(os.path.dirname(name))
    shutil.copy(h264, name)
    for path in (name, os.path.join('.', name), os.path.abspath(name)):
        for backend in BACKENDS[:2]:
            with Video(path, (backend,)) as video:
                assert len(video) == FRAMES
                assert abs(video.frames([7])[0].mean() - 55) < 3


@pytest.mark.parametrize('name', [b'12:30:05.mp4', b'\xff.mp4'])
def test_opencv_opens_any_name_or_says_so(h264, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    shutil.copy(h264, name)
    if name.isascii():
        with Video(os.fsdecode(name), ('opencv',)) as video:
            assert len(video) == FRAMES
    else:  # it would end the process
        with pytest.raises(VideoError, match='OpenCV reads only files'):
            Video(os.fsdecode(name), ('opencv',))


def test_colours_of_a_matrix_that_ffmpeg_lacks_are_refused():
    frame = av.VideoFrame(64, 48, 'yuv420p')
    frame.colorspace = 8  # YCgCo
    with pytest.raises(VideoError, match=r'yuv420p, matrix 8 of ITU-T H\.273'):
        ToRGB(64, 48)(frame, None)
