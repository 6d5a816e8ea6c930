"""The names of published classes, and what they do in datasets."""

import json

import pytest
from mmaction.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmaction_videomambapro.datasets import list_datasets
from mmaction_videomambapro.datasets.classes import PUBLISHED, read_classes
from mmaction_videomambapro.datasets.rows import ListError
from tests.conftest import DEMO_CONFIG, ROOT

SOME = {
    'kinetics400': {0: 'abseiling', 196: "massaging person's head", 399: 'zumba'},
    'sthv2': {47: 'Picking something up', 173: 'Wiping something off of something'},
    'ucf101': {35: 'HammerThrow', 36: 'HandstandPushups', 47: 'JumpRope', 100: 'YoYo'},
    'hmdb51': {0: 'brush_hair', 13: 'fencing', 50: 'wave'},
    'demo_clips': {0: 'move right', 7: 'shrink'},
}


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmaction')


def listed(folder, text, name='list.txt', **options):
    (folder / name).write_text(text)
    config = dict(type='VideoClsDataset', ann_file=str(folder / name), pipeline=[])
    return DATASETS.build({**config, **options})


def named(classes):
    return dict(metainfo=dict(classes=classes))


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_names_are_in_label_order(name):
    names = read_classes(name)
    assert len(set(names)) == len(names) == max(SOME[name]) + 1
    assert {i: names[i] for i in SOME[name]} == SOME[name]
    if name != 'demo_clips':
        assert names == sorted(names, key=str.lower)
    assert all(x.isprintable() and x.isascii() and x == x.strip() for x in names)


def test_published_names_come_before_files(tmp_path, monkeypatch):
    """What a config means does not depend on where it is run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'hmdb51').write_text('a\nb\n')
    assert len(read_classes('hmdb51')) == 51
    assert read_classes('./hmdb51') == read_classes(tmp_path / 'hmdb51') == ['a', 'b']


def test_lists_with_numbers_are_read_as_before(tmp_path):
    text = 'abseiling/a.mp4 399\nzumba.mp4 0\nmy zumba clip.mp4 5\n'
    plain = listed(tmp_path, text, num_classes=400)
    dataset = listed(tmp_path, text, num_classes=400, **named('kinetics400'))
    assert dataset.load_data_list() == plain.load_data_list()
    assert dataset.metainfo == dict(classes=tuple(read_classes('kinetics400')))
    assert plain.metainfo == {}


@pytest.mark.parametrize(
    ('classes', 'file', 'text', 'label'),
    [
        ('kinetics400', 'list.txt', 'a.mp4 zumba', 399),
        ('kinetics400', 'train.csv',
         'label,youtube_id,time_start,time_end,split\npull ups,abc,1,11,train', 255),
        ('sthv2', 'train.json',
         json.dumps([dict(id='1', template='Picking [something] up')]), 47),
        ('ucf101', 'trainlist01.txt', 'YoYo/v_YoYo_g08_c01.avi 101', 100),
        ('hmdb51', 'wave_test_split1.txt', 'a.avi 1', 50),
    ],
)  # fmt: skip
def test_official_files_need_no_further_names(tmp_path, classes, file, text, label):
    dataset = listed(tmp_path, f'{text}\n', file, **named(classes))
    assert dataset.get_data_info(0)['label'] == label


def test_other_data_on_a_published_config_has_no_names(tmp_path, monkeypatch):
    """It inherits them; they are not those of its classes."""
    log = []
    monkeypatch.setattr(list_datasets, 'print_log', lambda text, _: log.append(text))
    text = 'a.mp4 0\nb.mp4 1\n'
    dataset = listed(tmp_path, text, num_classes=2, **named('kinetics400'))
    assert dataset.metainfo == {}
    assert 'kinetics400 has 400 class names, but num_classes is 2' in log[0]
    with pytest.raises(ListError, match='label 2, but there are 2 classes'):
        listed(tmp_path, f'{text}c.mp4 2\n', num_classes=2, **named('kinetics400'))
    own = read_classes('kinetics400')
    with pytest.raises(ListError, match='400 class names, but num_classes is 2'):
        listed(tmp_path, text, num_classes=2, **named(own))


def test_the_demo_has_names(clips):
    """Those that its clips come with."""
    cfg = Config.fromfile(ROOT / DEMO_CONFIG)
    for split in ('train', 'val', 'test'):
        names = cfg[f'{split}_dataloader'].dataset.metainfo.classes
        assert read_classes(names) == read_classes(clips / 'classes.txt')
