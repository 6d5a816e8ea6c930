"""Captions over a video that is otherwise what it was."""

import errno
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from mmaction_videomambapro.datasets.videos import Video, VideoError
from mmaction_videomambapro.errors import UsageError
from mmaction_videomambapro.visualization import annotated_video
from mmaction_videomambapro.visualization.annotated_video import Strip, annotate

RATE = 20
SECONDS = 1.5


def write(path, size=(64, 48), times=range(30), sound='aac', late=0, codec='libx264'):
    """Grey frames of brightness 4 i + 20, and a tone from ``late`` seconds on."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.width, stream.height = size
        stream.pix_fmt = 'yuv444p' if size[0] % 2 else 'yuv420p'
        if sound:
            voice = container.add_stream(sound, rate=48000, layout='stereo')
        for i, time in enumerate(times):
            image = np.full((size[1], size[0], 3), 4 * i + 20, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format='rgb24')
            frame.pts = time
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound:
            wave = np.sin(np.arange(int(48000 * SECONDS)) / 20) / 4
            kind = voice.codec_context.format.name
            samples = np.stack([wave, wave]).astype(np.float32)
            whole = av.AudioFrame.from_ndarray(samples, 'fltp', 'stereo')
            whole.rate, whole.pts, whole.time_base = 48000, 0, Fraction(1, 48000)
            whole.pts = int(48000 * late)
            for frame in av.AudioResampler(kind, 'stereo', 48000).resample(whole):
                container.mux(voice.encode(frame))
            container.mux(voice.encode())
    return str(path)


def shown(path):
    """Of a file: size, seconds of frames, and of the sound codec, start and end."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        size = stream.width, stream.height
        times = [float(f.pts * f.time_base) for f in container.decode(stream)]
    with av.open(str(path)) as container:
        sounds = container.streams.audio
        if not sounds:
            return size, times, None
        frames = list(container.decode(sounds[0]))
        start = float(frames[0].pts * frames[0].time_base)
        end = float(frames[-1].pts * frames[-1].time_base)
        end += frames[-1].samples / frames[-1].sample_rate
        name = sounds[0].codec_context.codec.canonical_name
    return size, times, (name, start, end)


def test_frames_times_and_sound_are_kept(tmp_path):
    path = write(tmp_path / 'a.mp4')
    annotate(path, tmp_path / 'b.mp4', [])
    before, after = shown(path), shown(tmp_path / 'b.mp4')
    assert after[0] == before[0]
    assert after[1] == pytest.approx(before[1], abs=1e-5)
    assert after[2][0] == 'aac'
    assert after[2][1:] == pytest.approx(before[2][1:], abs=1e-3)
    with Video(path) as one, Video(str(tmp_path / 'b.mp4')) as other:
        pairs = zip(one.frames(range(30)), other.frames(range(30)))
        assert max(np.abs(a.astype(int) - b).max() for a, b in pairs) <= 4
    with av.open(path) as one, av.open(str(tmp_path / 'b.mp4')) as other:
        pairs = zip(one.demux(audio=0), other.demux(audio=0))
        assert all(bytes(a) == bytes(b) for a, b in pairs)  # copied
        assert other.streams.video[0].average_rate == RATE


@pytest.mark.parametrize('sound', ['libopus', 'pcm_s16le', 'flac', 'mp3', None])
def test_other_sound_becomes_aac(tmp_path, sound):
    path = write(tmp_path / 'a.mkv', sound=sound)
    annotate(path, tmp_path / 'b.mp4', [])
    before, after = shown(path)[2], shown(tmp_path / 'b.mp4')[2]
    if sound is None:
        assert after is None
    else:
        assert after[0] == ('mp3' if sound == 'mp3' else 'aac')
        assert after[1:] == pytest.approx(before[1:], abs=0.05)


@pytest.mark.parametrize('sound', ['aac', 'libopus'])
@pytest.mark.parametrize('extension', ['mkv', 'ts'])
def test_variable_rate_and_sound_that_starts_later(tmp_path, extension, sound):
    """Of a transport stream the clock does not start at 0."""
    times = [0, 1, 2, 10, 11, 25, 26, 40]
    path = write(tmp_path / f'a.{extension}', times=times, late=0.5, sound=sound)
    annotate(path, tmp_path / 'b.mp4', [])
    before, after = shown(path), shown(tmp_path / 'b.mp4')
    assert after[1] == pytest.approx([t / RATE for t in times], abs=1e-3)
    first = before[1][0]
    expected = [t - first for t in before[2][1:]]
    assert after[2][1:] == pytest.approx(expected, abs=0.05)


def test_sound_that_starts_earlier(tmp_path):
    path = write(tmp_path / 'a.mkv', times=range(20, 30))
    annotate(path, tmp_path / 'b.mp4', [])
    before, after = shown(path), shown(tmp_path / 'b.mp4')
    gap = before[1][0] - before[2][1]
    assert gap > 0.9
    assert after[1][0] - after[2][1] == pytest.approx(gap, abs=0.03)


def test_odd_sizes_gain_a_pixel(tmp_path):
    path = write(tmp_path / 'a.mkv', size=(65, 47), sound=None)
    annotate(path, tmp_path / 'b.mp4', [(0, 9, 'x')])
    assert shown(tmp_path / 'b.mp4')[0] == (66, 48)


