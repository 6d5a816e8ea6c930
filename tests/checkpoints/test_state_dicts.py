"""Malformed checkpoints, through every function that reads one."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_checkpoint
from mmengine.runner._flexible_runner import FlexibleRunner
from torch import nn

from mmaction_videomambapro.apis.features import load_backbone
from mmaction_videomambapro.checkpoints.fit import convert, fit
from mmaction_videomambapro.checkpoints.publish import publish
from mmaction_videomambapro.checkpoints.state_dicts import MismatchError, state_dict_in
from mmaction_videomambapro.errors import UsageError

NET = dict(
    type='VideoMamba', arch=dict(embed_dims=8, depth=1), img_size=16, num_frames=2,
    drop_path_rate=0.0,
)  # fmt: skip
HEAD = dict(type='TimeSformerHead', num_classes=3, in_channels=8)
MODEL = dict(type='Recognizer3D', backbone=NET, cls_head=HEAD)
KEY = 'backbone.norm_f.weight'

pytestmark = pytest.mark.usefixtures('scope')


class Counting(BaseModel):
    """A model without conversion rules, with an integer buffer."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Module()
        self.backbone.norm_f = nn.LayerNorm(8, bias=False)
        self.register_buffer('steps', torch.tensor(0))

    def forward(self, inputs):
        return inputs


@pytest.fixture(scope='module')
def good():
    init_default_scope('mmaction')
    torch.manual_seed(0)
    model = MODELS.build(MODEL)
    model.init_weights()
    return OrderedDict(model.state_dict())


# --- the doors: each raises a refusal, or gives the weights that arrived ------------


def runner_of(model, file, folder):
    return Runner(
        model, str(folder / 'run'), load_from=file, default_scope='mmaction',
        experiment_name=f'{id(model)}', log_level='ERROR',
    )  # fmt: skip


def by_load_from(file, folder):
    runner = runner_of(MODELS.build(MODEL), file, folder)
    runner.call_hook('before_run')
    runner.load_or_resume()
    return runner.model.state_dict()


def by_flexible_runner(file, folder):
    runner = FlexibleRunner(
        MODELS.build(MODEL), work_dir=str(folder / 'run'), load_from=file,
        log_level='ERROR',
        strategy=dict(type='SingleDeviceStrategy'), default_scope='mmaction',
        experiment_name=f'{file}{len(list(folder.iterdir()))}',
    )  # fmt: skip
    runner.strategy.prepare(runner.model)
    runner.load_or_resume()
    return runner.model.state_dict()


def by_another_model(file, folder):
    runner = runner_of(Counting(), file, folder)
    runner.load_or_resume()
    return runner.model.state_dict()


def by_load_checkpoint(file, folder):
    model = MODELS.build(MODEL)
    load_checkpoint(model, file)
    return model.state_dict()


def initialised(file, **init_cfg):
    init_cfg = dict(type='Pretrained', checkpoint=file, **init_cfg)
    model = MODELS.build({**NET, 'init_cfg': init_cfg})
    model.init_weights()
    return {f'backbone.{k}': v for k, v in model.state_dict().items()}


def by_init_cfg(file, folder):
    return initialised(file)


def by_init_cfg_with_prefix(file, folder):
    return initialised(file, prefix='backbone.')


def by_convert(file, folder):
    convert(file, folder / 'converted.pth', MODEL)
    return torch.load(folder / 'converted.pth', weights_only=True)['state_dict']


def by_publish(file, folder):
    path = publish(file, folder / 'published')
    return torch.load(path, weights_only=True)['state_dict']


def by_teacher(file, folder):
    teacher = {**NET, 'init_cfg': dict(type='Pretrained', checkpoint=file)}
    model = MODELS.build({
        **MODEL, 'type': 'DistilledRecognizer3D', 'teacher': teacher,
    })  # fmt: skip
    model.init_weights()
    return {f'backbone.{k}': v for k, v in model.teacher.state_dict().items()}


def by_extraction(file, folder):
    backbone = MODELS.build(NET)
    load_backbone(backbone, file)
    return {f'backbone.{k}': v for k, v in backbone.state_dict().items()}


