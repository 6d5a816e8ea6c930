"""From a folder of class folders to lists, a config, and a tested model."""

import os
import runpy
import shutil

import mmengine
import pytest
import torch
from mmaction.registry import DATASETS
from mmengine.config import Config

from mmaction_videomambapro.datasets.classes import read_classes
from mmaction_videomambapro.datasets.folders import (
    plan_folder,
    refuse_full,
    write_lists,
)
from mmaction_videomambapro.datasets.lists import ListError, read_list
from mmaction_videomambapro.errors import UsageError
from tests.conftest import DEMO_CONFIG, ROOT

RECIPE = (
    'configs/recognition/videomambapro/videomambapro-tiny-p16_16x4x1_kinetics400-rgb.py'
)


@pytest.fixture
def videos(clips, tmp_path):
    """Three classes of 5, 4 and 2 videos, one nested deeper, and a file of text."""
    files = iter(sorted(clips.rglob('*.mp4')))
    for name, count in dict(pour=5, stir=4, wave=2).items():
        for i in range(count):
            path = (
                tmp_path / 'videos' / name / ('deep' if i == 0 else '') / f'{i} a.mp4'
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(next(files), path)
    (tmp_path / 'videos/pour/notes.txt').touch()
    return tmp_path / 'videos'


def list_folder(source, destination, *options, config=None):
    plan = plan_folder(source, *options)
    write_lists(plan, source, destination, config)
    return plan


def rows(path):
    return {(row.path, row.labels) for row in read_list(str(path), 'video')}


def test_lists_hold_every_video_once(videos, tmp_path):
    plan = list_folder(str(videos), str(tmp_path / 'lists'))
    assert plan.left_out == {'.txt': ['pour/notes.txt']}
    train, val = (rows(tmp_path / 'lists' / f'{x}.txt') for x in ('train', 'val'))
    assert (len(train), len(val)) == (8, 3)
    assert sorted(labels for _, labels in val) == [(0,), (1,), (2,)]
    found = {path for path, _ in train | val}
    assert found == {str(p.relative_to(videos)) for p in videos.rglob('*.mp4')}
    assert (tmp_path / 'lists/classes.txt').read_text() == 'pour\nstir\nwave\n'
    list_folder(str(videos), str(tmp_path / 'again'))
    list_folder(str(videos), str(tmp_path / 'other'), 0.5, 1)
    assert rows(tmp_path / 'again/val.txt') == val
    assert len(rows(tmp_path / 'other/val.txt')) == 2 + 2 + 1


@pytest.mark.parametrize('base', [RECIPE, DEMO_CONFIG])
def test_config_fits(videos, tmp_path, base):
    list_folder(str(videos), str(tmp_path / 'lists'), config=str(ROOT / base))
    cfg = Config.fromfile(tmp_path / 'lists/config.py')
    assert cfg.model.cls_head.num_classes == 3
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert (dataset.type, dataset.num_classes) == ('VideoClsDataset', 3)
        assert os.path.isfile(dataset.ann_file)
        assert dataset.data_prefix.video == str(videos)
    blending = cfg.model.data_preprocessor.get('blending')
    if base == RECIPE:
        assert [a.num_classes for a in blending.blending.augments] == [3, 3]


@pytest.mark.parametrize(
    ('base', 'reason'),
    [
        (
            'configs/demo/vjepa_videomambapro-nano_32x2x1-80e_demo-clips-plain.py',
            'does not train a classifier',
        ),
        (
            'configs/image_classification/videomamba/'
            'videomamba-tiny-p16_8xb512-300e_in1k.py',
            'train_dataloader.dataset is of type ImageListDataset',
        ),
        (
            'configs/recognition/attentive_probe/features/videomambapro-tiny-p16_'
            'vjepa-sthv2-pre_1xb256-features-20e_sthv2-rgb.py',
            'train_dataloader.dataset is of type CachedFeatures',
        ),
        ('README.md', 'cannot be read'),
    ],
)
def test_config_reads_videos_with_labels(videos, tmp_path, base, reason):
    with pytest.raises(UsageError, match=reason) as error:
        list_folder(str(videos), str(tmp_path / 'lists'), config=str(ROOT / base))
    assert base in str(error.value)
    assert os.listdir(tmp_path) == ['videos']


def test_five_commands(tool, videos, tmp_path):
    """Those of docs/finetune.md, for a network that trains in seconds."""
    lists, work_dir = tmp_path / 'lists', tmp_path / 'run'
    result = work_dir / 'result.pkl'
    process = tool('data/list_folder.py', videos, lists, '--config', DEMO_CONFIG)
    assert '3 classes, 8 videos to train, 3 to validate, 1 other' in process.stdout
    tool(
        'train.py', lists / 'config.py', '--work-dir', work_dir, '--cfg-options',
        'train_dataloader.batch_size=4', 'val_dataloader.batch_size=4',
        'model.backbone.arch.embed_dims=32', 'model.cls_head.in_channels=32',
        'model.backbone.arch.depth=1', 'train_cfg.max_epochs=2',
    )  # fmt: skip
    tool(
        'test.py', lists / 'config.py', work_dir / 'epoch_2.pth',
        '--work-dir', work_dir,
        '--dump', result, '--cfg-options', 'model.backbone.arch.embed_dims=32',
        'model.cls_head.in_channels=32', 'model.backbone.arch.depth=1',
    )  # fmt: skip
    assert [int(r['gt_label']) for r in mmengine.load(result)] == [0, 1, 2]
    checkpoint = torch.load(work_dir / 'epoch_2.pth', weights_only=False)
    names = checkpoint['meta']['dataset_meta']['classes']
    assert names == ('pour', 'stir', 'wave')
    tool('analysis/draw_curves.py', work_dir)
    picture = work_dir / 'predictions.svg'
    tool('analysis/draw_predictions.py', lists / 'config.py', result, '--out', picture)
    assert all(name in picture.read_text() for name in names)


def make(root, *paths):
    for path in paths:
        path = os.path.join(os.fsencode(root), os.fsencode(path))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.write(b'x')
    return str(root)


def planned(plan):
    return {
        split: [(row.path, row.labels[0]) for row in rows]
        for split, rows in plan.rows.items()
    }


@pytest.fixture
def run(monkeypatch, capsys):
    """What the tool prints, without a new process."""

    def run(*args):
        monkeypatch.setattr('sys.argv', ['list_folder.py', *map(str, args)])
        runpy.run_path(str(ROOT / 'tools/data/list_folder.py'))['main']()
        return capsys.readouterr().out

    return run


def test_folders_that_cannot_be_split(run, videos, tmp_path):
    (videos / 'wave' / 'deep' / '0 a.mp4').unlink()
    with pytest.raises(UsageError, match=r"only one video in 'wave'.*nothing was"):
        run(videos, tmp_path / 'lists')
    assert sorted(os.listdir(tmp_path)) == ['videos']
    with pytest.raises(ListError, match='no folders of videos'):
        plan_folder(str(videos / 'pour' / 'deep'))
    with pytest.raises(ListError, match='only one folder has videos'):
        plan_folder(make(tmp_path / 'one', 'a/1.mp4', 'a/2.mp4'))
    with pytest.raises(UsageError, match='is not empty'):
        refuse_full(str(tmp_path / 'one'))
    with pytest.raises(UsageError, match='--jobs is 100000, expected 1 to'):
        run(videos, tmp_path / 'lists', '--jobs', 100_000)


def test_findings_are_reported(run, videos, tmp_path):
    for name in ('deep/0 a.mp4', '1 a.mp4'):  # what is left is not a class
        (videos / 'wave' / name).unlink()
    output = run(videos, tmp_path / 'lists')
    assert 'Folders without videos are not classes: wave.' in output
    assert '      4       1  pour' in output
    assert 'left out, .txt: 1 (pour/notes.txt)' in output
    assert '2 classes, 7 videos to train, 2 to validate, 1 other' in output


NAMES = [
    *(b'#1 pour', b' lead', b'trail ', b'two\nlines', b'tab\there', b"it's", b'"q"'),
    *(b'back\\slash', b'a,b;c', b'\xff\xfe', b'a.mp4 3', b'7', b'$x', '水'.encode()),
]


def test_every_name_that_a_file_system_allows(tmp_path):
    """All rows exist and lead to files; class names are read back."""
    for name in NAMES:
        make(tmp_path / 'src', *(name + b'/%d' % i + name + b'.MP4' for i in range(3)))
    plan = list_folder(
        str(tmp_path / 'src'), str(tmp_path / 'out'), config=str(ROOT / DEMO_CONFIG)
    )
    n = len(NAMES)
    assert not plan.left_out
    classes = read_classes(tmp_path / 'out' / 'classes.txt')
    assert classes == sorted(map(os.fsdecode, NAMES))
    cfg = Config.fromfile(tmp_path / 'out' / 'config.py')
    for part, number in (('train', 2 * n), ('val', n)):
        config = dict(cfg[f'{part}_dataloader'].dataset, pipeline=[])
        dataset = DATASETS.build(config)
        assert len(dataset) == number
        assert list(dataset.metainfo['classes']) == classes
        for i in range(number):
            info = dataset.get_data_info(i)
            assert os.path.exists(info['filename'])
            folder = os.path.basename(os.path.dirname(info['filename']))
            assert classes[info['label']] == folder


def test_hidden_files_are_left_out(tmp_path):
    source = make(
        tmp_path / 'src', 'a/1.gif', 'a/2.mp4', 'b/1.mp4', 'b/deep/2.MOV',
        'a/._1.mp4', 'a/.DS_Store', '.ipynb_checkpoints/1.mp4', '__MACOSX/a/._1.mp4',
        'a/.cache/3.mp4', 'loose.mp4', 'b/notes.txt',
    )  # fmt: skip
    os.symlink('gone.mp4', tmp_path / 'src/b/3.mp4')
    os.symlink(tmp_path / 'src', tmp_path / 'src/b/round')
    plan = plan_folder(source)
    assert plan.classes == ['a', 'b']
    found = {path for rows in plan.rows.values() for path, *_ in rows}
    assert found == {'a/1.gif', 'a/2.mp4', 'b/1.mp4', 'b/deep/2.MOV'}
    assert {kind: len(paths) for kind, paths in plan.left_out.items()} == {
        'hidden': 5, 'broken link': 1, '.txt': 1, 'outside of the class folders': 1
    }  # fmt: skip


@pytest.mark.parametrize('names', ['train val test', 'Training validation testing_set'])
@pytest.mark.parametrize('inner', [False, True])
def test_splits_are_kept(tmp_path, names, inner):
    names = dict(zip(('train', 'val', 'test'), names.split()))
    wanted = {
        split: [(f'{c}/{name}/{i}.mp4' if inner else f'{name}/{c}/{i}.mp4', label)
                for label, c in enumerate('ab') for i in range(2)]
        for split, name in names.items()
    }  # fmt: skip
    source = make(tmp_path / 'src', *(path for x in wanted.values() for path, _ in x))
    assert planned(plan_folder(source)) == wanted
    list_folder(source, str(tmp_path / 'out'), config=str(ROOT / DEMO_CONFIG))
    cfg = Config.fromfile(tmp_path / 'out' / 'config.py')
    for split in wanted:
        dataset = cfg[f'{split}_dataloader'].dataset
        found = [
            (row.path, row.labels[0]) for row in read_list(dataset.ann_file, 'video')
        ]
        assert found == wanted[split]


def test_without_validation_it_is_taken_from_training(tmp_path):
    paths = [
        f'{s}/{c}/{i}.mp4' for s in ('train', 'test') for c in 'ab' for i in range(5)
    ]
    plan = plan_folder(make(tmp_path, *paths))
    assert {split: len(rows) for split, rows in plan.rows.items()} == {
        'train': 8, 'val': 2, 'test': 10
    }  # fmt: skip
    assert all(path.startswith('train') for path, _ in planned(plan)['val'])
    assert 'taken from train' in plan.notes[0]


@pytest.mark.parametrize(
    ('paths', 'message'),
    [
        (
            'train/a/1 train/b/1 val/a/1 val/c/1',
            "train lacks 'c' of val, val lacks 'b'",
        ),
        ('train/a/1 train/b/1 val/a/1 val/b/1 more/1', "but also 'more'"),
        (
            'train/1 train/2 val/1 val/2',
            "'train/1.mp4' is not in a folder for one class",
        ),
        ('train/a/1 train/b/1 val/1', "'val/1.mp4' is not in a folder"),
        ('val/a/1 val/a/2 test/a/1 test/a/2', 'look like splits'),
        ('train/a/1 training/a/1 val/a/1', "but also 'training'"),
        ('a/train/1 a/val/1 b/1 b/2', "'b/1.mp4' is not in a folder"),
    ],
)
def test_folders_that_could_be_both_are_refused(tmp_path, paths, message):
    source = make(tmp_path, *(f'{path}.mp4' for path in paths.split()))
    with pytest.raises(ListError, match=message):
        plan_folder(source)


def test_classes_may_be_named_like_splits(tmp_path):
    source = make(tmp_path, *(f'{c}/{i}.mp4' for c in ('train', 'car') for i in '12'))
    assert plan_folder(source).classes == ['car', 'train']


def test_a_class_that_is_not_validated_is_named(tmp_path):
    source = make(tmp_path, 'train/a/1.mp4', 'train/b/1.mp4', 'val/a/1.mp4')
    assert plan_folder(source).notes == ["Classes without videos in val: 'b'."]


def test_groups_are_not_divided(tmp_path):
    paths = [
        f'{c}/v_g{g:02}_c{i}.mp4' for c in 'abc' for g in range(10) for i in range(4)
    ]
    source = make(tmp_path, *paths)
    for seed in range(5):
        plan = planned(plan_folder(source, 0.2, seed, group=r'_g(\d+)_'))
        groups = {s: {x.split('_')[1] for x, _ in rows} for s, rows in plan.items()}
        assert not groups['train'] & groups['val']
        assert [len(plan['train']), len(plan['val'])] == [96, 24]
        assert {label for _, label in plan['val']} == {0, 1, 2}
    for group, message in (
        ('_g(', 'not a regular expression'),
        ('_h1_', "finds no group in 'a/"),
        ('(v)_', "class 'a', which has 1 of them, is in both train and val"),
    ):
        with pytest.raises(ListError, match=message):
            plan_folder(source, group=group)
    source = make(
        tmp_path / 's', *(f'{s}/{x}' for s in ('train', 'val') for x in paths)
    )
    with pytest.raises(ListError, match="group '00' is in both train and val"):
        plan_folder(source, group=r'_g(\d+)_')


def test_videos_are_looked_at(run, videos, tmp_path):
    broken = videos / 'stir' / '2 a.mp4'
    broken.write_bytes(broken.read_bytes()[:-500])
    arguments = videos, tmp_path / 'lists', '--check', 'decode', '--jobs', 1
    with pytest.raises(UsageError, match=r'2 a\.mp4: undecodable'):
        run(*arguments)
    assert not (tmp_path / 'lists').exists()
    output = run(*arguments, '--skip-bad')
    assert '3 classes, 7 videos to train, 3 to validate' in output
    assert 'left out, broken: 1 (stir/2 a.mp4)' in output
