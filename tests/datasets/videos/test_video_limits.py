"""No video takes a run down: what it may be, how large, for how long."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import pytest

from mmaction_videomambapro.datasets.videos import Video, VideoError, packets, source


def write_video(path, size=(64, 48), frames=60, codec='libx264', noise=False):
    """Frame i is grey, of luma 3 i + 16."""
    options = {'preset': 'ultrafast', 'g': '10'} if codec == 'libx264' else {}
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, 'yuv420p'
        for i in range(frames):
            frame = av.VideoFrame(*size, 'yuv420p')
            for plane, value in zip(frame.planes, (16 + 3 * i, 128, 128)):
                count = plane.buffer_size
                plane.update(os.urandom(count) if noise else bytes([value]) * count)
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


@pytest.fixture(scope='module')
def mp4(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp('limits') / 'a.mp4')


def refused(path, match, backends=('pyav',)):
    with pytest.raises(VideoError, match=match) as caught:
        Video(str(path), backends)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('backend', ['pyav', 'decord', 'opencv'])
def test_only_regular_files_are_opened(tmp_path, backend):
    os.mkfifo(tmp_path / 'pipe.mp4')
    refused(tmp_path / 'pipe.mp4', r'pipe\.mp4 is not a regular file', [backend])
    refused('/dev/zero', '/dev/zero is not a regular file', [backend])
    with pytest.raises(IsADirectoryError):
        Video(str(tmp_path), [backend])
    with pytest.raises(FileNotFoundError):
        Video(str(tmp_path / 'none.mp4'), [backend])


PLAYLISTS = {
    'm3u8': '#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n',
    'ffconcat': "ffconcat version 1.0\nfile '{}'\n",
    'sdp': 'v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n'
    'm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n',
    'mpd': '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" '
    'type="static"><Period><AdaptationSet><Representation id="0" bandwidth="1">'
    '<BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>',
}


@pytest.mark.parametrize('kind', PLAYLISTS)
def test_files_that_name_others_are_no_videos(mp4, tmp_path, kind):
    for name in (f'x.{kind}', 'x.mp4'):
        (tmp_path / name).write_text(PLAYLISTS[kind].format(mp4))
        refused(tmp_path / name, 'cannot be decoded: ')


def test_frames_may_be_as_large_as_8k(tmp_path):
    path = write_video(tmp_path / 'huge.mp4', (9008, 4096), 1)
    refused(path, 'its frames of 9008 x 4096 pixels are larger than 8192 x 4320')
    path = write_video(tmp_path / 'huge.ts', (9008, 4096), 1)
    refused(path, '9008 x 4096|cannot be decoded')


def test_frames_that_grow_are_refused(tmp_path, monkeypatch):
    """The limit holds for the decoder too, whatever the container says."""
    small, large = (
        write_video(tmp_path / f'{size[0]}.ts', size, 30)
        for size in ((64, 48), (640, 480))
    )
    joined = tmp_path / 'joined.ts'
    joined.write_bytes(b''.join(Path(path).read_bytes() for path in (small, large)))
    with Video(str(joined)) as video:
        assert len(video) == 60
    monkeypatch.setitem(packets.OPTIONS, 'max_pixels', '10000')
    refused(joined, r'joined\.ts cannot be decoded: damaged at \d')


def test_time_is_limited(mp4, monkeypatch):
    monkeypatch.setattr(source, 'TIME_LIMIT', -1)
    refused(mp4, 'it takes longer than -1 s')
    monkeypatch.setattr(source, 'TIME_LIMIT', 100)
    with Video(mp4) as video:
        monkeypatch.setattr(source, 'TIME_LIMIT', -1)
        video._source.restart()
        with pytest.raises(VideoError, match='it takes longer than -1 s'):
            video.frames([0, 30])


def test_a_video_may_stay_open_for_long(mp4):
    """The time between two requests is nobody's fault."""
    with Video(mp4) as video:
        for ask in (lambda: video.frames([30]), lambda: video.traits):
            video._source._end = time.monotonic() - 1
            ask()


def test_errors_while_reading_are_not_printed(tmp_path, monkeypatch, capfd):
    """FFmpeg reads on after one; PyAV keeps one, and would print a second."""
    sparse = tmp_path / 'a.mkv'
    write_video(sparse)
    os.truncate(sparse, 8 << 30)
    monkeypatch.setattr(source, 'TIME_LIMIT', 0.5)
    refused(sparse, 'it takes longer than 0.5 s')
    assert capfd.readouterr() == ('', '')


