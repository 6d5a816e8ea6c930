"""A camera's newest frames are answered, and a lost one ends in one sentence."""

import socket
import threading
import time
from contextlib import closing

import av
import cv2
import numpy as np
import pytest

from mmaction_videomambapro.apis.camera import FrameStream, answers, status_line
from mmaction_videomambapro.datasets.videos import live
from mmaction_videomambapro.errors import UsageError

FRAMES = 40
JPEG = b'--x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n'


@pytest.fixture(scope='module')
def video(tmp_path_factory):
    """Four seconds; frame i is grey, of brightness 5 i + 20."""
    path = tmp_path_factory.mktemp('camera') / 'grey.mp4'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, 'yuv420p'
        for i in range(FRAMES):
            image = np.full((64, 96, 3), 5 * i + 20, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())
    return str(path)


def shown(reader):
    """Numbers of the video's frames that a reader has."""
    images = reader.frames(range(len(reader)))
    return [round((int(image[0, 0, 0]) - 20) / 5) for image in images]


def to_the_end(stream):
    seen = 0
    while stream.wait(seen):
        seen += 1


class Webcam:
    """Stands in for OpenCV's: blue frames, some hundred a second, until it is lost."""

    lost = False

    def open(self, number):
        return number == 7

    def grab(self):
        time.sleep(0.002)
        return not self.lost

    def retrieve(self):
        return True, np.full((48, 64, 3), (255, 0, 0), np.uint8)

    def release(self):
        pass


@pytest.fixture
def webcam(monkeypatch):
    camera = Webcam()
    monkeypatch.setattr(cv2, 'VideoCapture', lambda: camera)
    return camera


def http_camera(frames):
    """The address of a camera that sends so many JPEGs and then nothing more."""
    server = socket.create_server(('127.0.0.1', 0))
    _, jpeg = cv2.imencode('.jpg', np.full((48, 64, 3), 100, np.uint8))
    jpeg = jpeg.tobytes()

    def serve():
        with server, server.accept()[0] as connection:
            connection.recv(4096)
            connection.sendall(
                b'HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace;'
                b'boundary=x\r\n\r\n' + JPEG % (len(jpeg), jpeg) * frames
            )
            connection.recv(4096)  # until the client leaves

    threading.Thread(target=serve, daemon=True).start()
    return f'127.0.0.1:{server.getsockname()[1]}'


def test_the_newest_window_is_the_end_of_what_was_played(video):
    with FrameStream(video, seconds=1, fps=10, short_side=32, speed=100) as stream:
        to_the_end(stream)
        with stream.newest() as window:
            assert window.fps == 10
            assert shown(window) == list(range(30, 40))
            first, again = window.frames([3, 3], short_side=16)
    assert first.shape == (16, 24, 3)
    assert not np.shares_memory(first, again)


@pytest.mark.parametrize(
    ('fps', 'last'), [(30, [37, 38, 38, 38, 39, 39]), (5, [32, 34, 36, 38])]
)
def test_a_window_has_the_rate_that_was_asked_for(video, fps, last):
    with FrameStream(video, seconds=len(last) / fps, fps=fps, speed=100) as stream:
        to_the_end(stream)
        assert shown(stream.newest()) == last


def test_a_file_is_played_at_its_own_rate(video):
    begin = time.monotonic()
    with FrameStream(video, seconds=1, fps=10, speed=10) as stream:
        to_the_end(stream)
    assert time.monotonic() - begin > 0.35


def test_answers_come_to_the_end_of_a_file(video):
    with FrameStream(video, seconds=1, fps=10, speed=40) as stream:
        found = list(answers(stream, lambda reader: dict(labels=shown(reader))))
    for answer in found:
        last = answer.result['labels'][-1]
        assert answer.result['labels'] == list(range(last - 9, last + 1))
        assert answer.latency >= 0
        assert answer.rate > 0
    assert found[-1].result['labels'][-1] == FRAMES - 1


def test_answers_keep_the_distance_that_was_asked_for(video):
    with FrameStream(video, seconds=1, fps=10, speed=40) as stream:
        found = answers(stream, lambda reader: dict(last=shown(reader)[-1]), every=1)
        *others, end = [answer.result['last'] for answer in found]
    assert end == FRAMES - 1
    assert all(np.diff(others) >= 10)


