"""Settings that conflict are refused in one sentence before training begins."""

from types import SimpleNamespace

import pytest
from mmengine.config import Config
from torch.utils.data import DataLoader

from mmaction_videomambapro.engine.checks import check_batches, check_blending
from mmaction_videomambapro.engine.launch import UsageError
from tests.conftest import DEMO_CONFIG, ROOT


def model(classes, *mixed):
    blending = dict(
        type='RandomBatchAugment',
        augments=[dict(type='MixupBlending', num_classes=n) for n in mixed],
    )
    return Config(
        dict(
            model=dict(
                data_preprocessor=dict(blending=blending),
                cls_head=dict(num_classes=classes),
            )
        )
    )


def test_blending_of_other_classes():
    check_blending(model(8, 8, 8))
    check_blending(Config.fromfile(ROOT / DEMO_CONFIG))
    check_blending(Config(dict(model=dict(type='VideoJEPA'))))
    with pytest.raises(UsageError) as error:
        check_blending(model(8, 400, 8, 7))
    first, last = (
        f'model.data_preprocessor.blending.augments.{i}.num_classes' for i in (0, 2)
    )
    assert str(error.value).startswith(f'{first} is 400, but model.cls_head.num_class')
    assert str(error.value).endswith(f'--cfg-options {first}=8 {last}=8')


@pytest.mark.parametrize(('number', 'drop_last'), [(3, True), (4, True), (3, False)])
def test_an_epoch_without_a_batch(number, drop_last):
    loader = DataLoader(range(number), batch_size=4, drop_last=drop_last)
    runner = SimpleNamespace(train_loop=SimpleNamespace(dataloader=loader))
    if number == 3 and drop_last:
        with pytest.raises(
            UsageError, match=r'gets 3 samples.*batch_size=4.*drop_last'
        ):
            check_batches(runner)
    else:
        assert check_batches(runner) is runner