def test_a_search_for_ever_ends(monkeypatch):
    """Even within one call of FFmpeg's, for it has to read."""

    class Endless:
        def __init__(self):
            self.at = 0

        def read(self, size):
            time.sleep(0.001)
            self.at += size
            return b'\0' * size

        def seek(self, offset, whence=0):
            self.at = offset
            return self.at

        def tell(self):
            return self.at

    monkeypatch.setattr(source, 'TIME_LIMIT', 0.3)
    start = time.monotonic()
    with pytest.raises((VideoError, av.FFmpegError)):
        packets.Packets(source.Source(Endless()))
    assert time.monotonic() - start < 5


def test_a_search_in_endless_zeros_ends(tmp_path, monkeypatch):
    """FFmpeg's parser would hold all that it has read."""
    monkeypatch.setattr(source, 'MOST_BYTES', 10 << 20)
    path = write_video(tmp_path / 'a.h264')
    with open(path, 'r+b') as file:
        file.truncate(40 << 20)
    refused(path, 'there is no frame in 10 MB')


@pytest.mark.parametrize('backend', ['pyav', 'decord', 'opencv'])
def test_a_file_may_end_within_a_key_frame(tmp_path, backend):
    """All frames before it are there; another decoder is not asked, or is exact."""
    made, whole = tmp_path / 'made.mp4', tmp_path / 'whole.mp4'
    write_video(made, (320, 240), 41, noise=True)  # the last one is a key frame
    options = dict(movflags='faststart')
    with av.open(str(made)) as given, av.open(str(whole), 'w', options=options) as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    with av.open(str(whole)) as container:
        last = [p for p in container.demux(video=0) if p.is_keyframe and p.size][-1]
        end = last.pos + last.size // 2
    cut = tmp_path / 'cut.mp4'
    cut.write_bytes(whole.read_bytes()[:end])
    with Video(str(cut), [backend, 'pyav']) as video:
        assert len(video) == 40
        assert len(video.frames(range(40))) == 40
        assert not any('index' in failure for failure in video.failures)


def test_threads_may_share_a_video(mp4):
    with Video(mp4) as video, ThreadPoolExecutor(8) as pool:
        single = [video.frames([i])[0] for i in range(60)]
        for i, frames in enumerate(pool.map(video.frames, [[i] for i in range(60)])):
            assert (frames[0] == single[i]).all()


@pytest.mark.parametrize('held', [0, 1 << 30])
def test_large_files_are_not_held_in_memory(tmp_path, monkeypatch, held):
    """Their packets are read again; the frames are the same."""
    monkeypatch.setattr(packets, 'HELD_BYTES', held)
    for name, codec in (('a.mkv', 'libx264'), ('a.ts', 'libx264'), ('a.avi', 'mpeg4')):
        path = write_video(tmp_path / name, codec=codec)
        with Video(path) as video:
            for inds in ([59, 0, 31], [31], [5, 6], range(60)):
                for i, frame in zip(inds, video.frames(inds), strict=True):
                    assert abs(float(frame.mean()) - 3 * i * 255 / 219) < 6, (name, i)


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(packets, 'HELD_BYTES', 0)
    path = write_video(tmp_path / 'a.mkv', (320, 240), noise=True)
    with Video(path) as video:
        data = bytearray(Path(path).read_bytes())
        data[len(data) // 3 :] = bytes(len(data) - len(data) // 3)
        with open(path, 'r+b') as file:
            file.write(data)
        with pytest.raises(VideoError, match='cannot be decoded: pyav: '):
            video.frames([10, 50])


def test_broken_files_leave_nothing_open(tmp_path):
    broken = tmp_path / 'broken.mp4'
    data = Path(write_video(tmp_path / 'a.mp4')).read_bytes()
    before = len(os.listdir('/proc/self/fd'))
    for i in range(200):
        broken.write_bytes(data[: i * len(data) // 200])
        try:
            with Video(str(broken)) as video:
                video.frames([0])
        except VideoError:
            pass
    assert len(os.listdir('/proc/self/fd')) <= before


def test_decoders_print_nothing(tmp_path):
    """Where training runs, a broken file is one line of ours."""
    path = tmp_path / 'broken.mp4'
    data = bytearray(Path(write_video(tmp_path / 'a.mp4')).read_bytes())
    start, end = len(data) // 3, len(data) // 2
    data[start:end] = os.urandom(end - start)
    path.write_bytes(data)
    code = (
        'from mmaction_videomambapro.datasets.videos import Video, VideoError\n'
        'for backend in ("pyav", "decord", "opencv"):\n'
        '    try:\n'
        f'        Video({str(path)!r}, [backend]).frames([0, 50])\n'
        '    except VideoError as error:\n'
        '        print(error)\n'
    )
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ''
    assert all('cannot be decoded' in line for line in done.stdout.splitlines())
    assert done.stdout
