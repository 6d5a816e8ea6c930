"""Official annotation files, unchanged."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmaction_videomambapro.datasets.annotations import class_names, find_official
from mmaction_videomambapro.datasets.lists import ListError, parse_list, read_list

KINETICS = (
    'label,youtube_id,time_start,time_end,split,is_cc\n'
    'testifying,---QUuC4vJs,84,94,train,0\n'
    '"eating, drinking",--3ouPhoy2A,20,30,train,0\n'
)
SSV2 = [
    {'id': '78687', 'label': 'holding potato next to vicks vaporub bottle',
     'template': 'Holding [something] next to [something]',
     'placeholders': ['potato', 'vicks vaporub bottle']},
    {'id': '42326', 'label': 'stacking 4 coins', 'template':
     'Stacking [number of] [something]', 'placeholders': ['4', 'coins']},
]  # fmt: skip
SSV2_LABELS = {
    'Stacking number of something': '1', 'Holding something next to something': '0'
}  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def rows(path, *args, **kwargs):
    return [(row.path, row.labels) for row in read_list(path, *args, **kwargs)]


def test_kinetics(write):
    path = write('train.csv', KINETICS)
    expected = [
        ('---QUuC4vJs_000084_000094.mp4', (1,)),
        ('--3ouPhoy2A_000020_000030.mp4', (0,)),
    ]
    names = class_names(str(path))
    assert names == ['eating, drinking', 'testifying']
    assert rows(path, 'video', classes=names) == expected
    assert rows(path, classes=write('names.txt', '\n'.join(names))) == expected
    with pytest.raises(ListError, match="labels are class names, such as 'testifying'"):
        read_list(path)
    with pytest.raises(
        ListError, match=r"csv:3: 'eating, .* is not a known class name"
    ):
        read_list(path, classes=['testifying'])
    entries = {
        'abc': {'annotations': {'label': 'testifying', 'segment': [1.0, 11.0]},
                'duration': 10.0, 'subset': 'train', 'url': 'https://example.org'},
    }  # fmt: skip
    path = write('train.json', entries)
    assert rows(path, classes=names) == [('abc_000001_000011.mp4', (1,))]
    path = write('test.csv', 'youtube_id,time_start,time_end,split\nabc,0,10,test\n')
    assert rows(path) == [('abc_000000_000010.mp4', ())]


def test_subsets_are_not_mixed(write):
    path = write('all.csv', 'path,label,split\na.mp4,0,train\nb.mp4,1,validate\n')
    with pytest.raises(ListError, match="rows of 'train' and of 'val'"):
        read_list(path)
    assert rows(path, subset='val') == [('b.mp4', (1,))]
    with pytest.raises(ListError, match='no rows'):
        read_list(path, subset='test')
    for text in ('path,label\na.mp4,0\n', 'a.mp4 0\n'):
        with pytest.raises(ListError, match="not say which rows are in 'val'"):
            read_list(write('other.csv', text), subset='val')


def test_something_something(write):
    path = write('train.json', SSV2)
    expected = [('78687.webm', (0,)), ('42326.webm', (1,))]
    with pytest.raises(ListError, match='labels are class names'):
        read_list(path)
    assert rows(path, classes=write('elsewhere/l.json', SSV2_LABELS)) == expected
    answers = write('answers.csv', '78687;Holding something next to something\n')
    assert find_official(str(answers)) is None
    write('something-something-v2-labels.json', SSV2_LABELS)
    assert rows(path, 'video') == expected
    assert rows(answers) == expected[:1]
    assert rows(write('test.json', [{'id': '5'}])) == [('5.webm', ())]


def test_ucf101(write):
    lines = (
        'ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\n'
        'HandstandPushups/v_HandStandPushups_g08_c02.avi 2\n'
    )
    paths = [line.split()[0] for line in lines.splitlines()]
    train = write('trainlist01.txt', lines)
    expected = list(zip(paths, [(0,), (1,)]))
    assert rows(train, 'video') == expected
    test = write('testlist01.txt', ''.join(f'{path}\n' for path in paths))
    with pytest.raises(ListError, match='labels are class names'):
        read_list(test)
    write('classInd.txt', '1 ApplyEyeMakeup\n2 HandstandPushups\n')
    assert rows(train) == rows(test) == expected
    other = write('ucf101/train_split_1.txt', lines.replace('.avi 1', '.avi 0'))
    assert rows(other) == list(zip(paths, [(0,), (2,)]))  # as converted lists are


def test_hmdb51(write):
    lines = 'April_09.avi 1 \n_a_#1.avi 2 \nunused.avi 0 \n'
    path = write('splits/brush_hair_test_split1.txt', lines)
    write('splits/cartwheel_test_split1.txt', 'b.avi 2 \nc.avi 1 \n')
    write('splits/cartwheel_test_split2.txt', 'b.avi 1 \n')
    train = [('brush_hair/April_09.avi', (0,)), ('cartwheel/c.avi', (1,))]
    assert rows(path.parent, subset='train') == train
    assert rows(path.parent, 'video', subset='train', fold=2) == [
        ('cartwheel/b.avi', (0,))
    ]
    assert rows(path, subset='testing') == [('brush_hair/_a_#1.avi', (0,))]
    with pytest.raises(ListError, match="rows of 'train' and of 'test'"):
        read_list(path.parent)


@pytest.mark.parametrize(
    'text',
    [
        'path,label\na b.mp4,0\n"c, d.mp4",1\n',
        'id;Label;Video_Path\n7;0;a b.mp4\n8;1;c, d.mp4\n',
        ',video,class_name,label_id\n0,a b.mp4,pour,0\n1,"c, d.mp4",stir,1\n',
        '# by hand\nfile\tclass\na b.mp4\tpour\n\nc, d.mp4\tstir\n',
    ],
)
def test_tables_with_headers(write, text):
    expected = [('a b.mp4', (0,)), ('c, d.mp4', (1,))]
    assert rows(write('list', text), 'video', classes=['pour', 'stir']) == expected


def test_tables_of_frames_and_bad_lines(write):
    text = 'path,total_frames,label\nv/1,120,5\nv/2,80,0\n'
    (row, _) = read_list(write('list', text), 'rawframes')
    assert row[:4] == ('v/1', (5,), 120, 2)
    bad = write('bad', 'path,label\na.mp4,0\nb.mp4\n,1\nc.mp4,\nd.mp4,x\n')
    found = [str(x) for x in parse_list(bad, classes=['pour'])][1:]
    assert [text.split(': ')[0].split(':')[-1] for text in found] == list('3456')
    assert 'the label is missing' in found[2]
    parts = write('parts', 'path,start,end,label\na.mp4,0,5,1\na.mp4,5,9,2\n')
    with pytest.raises(ListError, match="a column 'end', but only whole videos"):
        read_list(parts)


def test_lists_of_the_field_are_none(write):
    for text in (
        'a.mp4 3\n',
        'v/1 120 5\n',
        'video label 5\n',
        'a.jpg,0\n',
        '[a].mp4 1',
    ):
        assert find_official(str(write('list', text))) is None


@given(
    head=st.sampled_from(
        ['path,label\n', '[{"id": ', '{"a": {"b": ', KINETICS, '1;a\n', '"']
    ),
    tail=st.text('a1,;"\n\r\0{}[]: \ud800', max_size=30),
    name=st.sampled_from(['list', 'trainlist01.txt', 'run_test_split1.txt']),
)
def test_any_text_is_rows_or_located_errors(folder, head, tail, name):
    path = folder / name
    path.write_bytes((head + tail).encode('utf-8', 'surrogatepass'))
    for item in parse_list(path, classes=['a', 'b'], subset='train'):
        assert item[0]
        str(item)
