"""Names for the classes of a model."""

import pytest
from mmengine.config import Config

from mmaction_videomambapro.checkpoints.classes import classes_of
from mmaction_videomambapro.datasets.classes import read_classes

ABC, XYZ = list('abc'), list('xyz')


def config(num_classes=3, **names):
    """A config whose data for these splits has these names."""
    cfg = dict(model=dict(cls_head=dict(num_classes=num_classes)))
    for split, classes in names.items():
        dataset = dict(ann_file='list.txt', metainfo=dict(classes=classes))
        cfg[f'{split}_dataloader'] = dict(dataset=dataset)
    return Config(cfg)


def of(classes):
    return dict(dataset_meta=dict(classes=classes))


def test_the_checkpoint_comes_first_then_the_data():
    assert classes_of(of(('a', 'b', 'c')), config(test=XYZ)) == ABC
    assert classes_of({}, config(test=ABC, val=XYZ, train=XYZ)) == ABC
    assert classes_of(None, config(val=ABC, train=XYZ)) == ABC
    wrapped = dict(type='RepeatDataset', dataset=dict(metainfo=dict(classes=ABC)))
    cfg = config()
    cfg.train_dataloader = dict(dataset=wrapped)
    assert classes_of({}, cfg) == ABC
    assert classes_of({}, config()) is None
    assert classes_of({}, Config(dict(model=None, test_dataloader=None))) is None


def test_names_of_files_and_published_datasets(tmp_path):
    (tmp_path / 'names.txt').write_text('a\nb\nc\n')
    assert classes_of({}, config(test=str(tmp_path / 'names.txt'))) == ABC
    hmdb51 = read_classes('hmdb51')
    assert classes_of({}, config(51, test='hmdb51')) == hmdb51
    # as saved by MMAction2's own datasets
    assert classes_of(of('hmdb51'), config(51)) == hmdb51


@pytest.mark.parametrize(
    'meta',
    [
        None, 'meta', 7, [], dict(dataset_meta=None), dict(dataset_meta='classes'),
        of(None), of('abc'), of(3), of(dict(a=0, b=1, c=2)), of([1, 2, 3]),
        of(['a', b'b', 'c']), of([]), of(ABC[:2]), of(['a'] * 100_000),
    ],
)  # fmt: skip
def test_anything_else_in_a_checkpoint_is_left_out(meta):
    assert classes_of(meta, config(test=XYZ)) == XYZ
    assert classes_of(meta, config()) is None


def test_no_file_is_read_that_a_checkpoint_names(tmp_path):
    (tmp_path / 'names.txt').write_text('a\nb\nc\n')
    assert classes_of(of(str(tmp_path / 'names.txt')), config()) is None


def test_names_of_other_classes_are_left_out(monkeypatch, tmp_path):
    """As those that a config for other data has inherited."""
    log, gone = [], str(tmp_path / 'gone.txt')
    where = f'{classes_of.__module__}.print_log'
    monkeypatch.setattr(where, lambda text, _: log.append(text))
    assert classes_of({}, config(test='kinetics400', val=gone, train=ABC)) == ABC
    assert log == []
    assert classes_of(of(ABC), config(3, test='kinetics400', val=gone), 5) is None
    for part in (
        'the checkpoint has 3, for 5 classes',
        'test_dataloader.dataset.metainfo has 400, for 5 classes',
        'gone.txt',
    ):
        assert part in log[0]