def test_rotated_frames_are_upright(tmp_path):
    path = write(tmp_path / 'a.mp4', sound=None)
    content = bytearray((tmp_path / 'a.mp4').read_bytes())
    matrix = content.index(bytes.fromhex('00010000' + '00' * 12 + '00010000'))
    matrix = content.index(
        bytes.fromhex('00010000' + '00' * 12 + '00010000'), matrix + 4
    )  # after the movie's, the track's
    unit, minus, none = b'\0\1\0\0', b'\xff\xff\0\0', bytes(4)
    content[matrix : matrix + 20] = none + unit + none + minus + none
    (tmp_path / 'a.mp4').write_bytes(content)
    with Video(path) as video:
        assert video.frames([0])[0].shape == (64, 48, 3)
    annotate(path, tmp_path / 'b.mp4', [])
    assert shown(tmp_path / 'b.mp4')[0] == (48, 64)


def test_captions_are_there_at_their_time(tmp_path):
    path = write(tmp_path / 'a.mp4', size=(96, 64), sound=None)
    captions = [(0.2, 0.5, 'tea'), (0.5, 0.6, 'milk\n打太极拳 0.5'), (1.0, 9.0, 'tea')]
    annotate(path, tmp_path / 'b.mp4', captions)
    with Video(str(tmp_path / 'b.mp4')) as video:
        has_text = [np.ptp(f) > 100 for f in video.frames(range(30))]
    assert has_text == [4 <= i < 12 or i >= 20 for i in range(30)]


@pytest.mark.parametrize('level', [0, 128, 255])
def test_text_is_readable_on_any_ground(level):
    image = np.full((48, 64, 3), level, np.uint8)
    Strip('tea', image.shape).put_on(image)
    changed = image[np.argmax((image != level).any((1, 2))) :]
    changed = changed.max(-1).astype(int)
    assert changed.max() - np.median(changed) > 150


@pytest.mark.parametrize('shape', [(2, 2, 3), (16, 200, 3), (300, 20, 3), (33, 47, 3)])
@pytest.mark.parametrize('text', ['', 'one ' * 99, 'x' * 300, '\x1b\0\n\n$', '动' * 40])
def test_every_text_fits_every_frame(shape, text):
    image = np.full(shape, 255, np.uint8)
    Strip(text, shape).put_on(image)
    assert (image[: shape[0] // 2] == 255).all()


def test_damaged_frames_are_left_out(tmp_path, monkeypatch):
    path = write(tmp_path / 'a.mp4')
    stream = Video.stream

    def damaged(self, inds, short_side=None):
        for i, frame in enumerate(stream(self, inds, short_side)):
            yield VideoError('damaged') if i in lost else frame

    monkeypatch.setattr(Video, 'stream', damaged)
    lost = range(5, 9)
    annotate(path, tmp_path / 'b.mp4', [])
    times = shown(tmp_path / 'b.mp4')[1]
    assert len(times) == 26
    assert max(b - a for a, b in pairwise(times)) == pytest.approx(5 / RATE)
    lost = range(30)
    with pytest.raises(VideoError, match='none of its frames'):
        annotate(path, tmp_path / 'c.mp4', [])
    assert not (tmp_path / 'c.mp4').exists()


@pytest.mark.parametrize('sound', ['aac', 'flac', 'libopus'])
@pytest.mark.parametrize('whole', [0, 10])
def test_damaged_sound_does_not_stop_it(tmp_path, sound, whole):
    path = write(tmp_path / 'a.mkv', sound=sound)
    with av.open(path) as container:
        packets = [bytes(p) for p in container.demux(audio=0)][whole:-1]
    content = (tmp_path / 'a.mkv').read_bytes()
    for packet in packets:
        content = content.replace(packet, b'\xff' * len(packet))
    (tmp_path / 'a.mkv').write_bytes(content)
    annotate(path, tmp_path / 'b.mp4', [])
    with av.open(str(tmp_path / 'b.mp4')) as container:
        assert sum(1 for _ in container.decode(video=0)) == 30


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    path = write(tmp_path / 'a.mp4')
    (tmp_path / 'b.mp4').write_text('old')

    class Full:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, data):
            raise OSError(errno.ENOSPC, 'No space left on device')

    opened = av.open

    def on_full_disk(file, mode='r', **options):
        return opened(Full(file) if mode == 'w' else file, mode, **options)

    monkeypatch.setattr(annotated_video.av, 'open', on_full_disk)
    with pytest.raises(OSError, match='No space left'):
        annotate(path, tmp_path / 'b.mp4', [])
    assert (tmp_path / 'b.mp4').read_text() == 'old'
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.mp4', 'b.mp4']


def test_the_video_itself_and_other_formats_are_refused(tmp_path):
    path = write(tmp_path / 'a.mp4', times=range(2), sound=None)
    with pytest.raises(UsageError, match='choose another'):
        annotate(path, path, [])
    with pytest.raises(UsageError, match=r'ending in \.mp4'):
        annotate(path, tmp_path / 'b.avi', [])
