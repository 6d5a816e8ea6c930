"""The page as a visitor sees it, in a browser."""

import os
import re
import runpy
import signal
import socket
import subprocess
import sys

import av
import numpy as np
import pytest
import torch
from playwright.sync_api import expect

from mmaction_videomambapro.apis.inferencer import VideoInferencer
from mmaction_videomambapro.apis.over_time import OverTime
from mmaction_videomambapro.apis.page import app
from mmaction_videomambapro.errors import UsageError
from tests.conftest import ROOT, TOOL_ENVIRONMENT

HOSTILE = '<img src=x onerror="document.title=\'owned\'">'


class Watcher:
    """A model that saw different things in the two halves of ten seconds."""

    def __init__(self, first='drinking', second='eating', error=None):
        self.labels, self.error = [first, second], error

    def answers(self, inputs, top):
        (source,) = inputs
        answer = dict(path=source.name, labels=[], classes=[], scores=[])
        if self.error:
            yield dict(answer, error=f'{source.name} {self.error}')
        else:
            found = dict(labels=self.labels, classes=[0, 1], scores=[0.75, 0.25])
            yield dict(answer, **found, error=None)

    def over_time(self, source, top):
        windows = [dict(start=0, end=5, scores=[0.9, 0.1], error=None),
                   dict(start=5, end=10, scores=[0.9, 0.1], error=None)]  # fmt: skip
        windows[0].update(labels=self.labels, classes=[0, 1])
        windows[1].update(labels=self.labels[::-1], classes=[1, 0])
        segments = [
            dict(start=x['start'], end=x['end'], label=x['labels'][0], score=0.9)
            for x in windows
        ]
        (answer,) = self.answers([source], top)
        return OverTime(dict(answer, windows=windows, segments=segments))


@pytest.fixture
def watched(monkeypatch):
    monkeypatch.setattr(app, 'over_time', Watcher.over_time)


@pytest.fixture(scope='module')
def film(tmp_path_factory):
    """Ten seconds, as a file that browsers play."""
    return encode(tmp_path_factory.mktemp('film') / 'film.webm', 'libvpx')


def encode(path, codec):
    with av.open(str(path), 'w') as output:
        stream = output.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, 'yuv420p'
        for i in range(100):
            image = np.full((64, 96, 3), 2 * i, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        output.mux(stream.encode())
    return path


def bars(page, card=0):
    """Label and score of all bars of a model, once there are any."""
    rows = page.locator('.card').nth(card).locator('.bars li')
    rows.first.wait_for()
    return [tuple(row.inner_text().split('\n')[:2]) for row in rows.all()]


def moved_to(page, seconds):
    expect(page.locator('video')).to_have_js_property('currentTime', seconds)


def show(page, address, video):
    page.goto(address)
    page.locator('.card').first.wait_for()
    page.set_input_files('#file', video)


def test_two_models_answer_side_by_side(page, checkpoint, clips, tmp_path):
    """From the command line to the bars, and no upload stays when it ends."""
    content = torch.load(checkpoint, weights_only=False)
    content['state_dict']['cls_head.fc_cls.weight'] *= -1
    other = tmp_path / 'other.pth'
    torch.save(content, other)
    places = tmp_path / 'temporary'
    places.mkdir()
    process = subprocess.Popen(
        [sys.executable, 'tools/page.py', checkpoint, other, '--port', '0',
         '--device', 'cpu', '--top', '3'],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, **TOOL_ENVIRONMENT, 'TMPDIR': str(places)},
    )  # fmt: skip
    try:
        lines = iter(process.stdout.readline, '')
        address = next(filter(None, (re.match(r'http://127\.\S+', x) for x in lines)))[
            0
        ]
        video = next((clips / 'videos').rglob('*.mp4'))
        show(page, address, video)
        for i, model in enumerate((checkpoint, other)):
            (answer,) = VideoInferencer(model, device='cpu')(video, top=3)
            expected = [
                (label, f'{100 * score:.1f} %')
                for label, score in zip(answer['labels'], answer['scores'])
            ]
            assert bars(page, i) == expected
        cards = [x.bounding_box() for x in page.locator('.card').all()]
        assert cards[0]['y'] == cards[1]['y']
        assert cards[0]['x'] + cards[0]['width'] < cards[1]['x']
        assert any(places.rglob('video'))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
        assert not any(places.rglob('video'))
    finally:
        process.kill()
        process.stdout.close()


