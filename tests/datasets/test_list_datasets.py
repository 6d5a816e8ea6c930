"""Datasets on published lists, with the broken files of real data sets."""

import csv
import os
import shutil

import cv2
import mmengine
import numpy as np
import pytest
from mmaction.registry import DATASETS
from torch.utils.data import DataLoader

from mmaction_videomambapro.datasets.lists import ListError, Row, row_line
from tests.conftest import DEMO_CONFIG, ROOT

PIPELINE = [
    dict(type='VideoInit'),
    dict(type='SampleSparse', clip_len=2, mode='val'),
    dict(type='VideoDecode'),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
FRAMES = [
    dict(type='SampleFrames', clip_len=2),
    dict(type='RawFrameDecode'),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]

pytestmark = pytest.mark.usefixtures('scope')


@pytest.fixture
def broken(clips, tmp_path):
    """20 videos in two lists, five of them broken in as many ways."""
    folder = tmp_path / 'videos'
    folder.mkdir()
    sources = sorted(clips.rglob('*.mp4'))
    for i in range(20):
        shutil.copy(sources[i % len(sources)], folder / f'{i} clip.mp4')
    whole = (folder / '0 clip.mp4').read_bytes()
    (folder / '3 clip.mp4').write_bytes(whole[: len(whole) // 3])
    (folder / '7 clip.mp4').write_text('no video at all')
    (folder / '11 clip.mp4').write_bytes(b'')
    (folder / '15 clip.mp4').unlink()
    (folder / '18 clip.mp4').chmod(0)
    if os.access(folder / '18 clip.mp4', os.R_OK):  # by a superuser
        (folder / '18 clip.mp4').unlink()
        (folder / '18 clip.mp4').mkdir()
    for name, n in (('all', 20), ('half', 10)):
        lines = [f'{i} clip.mp4,{i % 8}\n' for i in range(n)]
        (tmp_path / f'{name}.csv').write_text(''.join(lines))
    return tmp_path


def build(root, name='all', **kwargs):
    config = dict(
        type='VideoClsDataset',
        ann_file=str(root / f'{name}.csv'),
        data_prefix=dict(video=str(root / 'videos')),
        pipeline=PIPELINE,
    )
    return DATASETS.build(dict(config, **kwargs))


def test_broken_files_are_replaced_in_training(broken):
    dataset = build(broken)
    log = dataset.broken_log = broken / 'broken.csv'
    for _ in range(2):
        labels = [dataset[i]['data_samples'].gt_label.item() for i in range(20)]
    assert min(labels) >= 0
    assert [labels[i] for i in range(3)] == [0, 1, 2]
    assert dataset.count_broken() == 5
    with open(log) as file:
        rows = list(csv.reader(file))
    assert sorted(int(index) for index, _, _ in rows) == [3, 7, 11, 15, 18]
    assert all(path.endswith(f'{index} clip.mp4') for index, path, _ in rows)
    assert all(reason for _, _, reason in rows)


def test_broken_files_are_wrong_in_tests(broken):
    dataset = build(broken, test_mode=True)
    labels = [dataset[i]['data_samples'].gt_label.item() for i in range(20)]
    bad = (3, 7, 11, 15, 18)
    assert labels == [-1 if i in bad else i % 8 for i in range(20)]


def test_broken_files_can_stop_a_run(broken):
    dataset = build(broken, on_error='raise')
    dataset[0]
    with pytest.raises(RuntimeError, match=r'broken sample .*7 clip\.mp4: '):
        dataset[7]


def test_too_many_broken_files_stop_a_run(broken):
    dataset = build(broken, max_broken_ratio=0.1)
    with pytest.raises(RuntimeError, match=r'3 of the 20 samples .* max_broken_ratio'):
        [dataset[i] for i in (3, 7, 11)]
    dataset = build(broken, max_broken_ratio=0.01)
    loader = DataLoader(dataset, num_workers=1, sampler=[3], collate_fn=list)
    with pytest.raises(
        ListError, match=r'^1 of the 20 samples .*: VideoError'
    ) as error:
        [None for _ in loader]
    assert '\n' not in str(error.value)


def test_labels_and_lines_are_checked(broken):
    with pytest.raises(ListError, match=r'all\.csv:7: label 6, but there are 6') as e:
        build(broken, num_classes=6)
    assert len(e.value.bad) == 4
    with open(broken / 'all.csv', 'a') as file:
        file.write('x.mp4,one\n')
    with pytest.raises(ListError, match=r'all\.csv:21: '):
        build(broken)


def test_several_labels(broken):
    (broken / 'many.csv').write_text('0 clip.mp4,1,3\n7 clip.mp4,2\n')
    kwargs = dict(multi_class=True, num_classes=4, test_mode=True)
    dataset = build(broken, 'many', **kwargs)
    labels = [dataset[i]['data_samples'].gt_label.tolist() for i in range(2)]
    assert labels == [[0, 1, 0, 1], [0, 0, 0, 0]]


@pytest.mark.parametrize('start_index', [0, 1])
def test_folders_of_frames(tmp_path, start_index):
    for name, values in dict(a=(10, 20, 30, 40), b=(50, 60)).items():
        (tmp_path / name).mkdir()
        for i, value in enumerate(values, start_index):
            image = np.full((8, 8, 3), value, np.uint8)
            cv2.imwrite(str(tmp_path / name / f'{i:03}.png'), image)
    (tmp_path / 'list').write_text('a 4 1\nb 3 0\n')
    dataset = DATASETS.build(
        dict(
            type='RawFrameClsDataset',
            ann_file=str(tmp_path / 'list'),
            data_prefix=dict(img=str(tmp_path)),
            filename_tmpl='{:03}.png',
            start_index=start_index,
            pipeline=[dict(type='SampleSparse', clip_len=4, mode='val'), *FRAMES[1:]],
            test_mode=True,
        )
    )
    sample = dataset[0]
    assert sample['inputs'][0, 0, :, 0, 0].tolist() == [10, 20, 30, 30]
    assert dataset[1]['data_samples'].gt_label.item() == -1  # a frame is missing


def test_images_are_clips_of_one_frame(tmp_path):
    for label, name in enumerate(('cat {1}', 'dog')):
        (tmp_path / 'train' / name).mkdir(parents=True)
        image = np.full((8, 8, 3), 50 * label + 50, np.uint8)
        cv2.imwrite(str(tmp_path / 'train' / name / f'{name}.png'), image)
    (tmp_path / 'list').write_text('dog/dog.png 1\ncat {1}/cat {1}.png 0\n')
    config = dict(type='ImageListDataset', pipeline=FRAMES)
    tree = DATASETS.build(dict(config, ann_file=str(tmp_path / 'train')))
    prefix = dict(img=str(tmp_path / 'train'))
    listed = DATASETS.build(
        dict(config, ann_file=str(tmp_path / 'list'), data_prefix=prefix)
    )
    for dataset, order in ((tree, (0, 1)), (listed, (1, 0))):
        for sample, label in zip((dataset[0], dataset[1]), order):
            assert sample['data_samples'].gt_label.item() == label
            assert sample['inputs'].shape == (1, 3, 2, 8, 8)
            assert (sample['inputs'] == 50 * label + 50).all()


def listed(tmp_path, text, name='list.txt', **kwargs):
    """A dataset of rows whose files are never read."""
    (tmp_path / name).write_text(text)
    config = dict(type='VideoClsDataset', ann_file=str(tmp_path / name), pipeline=[])
    return DATASETS.build(dict(config, **kwargs))


def labels_of(dataset):
    return [dataset.get_data_info(i)['label'] for i in range(len(dataset))]


def test_frame_counts_are_not_labels(tmp_path):
    text = 'a.mp4 300 5\nb.mp4 250 7\n'
    assert labels_of(listed(tmp_path, text)) == [5, 7]
    both = listed(tmp_path, text, multi_class=True, num_classes=301)
    assert both.get_data_info(0)['label'].nonzero().flatten().tolist() == [5, 300]
    for other in ('a.mp4 3 5\nb.mp4 7\n', 'a.mp4 0 5\nb.mp4 3 7\n', 'a.mp4 1 2 3\n'):
        with pytest.raises(ListError, match=r'txt:1: [23] labels: set multi_class'):
            listed(tmp_path, other)
    with pytest.raises(ListError, match='several labels need num_classes'):
        listed(tmp_path, text, multi_class=True)


def test_prefixes_of_published_lists(clips, tmp_path):
    lines = (clips / 'val_videos.txt').read_text().splitlines()
    text = ''.join(f'your_path/{line}\n' for line in lines)
    there = dict(data_prefix=dict(video=str(clips)), pipeline=PIPELINE)
    dataset = listed(tmp_path, text, strip_prefix='your_path', **there)
    assert dataset[0]['inputs'].shape[:2] == (1, 3)
    with pytest.raises(
        ListError, match=r'none of its files exists, for example .*strip_prefix'
    ):
        listed(tmp_path, text, **there)
    with pytest.raises(ListError, match="no path begins with strip_prefix='your_pat'"):
        listed(tmp_path, text, strip_prefix='your_pat', **there)


def test_names_of_classes(tmp_path):
    text = 'a.mp4 0\nb.mp4 1\n'
    (tmp_path / 'names.txt').write_text("pour\n$'stir\\nit'\n")
    names = dict(metainfo=dict(classes=str(tmp_path / 'names.txt')))
    for metainfo in (names, dict(metainfo=dict(classes=['pour', 'stir\nit']))):
        dataset = listed(tmp_path, text, num_classes=2, **metainfo)
        assert dataset.metainfo == dict(classes=('pour', 'stir\nit'))
    with pytest.raises(
        ListError, match=r'names\.txt: 2 class names, .* num_classes is 3'
    ):
        listed(tmp_path, text, num_classes=3, **names)
    with pytest.raises(ListError, match=r'list\.txt:3: label 2, but there are 2'):
        listed(tmp_path, text + 'c.mp4 2\n', **names)
    with pytest.raises(ListError, match=r'gone\.txt: .* cannot be read'):
        listed(tmp_path, text, metainfo=dict(classes=str(tmp_path / 'gone.txt')))
    with pytest.raises(ListError, match='must be strings'):
        listed(tmp_path, text, metainfo=dict(classes=[1, 2]))


def test_unusable_lists_are_refused(tmp_path):
    with pytest.raises(ListError, match='num_classes is 0'):
        listed(tmp_path, 'a.mp4 0\n', num_classes=0)
    with pytest.raises(ListError, match='it cannot be read: No such file'):
        DATASETS.build(dict(type='VideoClsDataset', ann_file='nowhere', pipeline=[]))


def test_official_files_are_read_unchanged(tmp_path):
    text = 'label,youtube_id,time_start,time_end,split\nstir,abc,1,11,train\n'
    names = dict(metainfo=dict(classes=['pour', 'stir']))
    dataset = listed(tmp_path, text, 'train.csv', **names)
    info = dataset.get_data_info(0)
    assert (info['filename'], info['label']) == ('abc_000001_000011.mp4', 1)
    with pytest.raises(
        ListError, match=r'train\.csv: its labels are class names, such as .stir'
    ):
        listed(tmp_path, text, 'train.csv')
    with pytest.raises(ListError, match='it has no label'):
        listed(tmp_path, '[{"id": "5"}]', 'test.json')
    (tmp_path / 'run_test_split2.txt').write_text('b.avi 1\nc.avi 2\n')
    config = dict(type='VideoClsDataset', ann_file=str(tmp_path), pipeline=[])
    dataset = DATASETS.build(dict(config, subset='test', fold=2))
    assert dataset.get_data_info(0)['filename'] == 'run/c.avi'


def test_other_files_do_not_shift_labels(tmp_path):
    for path in (
        *('a/1.png', 'a/2.JPEG', 'b/deep/3.webp', 'b/.DS_Store', 'b/notes.txt'),
        *('.ipynb_checkpoints/1.png', 'a/._1.png', 'Empty/notes.txt'),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    config = dict(type='ImageListDataset', ann_file=str(tmp_path), pipeline=[])
    dataset = DATASETS.build(config)
    found = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert [(x['filename_tmpl'], x['label']) for x in found] == [
        ('1.png', 0), ('2.JPEG', 0), ('3.webp', 1)
    ]  # fmt: skip
    assert dataset.metainfo['classes'] == ('a', 'b')
    names = dict(metainfo=dict(classes=['b', 'c', 'a']))
    assert labels_of(DATASETS.build(dict(config, **names))) == [2, 2, 0]
    for split in ('train', 'val'):
        shutil.copytree(tmp_path / 'a', tmp_path / 'all' / split / 'a')
    with pytest.raises(ListError, match='its folders are splits, not classes'):
        DATASETS.build(dict(config, ann_file=str(tmp_path / 'all')))
    shutil.rmtree(tmp_path / 'all')
    with pytest.raises(ListError, match='2 folders of images, but 3 classes'):
        DATASETS.build(dict(config, num_classes=3))
    with pytest.raises(ListError, match="folder 'b' is not one of the 2 classes"):
        DATASETS.build(dict(config, metainfo=dict(classes=['a', 'c'])))


def test_broken_files_of_any_name(clips, tmp_path):
    name = os.fsdecode(b'b\xff\n.mp4')
    (tmp_path / name).write_text('no video')
    shutil.copy(clips / 'videos/val/00000.mp4', tmp_path / 'a.mp4')
    text = row_line(Row(name, (1,))) + '\na.mp4 0\n'
    prefix = dict(video=str(tmp_path))
    dataset = listed(tmp_path, text, data_prefix=prefix, pipeline=PIPELINE)
    dataset.broken_log = tmp_path / 'broken.csv'
    assert dataset[0]['data_samples'].gt_label.item() == 0
    with open(tmp_path / 'broken.csv', encoding='utf-8', newline='') as file:
        ((_, path, _),) = csv.reader(file)
    assert path.endswith(r"b\xff\n.mp4'")


def test_bad_list_ends_in_its_lines(tool, demo_options, broken):
    (broken / 'all.csv').write_text('a.mp4 1\nb.mp4 x\nc.mp4 y\n')
    dataset = 'train_dataloader.dataset'
    options = demo_options(
        f'{dataset}.type=VideoClsDataset', f'{dataset}.ann_file={broken}/all.csv'
    )
    process = tool('train.py', DEMO_CONFIG, *options, check=False)
    assert process.returncode == 2
    assert 'Traceback' not in process.stderr
    for number in (2, 3):
        assert f'all.csv:{number}: ' in process.stderr


def test_training_and_test_survive(tool, demo_options, broken, tmp_path):
    more = ['train_dataloader.num_workers=2']
    for split, name in dict(train='all', val='half', test='half').items():
        dataset = f'{split}_dataloader.dataset'
        more += [
            f'{dataset}.type=VideoClsDataset',
            f'{dataset}.ann_file={broken}/{name}.csv',
            f'{dataset}.data_prefix.video={broken}/videos',
            f'{dataset}.num_classes=8',
        ]
    options = demo_options(*more)
    work_dir, result = tmp_path / 'run', tmp_path / 'result.pkl'
    process = tool('train.py', DEMO_CONFIG, '--work-dir', work_dir, *options)
    output = process.stdout + process.stderr
    assert '5 of 20 train samples are broken' in output
    assert '2 of 10 val samples are broken' in output
    (log,) = work_dir.glob('*/broken_train.csv')
    assert len({row.split(',')[0] for row in log.read_text().splitlines()}) == 5

    arguments = '--work-dir', work_dir, '--dump', result, *options
    tool('test.py', DEMO_CONFIG, work_dir, *arguments)
    labels = [int(r['gt_label']) for r in mmengine.load(result)]
    assert labels == [0, 1, 2, -1, 4, 5, 6, -1, 0, 1]
    tool('analysis/draw_predictions.py', DEMO_CONFIG, result, *options)


def test_training_on_frames_survives(tool, demo_options, clips, tmp_path):
    frames = tmp_path / 'frames'
    shutil.copytree(clips, frames, ignore=shutil.ignore_patterns('*.mp4'))
    listed = (clips / 'train_rawframes.txt').read_text().split()[::3]
    for number in (11, 12):  # any clip of 8 frames, every second, has one of them
        (frames / listed[3] / f'img_{number:05}.jpg').unlink()
    shutil.rmtree(frames / listed[5])
    config = tmp_path / 'config.py'
    config.write_text(
        f"_base_ = '{ROOT / DEMO_CONFIG}'\n"
        'train_dataloader = dict(dataset=dict(\n'
        "    _delete_=True, type='RawFrameClsDataset',\n"
        f"    ann_file='{clips}/train_rawframes.txt',\n"
        f"    data_prefix=dict(img='{frames}'),\n"
        "    pipeline=[_base_.train_pipeline[1], dict(type='RawFrameDecode'),\n"
        '              *_base_.train_pipeline[3:]]))\n'
    )
    options = [x for x in demo_options() if 'train_dataloader.dataset' not in x]
    options = '--no-validate', '--work-dir', tmp_path / 'run', *options
    process = tool('train.py', config, *options)
    assert '2 of 16 train samples are broken' in process.stdout + process.stderr
    (log,) = (tmp_path / 'run').glob('*/broken_train.csv')
    with open(log) as file:
        assert {row[1] for row in csv.reader(file)} == {
            str(frames / listed[i]) for i in (3, 5)
        }
