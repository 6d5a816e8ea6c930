"""What the checks of lists read and report."""

import csv
import os
import shutil

import av
import numpy as np
import pytest

from mmaction_videomambapro.datasets import list_check
from mmaction_videomambapro.datasets.convert import convert_list
from mmaction_videomambapro.datasets.list_check import TRAITS, check_rows
from mmaction_videomambapro.datasets.lists import Row
from mmaction_videomambapro.datasets.videos import VideoError


class Fake:
    """A stand-in for a video; its attributes are set by tests."""

    length, told, traits, fps, damage, grows = 100, None, frozenset(), 25.0, None, 0
    read: list

    def __init__(self, path):
        self.path, type(self).read = path, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed = True

    def __len__(self):
        return self.length

    def frames(self, inds, short_side):
        assert short_side == 32
        self.read.extend(map(int, inds))
        self._check(max(inds))
        return [np.zeros((32, 32, 3), np.uint8)] * len(inds)

    def verify(self):
        self.length += self.grows
        self.read.extend(range(self.length))
        self._check(self.length)

    def _check(self, last):
        if self.damage is not None and last >= self.damage:
            time = f'damaged at {self.damage / self.fps:.1f} s'
            raise VideoError(f'{self.path} cannot be decoded: pyav: {time}')


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """Make a row for a video with these attributes."""

    def make(name='a.mp4', counted=None, **attributes):
        kind = type('Fake', (Fake,), attributes)
        monkeypatch.setattr(list_check, 'Video', kind)
        (tmp_path / name).touch()
        return Row(str(tmp_path / name), (0,), line=1, counted=counted), kind

    return make


@pytest.mark.parametrize('length', [1, 5, 16, 17, 64, 65, 300])
def test_what_is_read(fake, length):
    row, kind = fake(length=length)
    assert check_rows([row], 'decode') == ([], [], 1)
    assert len(kind.read) == 16
    assert kind.read == sorted(kind.read)
    assert (kind.read[0], kind.read[-1]) == (0, length - 1)
    assert np.ptp(np.diff(kind.read)) <= 1
    assert check_rows([row], 'all') == ([], [], 1)
    assert kind.read[16:] == list(range(length))


def test_the_count_is_that_after_all_was_read(fake):
    row, _ = fake(length=70, grows=80)
    assert check_rows([row._replace(counted=150)], 'all') == ([], [], 1)


