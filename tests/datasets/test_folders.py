"""From a folder of class folders to lists, a config, and a tested model."""

import os
import shutil

import mmengine
import pytest
from mmengine.config import Config

from mmaction_videomambapro.datasets.folders import list_folder
from mmaction_videomambapro.datasets.lists import ListError, read_list
from mmaction_videomambapro.datasets.own_config import BaseConfigError
from tests.conftest import DEMO_CONFIG, ROOT

RECIPE = (
    'configs/recognition/videomambapro/videomambapro-tiny-p16_16x4x1_kinetics400-rgb.py'
)


@pytest.fixture
def videos(clips, tmp_path):
    """Three classes of 5, 4 and 2 videos; one lies deeper, one file is none."""
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


def rows(path):
    return {(row.path, row.labels) for row in read_list(str(path), 'video')}


def test_lists_hold_every_video_once(videos, tmp_path):
    split = list_folder(str(videos), str(tmp_path / 'lists'))
    assert split == (3, 8, 3, 1)
    train, val = (rows(tmp_path / 'lists' / f'{x}.txt') for x in ('train', 'val'))
    assert (len(train), len(val)) == (8, 3)
    assert sorted(labels for _, labels in val) == [(0,), (1,), (2,)]
    found = {path for path, _ in train | val}
    assert found == {str(p.relative_to(videos)) for p in videos.rglob('*.mp4')}
    assert (tmp_path / 'lists/classes.txt').read_text() == 'pour\nstir\nwave\n'
    list_folder(str(videos), str(tmp_path / 'again'))
    list_folder(str(videos), str(tmp_path / 'other'), val_share=0.5, seed=1)
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
            'trains no classifier',
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
    with pytest.raises(BaseConfigError, match=reason) as error:
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
    tool('analysis/draw_curves.py', work_dir)
    tool(
        'analysis/draw_predictions.py', lists / 'config.py', result,
        '--classes', lists / 'classes.txt',
    )  # fmt: skip
    assert (work_dir / 'predictions.png').is_file()


def test_what_can_not_be_split_is_told(tool, videos, tmp_path):
    for name in ('0 a.mp4', 'deep/0 a.mp4', '1 a.mp4'):
        (videos / 'wave' / name).unlink(missing_ok=True)
    process = tool('data/list_folder.py', videos, tmp_path / 'lists', check=False)
    assert process.returncode == 2
    assert 'Traceback' not in process.stderr
    assert 'wave' in process.stderr
    assert '0 videos, not 2' in process.stderr
    assert sorted(os.listdir(tmp_path)) == ['videos']
    with pytest.raises(ListError, match='no two folders of videos'):
        list_folder(str(videos / 'pour' / 'deep'), str(tmp_path / 'lists'))
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine/file').touch()
    with pytest.raises(FileExistsError, match='holds something'):
        list_folder(str(videos), str(tmp_path / 'mine'))