DOORS = (
    by_load_from, by_flexible_runner, by_another_model, by_load_checkpoint, by_init_cfg,
    by_init_cfg_with_prefix, by_convert, by_publish, by_teacher, by_extraction,
)  # fmt: skip


# --- contents of the tensors ---------------------------------------------------------


def instead(value):
    """A checkpoint of MMEngine in which a weight is replaced by another object."""

    def content(good):
        other = value(good[KEY]) if callable(value) else value
        return dict(meta={}, state_dict={**good, KEY: other})

    return content


def flat(value):
    return lambda good: {**good, KEY: value(good[KEY])}


def cycle(good):
    content = dict(meta={})
    content['state_dict'] = content['model'] = content
    return content


def cycle_in_weights(good):
    content = dict(state_dict=dict(good))
    content['state_dict']['again'] = content
    return content


def with_nan(value):
    def broken(weight):
        weight = weight.clone()
        weight[1] = value
        return weight

    return broken


def quantised(weight):
    return torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8)


def huge(weight):
    return torch.zeros(1).expand(25_000_000_000)


ODD = {
    'a list': lambda good: list(good.values()),
    'a tensor': lambda good: good[KEY],
    'a number': lambda good: 3,
    'a text': lambda good: 'weights',
    'nothing': lambda good: None,
    'an empty dictionary': lambda good: {},
    'empty weights': lambda good: dict(state_dict={}),
    'a list of weights': lambda good: dict(state_dict=list(good.items())),
    'None for weights': lambda good: dict(state_dict=None, meta={}),
    'a text for weights': lambda good: dict(state_dict='x', model='y', module=3),
    'no weights': lambda good: dict(meta=dict(epoch=3), optimizer=dict(state={})),
    'keys that are numbers': lambda good: dict(
        state_dict=dict(enumerate(good.values()))
    ),
    'one key that is a number': lambda good: dict(state_dict={**good, 7: good[KEY]}),
    'a key of bytes': lambda good: dict(state_dict={**good, b'x': good[KEY]}),
    'a key that is None': lambda good: {**good, None: good[KEY]},
    'a tuple as a key': lambda good: {**good, ('a', 1): good[KEY]},
    'itself': cycle,
    'itself among the weights': cycle_in_weights,
    'a list as a weight': instead(lambda w: w.tolist()),
    'None as a weight': instead(None),
    'a number as a weight': instead(1.0),
    'a text as a weight': instead('x'),
    'a dictionary as a weight': instead(lambda w: dict(weight=w)),
    'an array': instead(lambda w: w.numpy()),
    'an array without wrapper': flat(lambda w: w.numpy()),
    'all arrays': lambda good: dict(
        state_dict={k: v.numpy() for k, v in good.items()}
    ),
    'an array of objects': instead(np.array([None] * 8)),
    'sparse': instead(lambda w: w.to_sparse()),
    'compressed rows': instead(lambda w: w[None].to_sparse_csr()),
    'without values': instead(lambda w: w.to('meta')),
    'all without values': lambda good: dict(
        state_dict={k: v.to('meta') for k, v in good.items()}
    ),
    'quantised': instead(quantised),
    'complex': instead(lambda w: w.to(torch.complex64)),
    'integers': instead(lambda w: torch.arange(8)),
    'truth values': instead(lambda w: w > 0),
    'NaN': instead(with_nan(torch.nan)),
    'infinity': instead(with_nan(torch.inf)),
    'NaN in half precision': instead(lambda w: with_nan(torch.nan)(w.half())),
    'NaN without wrapper': flat(with_nan(torch.nan)),
    'claims 100 GB': instead(huge),
    'claims 100 GB as an image': lambda good: dict(
        state_dict={**good, 'backbone.pos_embed': huge(0).view(1, -1, 10)}
    ),
    'a thousand views': lambda good: dict(
        state_dict={**good, **{f'x{i}': torch.zeros(1).expand(10**6)
                               for i in range(1000)}}
    ),
    'averages that are none': lambda good: dict(
        state_dict=good, ema_state_dict=[1, 2]
    ),
    'NaN in front of rules': lambda good: dict(
        state_dict={**good, KEY: with_nan(torch.nan)(good[KEY]),
                    'backbone.temporal_pos_embedding': torch.ones(1, 5, 8)}
    ),
}  # fmt: skip
# publish knows no model, so integers may be a counter's, and takes the weights only
FITS = {('complex', 'by_publish'), ('integers', 'by_publish'),
        ('truth values', 'by_publish'),
        ('averages that are none', 'by_publish')}  # fmt: skip


