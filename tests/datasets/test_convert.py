"""Lists are converted to MMAction2 annotation files, with optional checks."""

import csv
import os
import runpy
import shutil

import pytest
from mmaction.registry import DATASETS

from mmaction_videomambapro.datasets.convert import convert_list
from mmaction_videomambapro.datasets.list_check import (
    Finding,
    Report,
    check_rows,
    describe,
)
from mmaction_videomambapro.datasets.lists import ListError, Row, read_list
from mmaction_videomambapro.errors import UsageError
from tests.conftest import ROOT


@pytest.fixture
def videos(clips, tmp_path):
    """Good and broken files, named after what is wrong with them."""
    good = sorted((clips / 'videos').rglob('*.mp4')) or sorted(clips.rglob('*.mp4'))
    folder = tmp_path / 'videos'
    folder.mkdir()
    whole = good[0].read_bytes()
    (folder / 'good.mp4').write_bytes(whole)
    (folder / 'again.mp4').write_bytes(good[1].read_bytes())
    (folder / 'cut.mp4').write_bytes(whole[: len(whole) // 3])
    (folder / 'text.mp4').write_text('no video at all')
    (folder / 'empty.mp4').touch()
    return folder


@pytest.fixture
def run(monkeypatch, capsys):
    """What the tool prints, without a new process."""

    def run(*args):
        monkeypatch.setattr('sys.argv', ['convert_list.py', *map(str, args)])
        runpy.run_path(str(ROOT / 'tools/data/convert_list.py'))['main']()
        return capsys.readouterr().out

    return run


NAMES = 'good', 'cut', 'text', 'empty', 'gone', 'again'


def test_published_video_list(tool, tmp_path):
    source = tmp_path / 'train.csv'
    source.write_text('your_path/a.mp4 3\nyour_path/b.mp4 0\n')
    destination = tmp_path / 'deep' / 'train.txt'
    result = tool(
        'data/convert_list.py', source, destination,
        '--strip-prefix', 'your_path', '--data-root', 'data/k400',
    )  # fmt: skip
    assert destination.read_text() == 'data/k400/a.mp4 3\ndata/k400/b.mp4 0\n'
    assert '2 rows, 0 left out' in result.stdout
    assert source.read_text() == 'your_path/a.mp4 3\nyour_path/b.mp4 0\n'
    dataset = DATASETS.build(
        dict(type='VideoDataset', ann_file=str(destination), pipeline=[])
    )
    assert [dataset.get_data_info(i)['label'] for i in range(2)] == [3, 0]


def test_published_frame_list(tmp_path):
    source, destination = tmp_path / 'a', tmp_path / 'b'
    source.write_text('v/1 120 5\nv/2 80 0\n')
    convert_list(str(source), str(destination))
    dataset = DATASETS.build(
        dict(type='RawframeDataset', ann_file=str(destination), pipeline=[])
    )
    info = dataset.get_data_info(0)
    assert (info['frame_dir'], info['total_frames'], info['label']) == ('v/1', 120, 5)


def test_bad_lines_leave_the_old_file(run, tmp_path):
    source, destination = tmp_path / 'list', tmp_path / 'out'
    source.write_text('a.mp4 1\nb.mp4 x\nc d.mp4 2\n')
    destination.write_text('before')
    with pytest.raises(UsageError) as error:
        run(source, destination)
    assert f'{source}:2:' in str(error.value)
    assert f'{source}:3: the path contains a space' in str(error.value)
    assert destination.read_text() == 'before'
    assert sorted(os.listdir(tmp_path)) == ['list', 'out']
    assert '1 rows, 2 left out' in run(source, destination, '--skip-bad')
    assert destination.read_text() == 'a.mp4 1\n'


@pytest.mark.parametrize(
    ('line', 'reason'),
    [
        ("$'#1/a.mp4' 3", 'cannot be written to an MMAction2 annotation file'),
        ("$'two\\nlines.mp4' 3", 'cannot be written to an MMAction2 annotation file'),
        ("$'\\xff.mp4' 3", 'cannot be written to an MMAction2 annotation file'),
        ("$'a\\tb.mp4' 3", 'contains a space'),
        ('"it.mp4" 3', None),
        ("it's.mp4 3", None),
    ],
)
def test_names_that_mmaction_cannot_read_are_refused(tmp_path, line, reason):
    source, destination = tmp_path / 'a', tmp_path / 'b'
    source.write_text(f'{line}\n')
    if reason is None:
        convert_list(str(source), str(destination))
        (row,) = read_list(source)
        config = dict(type='VideoDataset', ann_file=str(destination), pipeline=[])
        info = DATASETS.build(config).get_data_info(0)
        assert (info['filename'], info['label']) == (row.path, 3)
    else:
        with pytest.raises(ListError, match=f'{reason}.* or let VideoClsDataset'):
            convert_list(str(source), str(destination))


def test_frame_counts_are_distinguished_from_labels(tmp_path):
    source, destination = tmp_path / 'a', tmp_path / 'b'
    source.write_text('a.mp4 300 5\nb.mp4 250 7\n')
    with pytest.raises(ListError, match='two numbers follow each path'):
        convert_list(str(source), str(destination))
    convert_list(str(source), str(destination), 'counted')
    assert destination.read_text() == 'a.mp4 5\nb.mp4 7\n'
    convert_list(str(source), str(destination), 'video')
    assert destination.read_text() == source.read_text()


def test_missing_prefixes_are_reported(tmp_path):
    source, destination = tmp_path / 'a', tmp_path / 'b'
    source.write_text('your_path/a.mp4 3\nyour_path2/b.mp4 0\n')
    convert_list(str(source), str(destination), strip_prefix='your_path')
    assert destination.read_text() == 'a.mp4 3\nyour_path2/b.mp4 0\n'
    with pytest.raises(ListError, match="no path begins with 'mine'"):
        convert_list(str(source), str(destination), strip_prefix='mine')


def test_official_files(run, clips, tmp_path):
    head = 'label,youtube_id,time_start,time_end,split\n'
    train, val, names = (tmp_path / x for x in ('train.csv', 'val.csv', 'names.txt'))
    train.write_text(f'{head}stir tea,abc,1,11,train\npour,def,2,12,train\n')
    val.write_text(f'{head}stir tea,ghi,1,11,val\n')
    with pytest.raises(
        UsageError, match=r'class names, such as .stir tea.: pass .* was not written'
    ):
        run(train, tmp_path / 'train.txt')
    output = run(train, tmp_path / 'train.txt', '--make-classes', names)
    assert 'names.txt: 2 classes' in output
    assert names.read_text() == 'pour\nstir tea\n'
    with pytest.raises(UsageError, match='exists: name it with --classes'):
        run(val, tmp_path / 'val.txt', '--make-classes', names)
    run(val, tmp_path / 'val.txt', '--classes', names, '--data-root', 'k400')
    assert (tmp_path / 'train.txt').read_text() == (
        'abc_000001_000011.mp4 1\ndef_000002_000012.mp4 0\n'
    )
    assert (tmp_path / 'val.txt').read_text() == 'k400/ghi_000001_000011.mp4 1\n'
    (tmp_path / 'splits').mkdir()
    for name in ('run', 'sit'):
        split = tmp_path / 'splits' / f'{name}_test_split1.txt'
        split.write_text('a.avi 1 \nb.avi 2 \nc.avi 0 \n')
    (tmp_path / 'sit').mkdir()
    shutil.copy(clips / 'videos/val/00000.mp4', tmp_path / 'sit' / 'b.avi')
    run(
        *(tmp_path / 'splits', tmp_path / 'hmdb.txt', '--subset', 'test'),
        *('--data-root', tmp_path, '--check', 'exists', '--jobs', 1, '--skip-bad'),
    )
    assert (tmp_path / 'hmdb.txt').read_text() == f'{tmp_path}/sit/b.avi 1\n'


def test_what_stops_a_list_is_not_skipped(tmp_path):
    source, destination = tmp_path / 'a', tmp_path / 'b'
    source.write_text('path,label,split\na.mp4,0,train\nb.mp4,0,val\nc.mp4,0,train\n')
    with pytest.raises(ListError, match="rows of 'train' and of 'val'"):
        convert_list(str(source), str(destination), skip_bad=True)
    assert not destination.exists()


@pytest.mark.parametrize(
    'option', ['--jobs=100000', '--jobs=0', '--num-classes=0', '--min-frames=-1']
)
def test_numbers_are_bounded(run, tmp_path, option):
    (tmp_path / 'a').write_text('a.mp4 3\n')
    with pytest.raises(
        UsageError, match=rf'{option.split("=")[0]} is .*, expected 1 to'
    ):
        run(tmp_path / 'a', tmp_path / 'b', option)


def test_a_large_label_costs_no_memory():
    rows = [Row('a.mp4', (999_999_999,)), Row('b.mp4', (0,))]
    text = describe(rows, 0, Report([], [], 0))
    assert '2 labels up to 999999999, 1 to 1 rows each' in text
    assert '999999998 labels without rows: 1, 2, 3, ' in text


def test_missing_source(tool, tmp_path):
    result = tool('data/convert_list.py', 'nowhere', tmp_path / 'out', check=False)
    assert result.returncode == 2
    assert 'nowhere' in result.stderr
    assert 'Traceback' not in result.stderr


def test_every_file_is_decoded(run, videos, tmp_path):
    source, destination = tmp_path / 'list', tmp_path / 'out'
    source.write_text(''.join(f'{name}.mp4 {i}\n' for i, name in enumerate(NAMES)))
    arguments = (
        *(source, destination, '--data-root', videos, '--check', 'decode'),
        *('--jobs', 2, '--num-classes', 5),
    )
    with pytest.raises(UsageError, match='has 5 bad rows'):
        run(*arguments)
    assert not destination.exists()
    run(*arguments, '--skip-bad')
    assert destination.read_text() == f'{videos}/good.mp4 0\n'
    with open(f'{destination}.report.csv') as file:
        found = {row['line']: row['kind'] for row in csv.DictReader(file)}
    assert found == {
        **{'2': 'undecodable', '3': 'undecodable', '4': 'undecodable'},
        **{'5': 'missing', '6': 'label'},
    }
    report = (tmp_path / 'out.report.txt').read_text()
    assert '3 undecodable\n       2 exact\n' in report
    assert '6 labels up to 5, 1 to 1 rows each' in report


def test_frames_of_folders(tmp_path):
    import cv2
    import numpy as np

    for i in (1, 2, 4):
        cv2.imwrite(str(tmp_path / f'img_{i:05}.jpg'), np.zeros((8, 8, 3), np.uint8))
    row = Row(str(tmp_path), (0,), 2, 1)
    assert check_rows([row], 'decode') == Report([], [], 0)
    (tmp_path / 'img_00003.jpg').write_text('no image')
    ((finding,), *_) = check_rows([row._replace(total_frames=3)], 'decode')
    assert finding[2:] == ('undecodable', 'img_00003.jpg')
    (tmp_path / 'img_00003.jpg').unlink()
    ((finding,), *_) = check_rows([row._replace(total_frames=4)], 'decode')
    assert finding[2:] == ('missing', 'no frame img_00003.jpg')
    ((finding,), *_) = check_rows([row], 'decode', min_frames=3)
    assert finding.kind == 'short'


def test_pipes_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'a.mp4')
    ((finding,), *_) = check_rows([Row(str(tmp_path / 'a.mp4'), (0,))], 'decode')
    assert finding[2:] == ('undecodable', 'it is not a file')


def test_splits_and_duplicates():
    rows = [Row(path, (0,), None, i) for i, path in enumerate('abca', 1)]
    found = check_rows(rows, others=frozenset('c')).findings
    assert [(f.line, f.kind) for f in found] == [(3, 'overlap'), (4, 'duplicate')]
    assert 'line 1' in found[1].detail


def test_interrupted_writing_leaves_nothing(tmp_path, monkeypatch):
    source, destination = tmp_path / 'list', tmp_path / 'out'
    source.write_text('a.mp4 1\n')

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'replace', interrupt)
    with pytest.raises(KeyboardInterrupt):
        convert_list(str(source), str(destination))
    assert os.listdir(tmp_path) == ['list']