def test_damage_between_the_frames_that_a_sampler_reads(tmp_path):
    path, noise = str(tmp_path / 'a.mp4'), np.random.default_rng(0)
    with av.open(path, 'w') as out:
        stream = out.add_stream('libx264', rate=25, options={'g': '5', 'bf': '0'})
        stream.width, stream.height, stream.pix_fmt = 96, 64, 'yuv420p'
        for _ in range(301):
            image = noise.integers(0, 256, (64, 96, 3), np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format='rgb24')))
        out.mux(stream.encode())
    row = Row(path, (0,), line=1)
    assert check_rows([row], 'all') == ([], [], 1)
    with av.open(path) as video:
        packet = [p for p in video.demux(video=0) if p.size][12]
    with open(path, 'r+b') as file:
        file.seek(packet.pos + packet.size // 2)
        file.write(bytes(packet.size // 2))
    assert check_rows([row], 'decode') == ([], [], 1)
    (finding,), _, _ = check_rows([row], 'all')
    assert finding == (1, path, 'damaged', 'at 0.5 s')


@pytest.mark.parametrize(
    ('attributes', 'kind', 'detail'),
    [
        (dict(damage=80), 'damaged', 'at 3.2 s'),
        (dict(damage=80, name='damaged at 9.9 s.mp4'), 'damaged', 'at 3.2 s'),
        (dict(counted=120), 'count', '100 frames, the list says 120'),
        (dict(counted=99), 'count', '100 frames, the list says 99'),
        (
            dict(counted=200, told=300),
            'count',
            '100 frames, the list says 200, the file says 300',
        ),
        (dict(told=126), 'truncated', '100 frames, the file says 126'),
        (dict(length=7), 'short', '7 frames, 8 are needed'),
    ],
)
@pytest.mark.parametrize('check', ['decode', 'all'])
def test_faults(fake, attributes, kind, detail, check):
    row, _ = fake(**attributes)
    (finding,), notes, exact = check_rows([row], check, min_frames=8)
    assert finding == (1, row.path, kind, detail)
    assert notes == []
    assert exact == (kind == 'short')


@pytest.mark.parametrize('attributes', [{}, dict(told=100), dict(told=90, counted=100)])
def test_exact(fake, attributes):
    row, _ = fake(**attributes)
    assert check_rows([row], 'decode') == ([], [], 1)


def test_up_to_a_second_less_is_a_note(fake):
    row, _ = fake(told=125)
    note = 1, row.path, 'fewer frames', '100 frames, the file says 125'
    assert check_rows([row], 'decode') == ([], [note], 0)


def test_traits_are_notes_whatever_else_is_wrong(fake):
    row, _ = fake(traits=frozenset(TRAITS), damage=0)
    (finding,), notes, exact = check_rows([row], 'decode')
    assert (finding.kind, exact) == ('damaged', 0)
    assert {note.kind: note.detail for note in notes} == TRAITS


def test_notes_stop_nothing_and_are_reported(fake, tmp_path):
    row, _ = fake(traits=frozenset({'rotated', 'HDR'}), told=101)
    source, destination = tmp_path / 'list', tmp_path / 'out'
    source.write_text(f'{row.path} 3\n')

    def check(rows):
        return check_rows(rows, 'decode')

    assert convert_list(str(source), str(destination), check=check) == (1, 0)
    assert destination.read_text() == f'{row.path} 3\n'
    counts = (
        '1 rows, 0 bad lines\n       1 HDR\n       1 fewer frames\n       1 rotated\n'
    )
    assert (tmp_path / 'out.report.txt').read_text().startswith(counts)
    with open(f'{destination}.report.csv', newline='', encoding='utf-8') as file:
        rows = list(csv.reader(file))[1:]
    assert [row[2:] for row in rows] == [
        ['HDR', 'frames are not tone-mapped'],
        ['rotated', 'frames are turned upright'],
        ['fewer frames', '100 frames, the file says 101'],
    ]
    (tmp_path / 'counted').write_text(f'{row.path} 100 3\n')
    options = str(tmp_path / 'counted'), str(destination), 'counted'
    assert convert_list(*options, check=check) == (1, 0)


def test_all_images_of_a_folder(tmp_path):
    import cv2

    for i in range(1, 41):
        cv2.imwrite(str(tmp_path / f'img_{i:05}.jpg'), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / 'img_00002.jpg').write_text('no image')
    row = Row(str(tmp_path), (0,), 40)
    assert check_rows([row], 'decode').findings == []
    assert check_rows([row], 'all').findings[0][2:] == ('undecodable', 'img_00002.jpg')


def test_names_that_are_not_utf8_reach_reports_and_terminal(tool, clips, tmp_path):
    """Even if the terminal only supports ASCII."""
    good = next((clips / 'videos').rglob('*.mp4'))
    for name in ('a/1.mp4', 'a/2.mp4', 'b/1.mp4', 'b/2.mp4'):
        (tmp_path / 'videos' / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(good, tmp_path / 'videos' / name)
    (tmp_path / os.fsdecode(b'videos/a/na\xefve.mp4')).write_text('no video')
    env = dict(LC_ALL='C', PYTHONUTF8='0', PYTHONCOERCECLOCALE='0')
    arguments = tmp_path / 'videos', tmp_path / 'lists', '--check', 'all', '--jobs', 1
    result = tool('data/list_folder.py', *arguments, check=False, env=env)
    assert result.returncode == 2
    assert 'Traceback' not in result.stderr
    assert r"na\xefve.mp4': undecodable: " in result.stderr

    (tmp_path / 'list').write_bytes(b'a/1.mp4 0\na/na\xefve.mp4 1\n')
    options = '--data-root', tmp_path / 'videos', '--check', 'decode', '--jobs', 2
    arguments = tmp_path / 'list', tmp_path / 'out.txt', *options
    result = tool('data/convert_list.py', *arguments, check=False, env=env)
    assert result.returncode == 2
    assert 'Traceback' not in result.stderr
    assert 'list has 1 bad rows' in result.stderr
    report = (tmp_path / 'out.txt.report.csv').read_text(encoding='utf-8')
    assert r"na\xefve.mp4'" in report


def test_undecodable_names_are_quoted_in_reports(tmp_path):
    """VideoClsDataset reads such lists directly; this writes reports on them."""
    path = os.fsdecode(os.fsencode(tmp_path) + b'/\xff.mp4')
    open(path, 'w').close()
    (finding,), *_ = check_rows([Row(path, (0,), line=1)], 'decode')
    assert (finding.path, finding.kind) == (path, 'undecodable')
    assert '\udcff' not in finding.detail