def test_the_end_of_a_short_file_is_answered(video):
    with FrameStream(video, seconds=9, fps=10, speed=100) as stream:
        (answer,) = answers(stream, lambda reader: dict(frames=shown(reader)))
    assert answer.result['frames'] == [0] * 50 + list(range(FRAMES))


def test_a_slow_model_skips_frames(webcam):
    def slow(window):
        stream.wait(window.last + 50)
        return {}

    with FrameStream(7, seconds=0.01, fps=1000) as stream:
        first, second = zip(answers(stream, slow), range(1, 3))
        assert stream.newest().frames([0])[0][0, 0].tolist() == [0, 0, 255]
        assert len(stream._kept) < 20
    assert second[0].skipped - first[0].skipped > 30


def test_a_lost_camera_ends_in_one_sentence(webcam):
    with FrameStream(7, seconds=0.01, fps=1000, patience=0.3) as stream:
        webcam.lost = True
        with pytest.raises(UsageError, match=r'^camera 7 delivers no frames any more'):
            list(answers(stream, lambda window: {}))


def test_a_stream_that_stalls_ends_in_one_sentence():
    url = f'http://me:secret@{http_camera(60)}/video?token=secret'
    with (
        FrameStream(url, seconds=0.01, patience=0.3) as stream,
        pytest.raises(UsageError, match='no frames any more') as error,
    ):
        list(answers(stream, lambda window: {}))
    assert str(error.value).startswith('http://127.0.0.1:')
    assert 'secret' not in str(error.value)


def test_a_camera_that_is_not_there(capfd):
    with pytest.raises(UsageError, match=r'^camera 99 cannot be opened: plug it in'):
        FrameStream('/dev/video99', seconds=1)
    assert capfd.readouterr().err == ''


def test_a_stream_that_is_not_there():
    with closing(socket.create_server(('127.0.0.1', 0))) as server:
        port = server.getsockname()[1]
    with pytest.raises(UsageError, match='cannot be opened: Connection refused'):
        FrameStream(f'rtsp://127.0.0.1:{port}/', seconds=1)


def test_files_that_cannot_play(tmp_path):
    with pytest.raises(FileNotFoundError):
        FrameStream(tmp_path / 'none.mp4', seconds=1)
    (tmp_path / 'text.mp4').write_text('no video')
    with pytest.raises(UsageError, match=r'text.mp4 cannot be played: '):
        FrameStream(tmp_path / 'text.mp4', seconds=1)


def test_a_window_too_large_for_memory(video):
    with pytest.raises(UsageError, match='96 x 64 pixels need more than 4 GB'):
        FrameStream(video, seconds=1e5)


def test_no_thread_is_left(video):
    before = set(threading.enumerate())
    with FrameStream(video, seconds=1):
        (thread,) = set(threading.enumerate()) - before
    assert not thread.is_alive()


@pytest.mark.parametrize('label', ['tea\r\n\x1b[2J\u202e', '茶' * 100, 'tea ' * 100])
def test_the_status_is_one_line(label, monkeypatch):
    monkeypatch.setenv('COLUMNS', '60')
    line = status_line(dict(labels=[label], scores=[0.5]), latency=0.2, rate=3)
    assert line.startswith('\r0.20 s, 3.0/s: ')
    assert line[1:].isprintable()
    assert len(line) + line.count('茶') <= 60


def test_the_status_names_an_error():
    line = status_line(dict(labels=[], scores=[], error='no memory'), 0.2, 3)
    assert 'no memory' in line


def test_an_answer_replaces_the_one_before_it():
    lines = [
        status_line(dict(labels=[label], scores=[1]), 0.2, 3) for label in ('long', '')
    ]
    assert len(set(map(len, lines))) == 1


def test_names_of_sources():
    for source, name in {
        '0': 'camera 0',
        '/dev/video12': 'camera 12',
        'rtsp://me:a/b@host/x': 'rtsp://host/x',
        'http://host/x?token=1': 'http://host/x',
        './0': './0',
        '100': '100',
    }.items():
        assert live.LiveSource(source).name == name