def test_errors_are_shown_in_place(page, served, film, tmp_path):
    address = served(
        dict(a=Watcher(error='there is no video in it'), b=Watcher()), 100_000
    )
    show(page, address, film)
    error = page.locator('.card').first.locator('.error')
    error.wait_for()
    assert error.inner_text() == 'film.webm there is no video in it'
    assert bars(page, 1)  # the other model is not concerned

    sent = []
    page.on('request', lambda request: sent.append(request.url))
    large = tmp_path / 'large.mp4'
    large.write_bytes(bytes(200_000))
    page.set_input_files('#file', large)
    alert = page.get_by_role('alert')
    alert.wait_for()
    assert alert.inner_text() == 'large.mp4 has 0.2 MB; this page takes at most 0.1 MB.'
    assert not sent


def test_names_are_text(page, served, film, watched):
    show(page, served({HOSTILE: Watcher(HOSTILE, HOSTILE)}), dict(
        name=f'{HOSTILE}.webm'.replace('/', ''), mimeType='video/webm',
        buffer=film.read_bytes(),
    ))  # fmt: skip
    assert bars(page)[0] == (HOSTILE, '75.0 %')
    page.get_by_text('what happens when').click()
    page.locator('.strip button').first.wait_for()
    assert page.locator('.card h2').inner_text() == HOSTILE
    assert HOSTILE in page.locator('#name').inner_text()
    assert page.locator('img').count() == 0
    assert page.title() == 'What happens in this video?'


def test_a_picture_says_why(page, served, inferencer, clips, tmp_path):
    """It can be switched on and off for each model, and goes with its video."""
    film = next((clips / 'videos').rglob('*.mp4'))
    show(page, served({HOSTILE: inferencer, 'b': inferencer}), film)
    bars(page, 1)
    pictures, asked = page.locator('#reasons img'), []
    page.on('request', lambda x: asked.append(x.url) if x.method == 'POST' else None)
    for i in (1, 0):
        page.locator('.why').nth(i).click()
        expect(page.locator('.why').nth(i)).to_have_text('Hide why')
    expect(pictures).to_have_count(2)
    for i in range(2):
        expect(pictures.nth(i)).to_have_js_property('complete', True)
        assert pictures.nth(i).evaluate('x => x.naturalWidth') > 1000
    captions = page.locator('#reasons figcaption').all_inner_texts()
    assert [x.split(': ')[0] for x in captions] == [HOSTILE, 'b']
    assert bars(page)[0][0] in pictures.first.get_attribute('alt')
    assert page.title() == 'What happens in this video?'

    page.locator('.why').first.click()
    expect(pictures).to_have_count(1)
    page.locator('.why').first.click()
    expect(pictures).to_have_count(2)
    assert len(asked) == 2  # it was kept
    page.set_input_files('#file', film)
    expect(page.locator('#reasons')).to_be_hidden()
    expect(page.locator('.why').first).to_have_text('See why')


def test_a_click_on_the_timeline_moves_the_video(page, served, film, watched):
    show(page, served(dict(a=Watcher(), b=Watcher('running', 'jumping'))), film)
    bars(page, 1)
    page.get_by_text('what happens when').click()
    parts = page.locator('.strip').nth(1).locator('button')
    parts.nth(1).click()
    moved_to(page, 5)
    assert [x.inner_text() for x in parts.all()] == ['running', 'jumping']
    assert bars(page, 1)[0] == ('jumping', '90.0 %')  # what the model sees there
    expect(page.locator('.segments').nth(1).locator('.now')).to_contain_text('jumping')
    page.locator('.segments').nth(1).locator('button').first.click()
    moved_to(page, 0)
    assert bars(page, 1)[0] == ('running', '90.0 %')


