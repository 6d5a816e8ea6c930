"""Lists in every common format, and files with anything else."""

import gzip
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmaction_videomambapro.datasets.lists import (
    DELIMITERS,
    FORMATS,
    BadLine,
    ListError,
    Row,
    parse_list,
    read_list,
    row_line,
    without_prefix,
)

pytestmark = pytest.mark.base


@pytest.fixture
def write(tmp_path):
    def write(text, name='list.txt'):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def rows(path, *args, **kwargs):
    found = read_list(path, *args, **kwargs)
    return [(row.path, row.labels, row.total_frames) for row in found]


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('a/b.mp4 3\nc.webm 0\n', [('a/b.mp4', (3,), None), ('c.webm', (0,), None)]),
        ('a/b.mp4,3\nc, d.mp4,0', [('a/b.mp4', (3,), None), ('c, d.mp4', (0,), None)]),
        ('my clip 7.mp4 3', [('my clip 7.mp4', (3,), None)]),
        ('clip without ending 7', [('clip without ending', (7,), None)]),
        ('a.mp4\t3\n', [('a.mp4', (3,), None)]),
        ('a.mp4;3\n', [('a.mp4', (3,), None)]),
        ('a.mp4 3 5 9', [('a.mp4', (3, 5, 9), None)]),
        ('"a b.mp4",3\n', [('a b.mp4', (3,), None)]),
        ("'a, b.mp4' 3\n", [('a, b.mp4', (3,), None)]),
        ('v/1 120 5\nv/2 80 0', [('v/1', (5,), 120), ('v/2', (0,), 80)]),
        ('v/1,120,5', [('v/1', (5,), 120)]),
        ('train/n01/n01_1.JPEG 0', [('train/n01/n01_1.JPEG', (0,), None)]),
        ('/d/a.mp4\n/d/b.mp4', [('/d/a.mp4', (), None), ('/d/b.mp4', (), None)]),
        ('/d/a.mp4 1\n/d/b.mp4', [('/d/a.mp4', (1,), None), ('/d/b.mp4', (), None)]),
        ('# a list\n\n  a.mp4 3  \r\n', [('a.mp4', (3,), None)]),
        ('\ufeffa.mp4 3', [('a.mp4', (3,), None)]),
        ('ünïcode.mp4 3', [('ünïcode.mp4', (3,), None)]),
        (r'C:\new\a.mp4 3', [(r'C:\new\a.mp4', (3,), None)]),
        (r'"C:\new\a b.mp4",3', [(r'C:\new\a b.mp4', (3,), None)]),
        ("$'two\\nlines.mp4' 3", [('two\nlines.mp4', (3,), None)]),
        ("$'no end.mp4 3", [("$'no end.mp4", (3,), None)]),
    ],
)
def test_formats_are_found(write, text, expected):
    assert rows(write(text)) == expected


def test_a_given_format_decides(write):
    """Two numbers after a name without an extension are ambiguous."""
    path = write('v 120 5\n')
    assert rows(path) == [('v', (5,), 120)]
    assert rows(path, 'video') == [('v 120', (5,), None)]


def test_gzip(write):
    assert rows(write(gzip.compress(b'a.mp4 3\n'))) == [('a.mp4', (3,), None)]


def test_all_bad_lines_are_reported_at_once(write):
    lines = [
        'a.mp4 1',
        'b.mp4 x',
        'c.mp4 -1',
        '# d',
        '',
        'e.mp4',
        'f.mp4 2.5',
        'g.mp4 2',
    ]
    path = write('\n'.join(lines))
    with pytest.raises(ListError) as caught:
        read_list(path, 'video')
    assert [bad.number for bad in caught.value.bad] == [2, 3, 6, 7]
    first, *_ = str(caught.value).split('\n')
    assert first.startswith(f"{path}:2: the last column 'x'")
    assert "expected 'video_path label'" in first
    assert "'b.mp4 x'" in first


@pytest.mark.parametrize(
    ('text', 'form', 'reason'),
    [
        ('v 5', 'rawframes', "a column is missing, expected 'frame_folder_path"),
        ('v 0 5', 'rawframes', 'total_frames is 0'),
        ('a.mp4 9999999999', 'video', 'is not an integer'),
        ('a.mp4 \u0663', 'video', 'is not an integer'),
        ('a\0.mp4 3', 'video', 'null byte'),
        ('', 'video', 'no rows'),
    ],
)
def test_what_is_wrong_is_named(write, text, form, reason):
    with pytest.raises(ListError, match=reason):
        read_list(write(text), form)