def test_no_good_row(tmp_path):
    source = tmp_path / 'list'
    source.write_text('a.mp4 x\n')
    with pytest.raises(ListError, match='no good rows'):
        convert_list(str(source), str(tmp_path / 'out'), 'video', skip_bad=True)


def test_a_list_does_not_overwrite_itself(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_text('a.mp4 0\n')
    (tmp_path / 'link').symlink_to(path)
    for destination in ('list.txt', 'link', '../' + tmp_path.name + '/list.txt'):
        with pytest.raises(UsageError, match='choose another destination'):
            convert_list(str(path), str(tmp_path / destination), strip_prefix='a')
    report = path.rename(tmp_path / 'new.report.txt')
    with pytest.raises(UsageError, match='choose another destination'):
        convert_list(
            str(report), str(tmp_path / 'new'), check=lambda rows: Report([], [], 0)
        )
    assert report.read_text() == 'a.mp4 0\n'


def test_a_report_holds_no_formulas(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_bytes(b'=cmd|x!A1.mp4 0\n\xff.mp4 1\n-a.mp4 1\n')

    def check(rows):
        found = [Finding(row.line, row.path, 'missing', '-') for row in rows]
        return Report(found, [], 0)

    with pytest.raises(ListError):
        convert_list(str(path), str(tmp_path / 'new'), check=check)
    report = tmp_path / 'new.report.csv'
    with open(report, newline='', encoding='utf-8') as file:
        rows = list(csv.reader(file))
    assert sorted(row[:3] for row in rows[1:]) == [
        ['1', "'=cmd|x!A1.mp4", 'missing'],
        ['2', "$'\\xff.mp4'", 'line'],  # cannot be in MMAction2's annotation files
        ['3', "'-a.mp4", 'missing'],
    ]
