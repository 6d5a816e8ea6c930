"""Windows of a long video: the frames of the same windows cut out, decoded once."""

import weakref

import av
import numpy as np
import pytest

from mmaction_videomambapro.datasets.videos import Video, VideoError
from mmaction_videomambapro.datasets.videos.reader import Reader
from mmaction_videomambapro.datasets.videos.windows import window_starts, windows

FRAMES, RATE = 100, 10


def write(path, codec='libx264', gap=24, times=range(FRAMES), noise=0, **options):
    """Frame i is of brightness 2 i + 20, apart from noise."""
    random = np.random.default_rng(0)
    pixels = 'yuvj420p' if codec == 'mjpeg' else 'yuv420p'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 64, pixels
        stream.codec_context.gop_size = gap
        for i, time in enumerate(times):
            image = np.full((64, 96, 3), 2 * i + 20, np.uint8)
            if noise:
                image += random.integers(0, noise, image.shape, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            frame.pts = time
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


@pytest.fixture(scope='module')
def video(folder):
    return write(folder / 'video.mp4')


class Numbered:
    """A reader without a stream: frame i is full of i."""

    fps = 5.0

    def __init__(self, frames, broken=()):
        self.length, self.broken, self.made = frames, broken, []

    def __len__(self):
        return self.length

    def frames(self, inds, short_side=None):
        (i,) = inds
        if i in self.broken:
            raise VideoError(f'no frame {i}')
        frame = np.full((4, 6, 3), i % 256, np.uint8)
        self.made.append(weakref.ref(frame))
        return [frame]

    @property
    def alive(self):
        return sum(frame() is not None for frame in self.made)


@pytest.mark.parametrize(
    ('frames', 'length', 'stride', 'starts'),
    [
        (10, 4, 3, [0, 3, 6]), (11, 4, 3, [0, 3, 6, 7]), (10, 4, 4, [0, 4, 6]),
        (10, 2, 5, [0, 5, 8]), (4, 4, 1, [0]), (3, 4, 1, [0]), (1, 1, 1, [0]),
    ],
)  # fmt: skip
def test_the_last_window_ends_with_the_video(frames, length, stride, starts):
    assert window_starts(frames, length, stride) == starts
    found = list(windows(Numbered(frames), length, stride))
    assert [w.start for w in found] == starts
    assert found[-1].end == frames
    assert found[0].seconds == (0, min(length, frames) / 5)
    for window in found:
        seen = [int(f[0, 0, 0]) for f in window.frames(range(len(window)))]
        assert seen == list(range(window.start, window.end))


@pytest.mark.parametrize('short_side', [None, 32])
@pytest.mark.parametrize('wanted', [None, [31, 0, 7, 7]])
@pytest.mark.parametrize(
    ('codec', 'options'),
    [
        ('libx264', {}),
        ('libx264', dict(bf='0')),
        ('mpeg4', dict(bf='2')),
        ('mjpeg', {}),
    ],
)
def test_frames_are_those_of_the_video(folder, codec, options, wanted, short_side):
    path = write(folder / f'{codec}{len(options)}.mkv', codec, **options)
    asked = [0, 7, 31] if wanted else range(32)
    with Video(path) as video, Video(path) as other:
        for window in windows(video, 32, 13, short_side, wanted):
            inds = [window.start + i for i in asked]
            expected = other.frames(inds, short_side)
            np.testing.assert_array_equal(window.frames(asked, short_side), expected)


def test_each_packet_is_decoded_once(video, monkeypatch):
    decoded = []
    decode = Reader._decode

    def counted(self, start, wanted=None):
        for number, frame in decode(self, start, wanted):
            decoded.append(number)
            yield number, frame

    with Video(video) as file:
        monkeypatch.setattr(Reader, '_decode', counted)
        assert len(list(windows(file, 40, 5))) == 13
    assert sorted(decoded) == list(range(FRAMES))


def test_frames_stay_while_a_window_needs_them():
    reader = Numbered(1000)
    for window in windows(reader, 20, 10, wanted=range(0, 20, 5)):
        window.close()
        assert reader.alive <= 4
    reader = Numbered(1000)
    batch = []
    for window in windows(reader, 20, 10):
        batch.append(window)
        if len(batch) == 4:
            assert [w.frames([19])[0][0, 0, 0] for w in batch] == [
                (w.start + 19) % 256 for w in batch
            ]
            assert reader.alive <= 20 + 3 * 10
            batch.clear()


def test_windows_share_no_memory_with_what_they_give():
    """Transforms write into frames."""
    first, second = windows(Numbered(15), 10, 5)
    first.frames([7])[0][:] = 99
    assert first.frames([7])[0].max() == 7
    assert second.frames([2])[0].max() == 7


def test_what_was_not_kept_is_not_there():
    (window,) = windows(Numbered(10), 10, 5, wanted=[2])
    with pytest.raises(ValueError, match='frame 3'):
        window.frames([2, 3])
    window.close()
    with pytest.raises(ValueError, match='frame 2'):
        window.frames([2])


@pytest.mark.parametrize(
    ('length', 'stride', 'wanted'),
    [(0, 1, None), (1, 0, None), (4, 1, [4]), (4, 1, [])],
)
def test_impossible_windows_are_refused(length, stride, wanted):
    with pytest.raises(ValueError, match=r'positive|frames 0 to 3'):
        next(windows(Numbered(10), length, stride, wanted=wanted))


def test_a_broken_frame_breaks_its_windows_only():
    found = list(windows(Numbered(40, broken={17}), 10, 5))
    assert [w.start for w in found if w.error] == [10, 15]
    with pytest.raises(VideoError, match='no frame 17'):
        found[2].frames([7])
    assert found[2].frames([6])[0].max() == 16


def test_after_damage_it_goes_on(folder):
    """And says when; the frames around are those that the video gives one by one."""
    path = folder / 'damaged.mp4'
    write(path, noise=30, bf='2', b_strategy='0', sc_threshold='0')
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        place, size = packets[30].pos, packets[30].size
    content = bytearray(path.read_bytes())
    content[place + size // 2 : place + size] = bytes(size - size // 2)
    path.write_bytes(content)
    with Video(str(path)) as video, Video(str(path)) as other:
        found = list(windows(video, 1, 1))
        lost = [w.start for w in found if w.error]
        assert lost == list(range(lost[0], 48))
        assert 24 <= lost[0] <= 34
        assert 'damaged at 2.9 s' in str(found[lost[0]].error)
        for window in found:
            if window.start not in lost:
                expected = other.frames([window.start])
                np.testing.assert_array_equal(window.frames([0]), expected)
        with pytest.raises(VideoError, match=r'damaged at 2\.9 s'):
            other.frames([lost[0]])


def test_seconds_are_those_of_the_frames(folder):
    """Whatever the rate; the first frame is at 0."""
    path = write(folder / 'variable.mkv', times=[5, 6, 7, 17, 18, 30])
    with Video(path) as video:
        found = [w.seconds for w in windows(video, 2, 2)]
    assert [start for start, _ in found] == pytest.approx([0, 0.2, 1.3])
    assert [end for _, end in found][:2] == pytest.approx([0.2, 1.3])


def test_other_decoders_give_windows_too(video):
    with Video(video, ['opencv']) as file, Video(video, ['opencv']) as other:
        for window in windows(file, 20, 40, short_side=32, wanted=[3, 11]):
            expected = other.frames([window.start + 3, window.start + 11], 32)
            np.testing.assert_array_equal(window.frames([3, 11]), expected)
        assert file.backend == 'opencv'