def test_damaged_gzip(write):
    packed = gzip.compress(b''.join(b'video_%d.mp4 3\n' % i for i in range(9999)))
    with pytest.raises(ListError, match='the gzip file is damaged'):
        read_list(write(packed[: len(packed) // 2]))


def check_items(path, form, delimiter):
    for item in parse_list(path, form, delimiter):
        if isinstance(item, BadLine):
            assert item.number >= 1
            assert item.reason
            str(item)
        else:
            assert isinstance(item, Row)
            assert item.path
            assert all(label >= 0 for label in item.labels)
            assert item.total_frames is None or item.total_frames > 0


choices = dict(
    form=st.sampled_from([*FORMATS, 'auto']),
    delimiter=st.sampled_from([*DELIMITERS, 'auto']),
)


@given(content=st.binary(max_size=200), **choices)
def test_any_bytes_are_rows_or_located_errors(folder, content, **kwargs):
    path = folder / 'list'
    path.write_bytes(content)
    check_items(path, **kwargs)
    path.write_bytes(b'\x1f\x8b' + content)
    check_items(path, **kwargs)


@given(
    text=st.lists(
        st.text('ab 12.,;\t"\'#-\r\n\0é', max_size=20)
        | st.sampled_from(['a.mp4 1', 'v 12 3', '"a b.mp4",4', 'x.jpg;0', '/a.webm'])
    ).map('\n'.join),
    **choices,
)
def test_any_text_is_rows_or_located_errors(folder, text, **kwargs):
    path = folder / 'list'
    path.write_text(text, newline='')
    check_items(path, **kwargs)


@given(
    names=st.lists(
        st.text('abc 12,;"#é', min_size=1, max_size=12).map(str.strip), min_size=1
    ),
    delimiter=st.sampled_from(DELIMITERS),
)
def test_round_trip(folder, names, delimiter):
    written = [(f'v/{name}.mp4', (i,), None) for i, name in enumerate(names)]
    path = folder / 'list'
    lines = [f'{name}{delimiter}{label}\n' for name, (label,), _ in written]
    path.write_text(''.join(lines))
    assert rows(path, 'video', delimiter) == written


def test_frames_may_be_counted_in_lists_of_videos(write):
    assert rows(write('a.mp4 300 5\nb c.mp4 9 7'), 'counted') == [
        ('a.mp4', (5,), None),
        ('b c.mp4', (7,), None),
    ]
    counted = read_list(write('a.mp4 300 5\nb c.mp4 9 7'), 'counted')
    assert [row.counted for row in counted] == [300, 9]
    assert [row_line(row) for row in counted] == ['a.mp4 5', 'b c.mp4 7']
    with pytest.raises(ListError, match="expected 'video_path total_frames label'"):
        read_list(write('a.mp4 5\n'), 'counted')


def test_labels_may_be_words(write):
    names = ['making tea', '2', 'class 1', 'tea']
    text = (
        'a.mp4 making tea\nb c.mp4,tea\n"d, e.mp4","making tea"\nf class 1\ng.mp4 2\n'
    )
    assert rows(write(text), 'video', classes=names) == [
        ('a.mp4', (0,), None),
        ('b c.mp4', (3,), None),
        ('d, e.mp4', (0,), None),
        ('f', (2,), None),
        ('g.mp4', (2,), None),  # a number is a number
    ]
    with pytest.raises(ListError, match=r"'coffee' .* or a known class name") as error:
        read_list(write('a.mp4 tea\nb.mp4 coffee\n'), classes=names)
    assert [bad.number for bad in error.value.bad] == [2]


def test_files_that_are_not_lists_take_bounded_memory(write):
    with pytest.raises(ListError, match='line 2 is too long'):
        read_list(write(gzip.compress(b'a.mp4 1\n' + bytes(10**7))))


def test_prefixes_are_whole_folders():
    assert without_prefix('your_path/a.mp4', 'your_path') == 'a.mp4'
    assert without_prefix('your_path/a.mp4', 'your_path/') == 'a.mp4'
    assert without_prefix('your_path2/a.mp4', 'your_path') == 'your_path2/a.mp4'


awkward = st.text(
    'ab 12,;\t"\'#$\\\n\r.x{}[]%é\u3000\ufeff\x85', min_size=1, max_size=12
)
names = (
    st.binary(min_size=1, max_size=12).filter(lambda x: 0 not in x).map(os.fsdecode)
    | awkward
    | st.builds('{}{}'.format, awkward, st.sampled_from(['.mp4', '.mp4 3', ' 3', ',']))
    | st.sampled_from(["$'a' 3", "'a' 3", '[{"', 'path label', 'path,label'])
)
labels = st.lists(st.integers(0, 999_999_999), min_size=1, max_size=3).map(tuple)


@settings(max_examples=500)
@given(
    rows=st.lists(st.builds(lambda *x: Row(*x), names, labels), min_size=1, max_size=4)
    | st.lists(
        st.builds(lambda *x: Row(*x), names, labels, st.integers(1, 999_999_999)),
        min_size=1,
        max_size=4,
    )
)
def test_every_name_that_a_file_can_have(folder, rows):
    """Whatever is written is read back, and any editor can show it."""
    path = folder / 'list.txt'
    lines = [row_line(row) for row in rows]
    assert all(line.isprintable() for line in lines)
    path.write_text(''.join(f'{line}\n' for line in lines))
    form = 'rawframes' if rows[0].total_frames else 'video'
    assert [row._replace(line=0) for row in read_list(path, form)] == rows


def test_common_names_are_written_as_ever():
    for path in (
        'v/a.mp4',
        'my clip 7.mp4',
        'x, y.mp4',
        "it's.mp4",
        'C:\\a.mp4',
        '日本',
    ):
        assert row_line(Row(path, (3,))) == f'{path} 3'
    assert row_line(Row('v/1', (5,), 120)) == 'v/1 120 5'
    assert row_line(Row('#1/a.mp4', (3,))) == "$'#1/a.mp4' 3"