def test_a_recording_of_the_camera_is_answered(page, served, inferencer):
    page.goto(served(dict(model=inferencer)))
    page.get_by_text('Record with the camera').click()
    page.get_by_text('Stop').wait_for()
    page.wait_for_timeout(1000)  # of recording
    page.get_by_text('Stop').click()
    assert len(bars(page)) == 5
    assert 'recording.' in page.locator('#name').inner_text()
    assert page.get_by_text('Record with the camera').is_visible()


def test_what_browsers_cannot_play_becomes_a_film(page, served, inferencer, tmp_path):
    film = encode(tmp_path / 'film.avi', 'mpeg4')
    show(page, served(dict(model=inferencer)), film)
    assert bars(page)
    expect(page.locator('video')).to_have_js_property('duration', 10)  # a copy
    page.get_by_text('what happens when').click()
    page.locator('.strip button').first.wait_for()
    page.get_by_text('Make the annotated video').click()
    expect(page.locator('video')).to_have_js_property('duration', 10)
    with page.expect_download() as download:
        page.get_by_text('Download the annotated video').click()
    assert download.value.suggested_filename == 'film-annotated.mp4'
    with av.open(download.value.path()) as video:
        assert sum(1 for _ in video.decode(video=0)) == 100


def test_a_video_can_be_dropped_in_and_replaced(page, served, film, tmp_path):
    page.goto(served(dict(a=Watcher())))
    page.locator('.card').wait_for()
    dropped = page.evaluate_handle(
        """bytes => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], 'dropped.webm'));
            return data;
        }""",
        list(film.read_bytes()),
    )
    page.dispatch_event('#stage', 'drop', dict(dataTransfer=dropped))
    assert bars(page)[0] == ('drinking', '75.0 %')
    expect(page.locator('#name')).to_contain_text('dropped.webm')
    with page.expect_event('response', lambda x: x.request.method == 'DELETE'):
        page.set_input_files('#file', film)
    assert bars(page)
    assert len(list(tmp_path.rglob('video'))) == 1  # the other one is gone


def test_a_removed_video_is_sent_again(page, served, film, watched, tmp_path):
    show(page, served(dict(a=Watcher())), film)
    bars(page)
    (key,) = [x for x in tmp_path.iterdir() if x.is_dir()]
    page.request.delete(f'{page.url}videos/{key.name}')
    page.get_by_text('what happens when').click()
    page.locator('.strip button').first.wait_for()


def test_it_fits_a_telephone(page, served, film, watched):
    page.set_viewport_size(dict(width=390, height=844))
    show(page, served({'work_dirs/' + 'long' * 30: Watcher(), 'b': Watcher()}), film)
    bars(page, 1)
    page.get_by_text('what happens when').click()
    page.locator('.strip').nth(1).wait_for()
    assert page.evaluate('document.documentElement.scrollWidth') == 390
    stage, video = (page.locator(x).bounding_box() for x in ('#stage', 'video'))
    assert video['height'] <= stage['height']
    tops = [
        page.locator(x).first.bounding_box()['y'] for x in ('video', '.strip', '.bars')
    ]
    assert tops == sorted(tops)


def test_what_to_install_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, 'starlette', None)
    monkeypatch.setattr(sys, 'argv', ['page.py', 'model'])
    main = runpy.run_path(str(ROOT / 'tools/page.py'))['main']
    with pytest.raises(
        UsageError, match=r"pip install 'mmaction_videomambapro\[page\]'"
    ):
        main()


def test_wrong_use_is_one_sentence(tool, checkpoint):
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        for arguments, message in (
            ((checkpoint, '--port', port), 'choose another --port'),
            (
                (checkpoint, '--host', '192.0.2.1', '--port', 0),
                '192.0.2.1 port 0 cannot',
            ),
            ((checkpoint, '--port', 99999), 'port 99999 cannot be used'),
            (('nothing', '--port', 0), 'not a config file, a checkpoint or'),
            ((checkpoint, '--weights', 'a', 'b'), 'must be as many as the models'),
            ((), 'the following arguments are required: MODEL'),
        ):
            process = tool('page.py', *arguments, check=False)
            assert process.returncode == 2
            assert message in process.stderr
            assert 'Traceback' not in process.stderr
