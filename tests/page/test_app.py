"""The application behind the page: what it takes, keeps, serves and refuses."""

import asyncio
import http.client
import json
import os
import socket
import time
from urllib.parse import quote, urlsplit

import pytest

from mmaction_videomambapro.apis.page import uploads


@pytest.fixture
def ask(served, inferencer):
    """Sends a request exactly as it is given; status and JSON, or text, come back."""
    address = urlsplit(served(dict(demo=inferencer), limit=2_000_000)).netloc

    def ask(method, path, body=None, **headers):
        connection = http.client.HTTPConnection(address, timeout=60)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, text

    return ask


def send(ask, content, name='clip.mp4'):
    return ask('POST', f'/videos?name={name}', content)[1]['key']


def test_a_video_is_answered_and_removed(ask, clips, tmp_path):
    content = next((clips / 'videos').rglob('*.mp4')).read_bytes()
    key = send(ask, content, '..%2F..%2Fhome.mp4')
    status, answer = ask('POST', f'/videos/{key}/answers/0')
    assert (status, answer['path'], answer['error']) == (200, 'home.mp4', None)
    assert len(answer['scores']) == 5
    assert (tmp_path / key).exists()
    assert ask('DELETE', f'/videos/{key}')[0] == 204
    assert not (tmp_path / key).exists()
    status, refusal = ask('POST', f'/videos/{key}/answers/0')
    assert (status, refusal) == (410, dict(error='The video was removed.'))


@pytest.mark.parametrize(
    'content',
    [
        b'not a video',
        b'',
        b'#EXTM3U\n#EXTINF:1,\nfile:///%s\n#EXT-X-ENDLIST\n',
        b"ffconcat version 1.0\nfile '%s'\n",
        b'%s 0\n',
    ],
    ids=['text', 'empty', 'playlist', 'script', 'list'],
)
def test_what_is_not_a_video_is_one_sentence_about_the_file(ask, clips, content):
    """Even if it names another file."""
    if b'%s' in content:
        content %= os.fsencode(next((clips / 'videos').rglob('*.mp4')))
    key = send(ask, content, 'my.mp4')
    status, answer = ask('POST', f'/videos/{key}/answers/0')
    assert status == 200
    assert answer['labels'] == []
    assert answer['error'].startswith('my.mp4')
    assert key not in answer['error']
    assert '\n' not in answer['error']


def test_a_picture_says_why(served, inferencer, clips, tmp_path):
    address = urlsplit(served(dict(demo=inferencer))).netloc

    def ask(method, path, body=None):
        connection = http.client.HTTPConnection(address, timeout=60)
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()

    content = next((clips / 'videos').rglob('*.mp4')).read_bytes()
    key = json.loads(ask('POST', '/videos?name=a.mp4', content)[1])['key']
    path = f'/videos/{key}/why/0'
    assert ask('GET', path)[0] == 404  # not yet
    assert ask('POST', f'{path}?class=3')[0] == 204
    status, picture = ask('GET', path)
    assert status == 200
    assert picture.startswith(b'\x89PNG')
    for wrong in ('', '?class=', '?class=-1', '?class=a', '?class=../../a', '?class=²'):
        assert ask('POST', path + quote(wrong, safe='?=/.'))[0] == 404
    status, text = ask('POST', f'{path}?class=99')
    assert status == 500
    assert b'no class 99' in text
    assert ask('POST', f'/videos/{key}/why/1?class=0')[0] == 404

    key = json.loads(ask('POST', '/videos?name=my.mp4', b'not a video')[1])['key']
    status, text = ask('POST', f'/videos/{key}/why/0?class=0')
    assert status == 500
    assert json.loads(text)['error'].startswith('my.mp4')
    assert key not in text.decode()


def test_too_large_is_refused_and_leaves_nothing(ask, tmp_path):
    before = set(tmp_path.iterdir())
    content = bytes(2_000_001)
    for body in (content, iter([content])):  # with and without a length in front
        status, refusal = ask('POST', '/videos?name=a.mp4', body)
        assert status == 413
        assert 'larger than 2 MB' in refusal['error']
    assert ask('POST', '/videos?name=a.mp4', bytes(2_000_000))[0] == 200
    assert len(set(tmp_path.iterdir()) - before) == 1


def test_half_an_upload_does_not_stay(served, tmp_path):
    address = urlsplit(served({}))
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(
            b'POST /videos HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n\r\n'
            b'the first bytes'
        )
        while not list(tmp_path.rglob('video')):
            time.sleep(0.01)
    for _ in range(500):
        if not any(tmp_path.iterdir()):
            return
        time.sleep(0.01)
    raise AssertionError('it is still there')


def test_nothing_but_the_page_and_its_videos_is_served(ask, tmp_path):
    (tmp_path / 'secret.txt').write_text('root:')
    up = '../' * 12
    for path in (
        '/etc/passwd', f'/{up}etc/passwd', f'/{up.replace(".", "%2e")}etc/passwd',
        f'/{up.replace("/", "%2f")}etc%2fpasswd', '//etc/passwd',
        '/..%5c..%5csecret.txt',
        '/gradio_api/file=/etc/passwd', '/file=/etc/passwd', '/app.py', '/../app.py',
        '/%2e%2e/app.py', '/static/page.js', '/videos', '/videos/..%2fsecret.txt',
        f'/videos/{tmp_path}/annotated/0', '/videos/../annotated/0',
        '/videos/..%2f/annotated/0', '/videos/%2e%2e/annotated/0',
        '/videos/a/annotated/-1', '/videos/a/annotated/999', '/openapi.json', '/docs',
    ):  # fmt: skip
        status, text = ask('GET', path)
        assert status in (400, 404, 405, 410), path
        assert 'root:' not in str(text)
        assert 'import' not in str(text)
    key = send(ask, b'a video')
    for path in (
        f'/videos/{key}',
        f'/videos/{key}/video',
        f'/videos/{key}/annotated/0',
    ):
        assert ask('GET', path)[0] in (404, 405)
    assert ask('POST', f'/videos/{key}/answers/1')[0] == 404


def test_other_sites_cannot_use_it(ask):
    for headers in (
        dict(Origin='https://evil.example'), dict(Origin='null'),
        dict(Host='evil.example'), dict(Host='evil.example:80', Origin='http://evil.example:80'),
    ):  # fmt: skip
        status, _ = ask('POST', '/videos?name=a.mp4', b'a video', **headers)
        assert status in (400, 403), headers


def test_only_the_newest_videos_are_kept(ask, tmp_path):
    before = set(tmp_path.iterdir())
    keys = [send(ask, b'a video') for _ in range(uploads.MOST + 2)]
    left = {x.name for x in set(tmp_path.iterdir()) - before}
    assert left == set(keys[2:])


def test_old_videos_are_removed(tmp_path, monkeypatch):
    async def chunks():
        yield b'a video'

    kept = uploads.Uploads(str(tmp_path), 100)
    key = asyncio.run(kept.add('a.mp4', chunks()))
    kept.remove_old()
    assert (tmp_path / key / 'video').read_bytes() == b'a video'
    monkeypatch.setattr(uploads, 'MINUTES', 0)
    kept.remove_old()
    assert not any(tmp_path.iterdir())
    with pytest.raises(KeyError):
        kept.find(key)


def test_headers_keep_it_to_itself(served):
    address = urlsplit(served({})).netloc
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request('GET', '/')
    response = connection.getresponse()
    policy = response.headers['Content-Security-Policy']
    assert "default-src 'none'" in policy
    assert 'unsafe' not in policy
    assert 'http' not in policy
    assert b'://' not in response.read()
    connection.close()
