import hashlib
import re

import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mmaction_videomambapro.checkpoints.publish import publish
from mmaction_videomambapro.safe_load import CheckpointError, safe_load


class Line(BaseModel):
    """A line through the origin, and a constant that is saved too."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.register_buffer('scale', torch.full((2,), 2.0))

    def forward(self, inputs, mode='loss'):
        return dict(loss=(self.weight * inputs).sum())


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A checkpoint of MMEngine's runner with its EMAHook, and the live weights."""
    folder = tmp_path_factory.mktemp('run')
    model = Line()
    runner = Runner(
        model,
        str(folder),
        train_dataloader=dict(
            dataset=[torch.ones(3)] * 4,
            batch_size=1,
            sampler=dict(type='DefaultSampler'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.5, momentum=0.9)),
        custom_hooks=[EMAHook(momentum=0.3)],
        default_hooks=dict(logger=None),
        experiment_name=folder.name,
    )
    runner.train()
    return folder / 'epoch_1.pth', model.weight.detach().clone()


def test_either_weights_are_published(trained, tmp_path):
    checkpoint, live = trained
    averaged = safe_load(checkpoint)['state_dict']['weight']
    assert not torch.equal(averaged, live)
    for weights, expected in ((None, averaged), ('ema', averaged), ('raw', live)):
        path = publish(checkpoint, tmp_path / 'line.pth', weights)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        assert re.fullmatch(rf'line_20\d{{6}}-{digest}\.pth', path.name)
        content = safe_load(path)
        assert set(content) == {'meta', 'state_dict'}
        assert content['meta']['epoch'] == 1
        assert torch.equal(content['state_dict']['weight'], expected)
        assert torch.equal(content['state_dict']['scale'], torch.full((2,), 2.0))
        Line().load_state_dict(content['state_dict'])
        assert path.stat().st_size < checkpoint.stat().st_size


def test_the_same_weights_get_the_same_hash(trained, tmp_path):
    one, two = (publish(trained[0], tmp_path / folder / 'a') for folder in 'xy')
    assert one.name == two.name


def test_only_the_weights(tmp_path):
    """A slice is saved without the rest of its tensor."""
    torch.save(dict(state_dict=dict(x=torch.zeros(10**6)[:3])), tmp_path / 'large.pth')
    path = publish(tmp_path / 'large.pth', tmp_path / 'small')
    assert path.stat().st_size < 10_000


def test_names_of_classes_stay(tmp_path):
    names = ('pour', 'stir')
    content = dict(
        meta=dict(dataset_meta=dict(classes=names)), state_dict=dict(x=torch.zeros(3))
    )
    torch.save(content, tmp_path / 'epoch_1.pth')
    path = publish(tmp_path / 'epoch_1.pth', tmp_path / 'mine')
    assert safe_load(path)['meta']['dataset_meta']['classes'] == names


@pytest.mark.parametrize(
    ('content', 'weights', 'reason'),
    [
        (dict(state_dict={}), 'ema', 'no averaged weights'),
        (dict(model={}), None, 'no state_dict'),
        ([1], None, 'no state_dict'),
    ],
)
def test_missing_parts_are_reported(content, weights, reason, tmp_path):
    torch.save(content, tmp_path / 'in.pth')
    with pytest.raises(CheckpointError, match=rf'in\.pth.*{reason}'):
        publish(tmp_path / 'in.pth', tmp_path / 'out', weights)
    assert [p.name for p in tmp_path.iterdir()] == ['in.pth']
    with pytest.raises(CheckpointError, match=r'nowhere\.pth does not exist'):
        publish(tmp_path / 'nowhere.pth', tmp_path / 'out')
