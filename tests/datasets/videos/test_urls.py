"""Videos from servers, which may be slow, missing or without end."""

import socket
import threading
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler

import numpy as np
import pytest

from mmaction_videomambapro.datasets.videos import Video, VideoError, source


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def server(clips):
    handler = partial(Handler, directory=str(clips / 'videos' / 'val'))
    with HTTPServer(('127.0.0.1', 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f'http://127.0.0.1:{http.server_port}'
        http.shutdown()
        thread.join()


def test_a_video_from_a_server(server, clips, monkeypatch):
    with Video(f'{server}/00000.mp4') as remote:
        frames = remote.frames([3, 7])
    with Video(str(clips / 'videos' / 'val' / '00000.mp4')) as local:
        assert np.array_equal(frames, local.frames([3, 7]))
    with pytest.raises(OSError, match=r'gone\.mp4 cannot be fetched: .*not found'):
        Video(f'{server}/gone.mp4')
    monkeypatch.setattr(source, 'LARGEST', 100)
    with pytest.raises(VideoError, match='download it first'):
        Video(f'{server}/00000.mp4')


def test_a_server_that_says_nothing(monkeypatch):
    monkeypatch.setattr(source, 'SILENCE', 0.2)
    with socket.create_server(('127.0.0.1', 0)) as silent:
        url = f'http://127.0.0.1:{silent.getsockname()[1]}/a.mp4'
        with pytest.raises(OSError, match='cannot be fetched: timed out'):
            Video(url)