@pytest.mark.parametrize('odd', ODD)
def test_odd_checkpoints_are_refused_at_every_door(good, odd, tmp_path):
    file = str(tmp_path / 'odd.pth')
    torch.save(ODD[odd](good), file)
    for door in DOORS:
        if (odd, door.__name__) in FITS:
            continue
        with pytest.raises(UsageError) as error:
            door(file, tmp_path)
        message = str(error.value)
        assert file in message, (door, message)
        assert '\n' not in message, (door, message)
        assert len(message) < 1500, (door, message)
        assert message.count(file) == 1, (door, message)
    left = {path.name for path in tmp_path.iterdir()} - {'run', 'odd.pth'}
    assert not left or (odd, 'by_publish') in FITS


GOOD = {
    'of MMEngine': lambda good: dict(meta={}, state_dict=good),
    'without meta': lambda good: dict(state_dict=good),
    'without wrapper': lambda good: good,
    'wrapped twice': lambda good: dict(state_dict=dict(model=good)),
    'wrapped three times': lambda good: dict(
        model=dict(module=dict(state_dict=good)), state_dict={}
    ),
    'beside a loss': lambda good: dict(state_dict=good, loss=torch.tensor(0.5)),
    'in half precision': lambda good: dict(
        state_dict={k: v.half() if v.is_floating_point() else v
                    for k, v in good.items()}
    ),
    'in double precision': lambda good: dict(
        state_dict={k: v.double() if v.is_floating_point() else v
                    for k, v in good.items()}
    ),
    'expanded': instead(lambda w: torch.ones(1).expand(8)),
    'parameters': instead(nn.Parameter),
    'slices of one storage': instead(lambda w: torch.arange(1e4)[7:15]),
}  # fmt: skip


@pytest.mark.parametrize('kind', GOOD)
def test_unusual_checkpoints_arrive(good, kind, tmp_path):
    content = GOOD[kind](OrderedDict(good))
    file = str(tmp_path / 'good.pth')
    torch.save(content, file)
    expected = state_dict_in(content)
    for door in DOORS:
        if door is by_publish and 'state_dict' not in content:
            continue
        torch.testing.assert_close(
            door(file, tmp_path)[KEY], expected[KEY].data, check_dtype=False,
            rtol=1e-3, atol=0,
        )  # fmt: skip


def test_counters_are_integers(tmp_path):
    state, file = Counting().state_dict(), str(tmp_path / 'counting.pth')
    for steps, kind in ((7, None), (7.5, 'floating instead of integer')):
        torch.save(dict(state_dict={**state, 'steps': torch.tensor(steps)}), file)
        if kind is None:
            assert by_another_model(file, tmp_path)['steps'] == steps
        else:
            with pytest.raises(MismatchError, match=f'steps .{kind}'):
                by_another_model(file, tmp_path)


def test_infinity_that_a_model_has_itself_is_right():
    """As in a mask."""
    model = nn.Module()
    model.register_buffer('mask', torch.tensor([0.0, -torch.inf]))
    state = model.state_dict()
    assert fit(state, model) is state


def test_names_are_shown_in_one_line():
    odd = {'a\nb\x1b[31m': 1, 'x' * 10**5: 2, 'layers.' + '9' * 5000 + '.x': 3}
    with pytest.raises(MismatchError) as error:
        state_dict_in(dict(state_dict={**odd, 'y': torch.zeros(1)}))
    message = str(error.value)
    assert message.isprintable()
    assert len(message) < 1500
