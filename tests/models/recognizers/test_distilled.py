"""A teacher guides the tokens, and leaves no trace after training."""

from collections import OrderedDict

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.model import ExponentialMovingAverage
from mmengine.runner.checkpoint import get_state_dict, load_state_dict

from mmaction_videomambapro.checkpoints.fit import adapt
from mmaction_videomambapro.safe_load import CheckpointError

pytestmark = pytest.mark.usefixtures('scope')


def network(dims, depth, **kwargs):
    return dict(
        type='VideoMamba', arch=dict(embed_dims=dims, depth=depth), img_size=32,
        num_frames=2, **kwargs,
    )  # fmt: skip


def build(checkpoint=None, **kwargs):
    torch.manual_seed(0)
    init_cfg = dict(type='TruncNormal', layer='Linear', std=0.02)
    if checkpoint:
        init_cfg = dict(type='Pretrained', checkpoint=str(checkpoint))
    model = MODELS.build(dict(
        type='DistilledRecognizer3D',
        backbone=network(24, 2, drop_path_rate=0.0),
        cls_head=dict(type='TimeSformerHead', num_classes=5, in_channels=24),
        teacher=network(16, 1, init_cfg=init_cfg),
        **kwargs,
    ))  # fmt: skip
    model.init_weights()
    return model


@pytest.fixture
def batch():
    samples = [ActionDataSample().set_gt_label(label) for label in (1, 3)]
    return torch.randn(2, 1, 3, 2, 32, 32), samples


def test_loss_is_that_of_the_definition(batch):
    model = build(loss_weight=0.5).train()
    inputs, samples = batch
    loss = model(inputs, samples, mode='loss')['loss_distill']
    with torch.no_grad():
        model.backbone.out_type = 'raw'
        pupil = model.distill_head(model.backbone(inputs[:, 0])).double()
        target = model.teacher(inputs[:, 0]).double()
    assert pupil.shape == target.shape == (2, 1 + 2 * 4, 16)
    pupil, target = (x / x.norm(dim=-1, keepdim=True) for x in (pupil, target))
    expected = (pupil - target).pow(2).sum(-1).mean() / 2
    assert loss.item() == pytest.approx(expected.item())


def test_tokens_turn_to_the_teachers(batch):
    """The teacher does not change and stays in evaluation mode."""
    model = build().train()
    assert not model.teacher.training
    before = [p.clone() for p in model.teacher.parameters()]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(20):
        loss = model(*batch, mode='loss')['loss_distill']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert all(map(torch.equal, before, model.teacher.parameters()))
    assert model.backbone.patch_embed.proj.weight.grad.abs().sum() > 0


def test_without_a_teacher_in_tests(batch):
    model = build().eval()
    plain = MODELS.build(dict(
        type='Recognizer3D', backbone=network(24, 2),
        cls_head=dict(type='TimeSformerHead', num_classes=5, in_channels=24),
    )).eval()  # fmt: skip
    state_dict, report = adapt(dict(state_dict=model.state_dict()), plain)
    plain.load_state_dict(state_dict)
    assert set(report.unused) == {k for k in model.state_dict() if 'distill' in k}
    inputs, samples = batch
    with torch.no_grad():
        expected = plain(inputs, samples, mode='tensor', stage='head')
        assert torch.equal(model(inputs, stage='head'), expected)


@pytest.mark.parametrize('functions', ['torch', 'mmengine'])
def test_checkpoints_are_without_the_teacher(functions, tmp_path):
    """Its weights come from its own file in each run."""
    teacher = MODELS.build(network(16, 1))
    teacher.init_weights()
    torch.save(dict(state_dict=teacher.state_dict()), tmp_path / 'teacher.pth')
    model = build(tmp_path / 'teacher.pth')
    state = OrderedDict(model.state_dict() if functions == 'torch'
                        else get_state_dict(model))  # fmt: skip
    assert not [key for key in state if key.startswith('teacher')]
    state['cls_head.fc_cls.bias'] = torch.ones(5)

    other = build(tmp_path / 'teacher.pth')
    if functions == 'torch':
        other.load_state_dict(state)
    else:
        load_state_dict(other, state, strict=True)
    assert other.cls_head.fc_cls.bias.sum() == 5
    for key, value in teacher.state_dict().items():
        assert torch.equal(other.teacher.state_dict()[key], value)
    del state['distill_head.1.bias']
    with pytest.raises(RuntimeError, match=r'distill_head\.1\.bias'):
        other.load_state_dict(state)


def test_averaged_weights_are_without_the_teacher():
    """As EMAHook saves them: under another prefix."""
    model = build()
    average = ExponentialMovingAverage(model)
    average.update_parameters(model)
    state = average.state_dict()
    assert not [key for key in state if 'teacher' in key]
    other = ExponentialMovingAverage(build())
    other.load_state_dict(state)
    load_state_dict(other, state, strict=True)
    with pytest.raises(RuntimeError, match='distill_head'):
        other.load_state_dict({k: v for k, v in state.items() if 'distill' not in k})


def test_published_image_file_as_a_teacher(tmp_path):
    """With 2-D kernels and a head, under "model"."""
    image = MODELS.build(network(16, 1))
    image.init_weights()
    state = image.state_dict()
    kernel = state.pop('patch_embed.proj.weight')
    del state['temporal_pos_embedding']
    state.update(
        {
            'patch_embed.proj.weight': kernel[:, :, 0],
            'head.weight': torch.zeros(9, 16),
            'head.bias': torch.zeros(9),
        }
    )
    torch.save(dict(model=state), tmp_path / 'image.pth')
    teacher = build(tmp_path / 'image.pth').teacher
    assert torch.equal(teacher.patch_embed.proj.weight, kernel)
    assert torch.equal(teacher.norm_f.weight, image.norm_f.weight)
    assert torch.equal(teacher.pos_embed, image.pos_embed)


def test_impossible_teachers_are_refused():
    with pytest.raises(ValueError, match='the teacher has no weights'):
        MODELS.build(
            dict(
                type='DistilledRecognizer3D',
                backbone=network(24, 2),
                cls_head=dict(type='TimeSformerHead', num_classes=5, in_channels=24),
                teacher=network(16, 1),
            )
        )
    with pytest.raises(ValueError, match='takes no neck'):
        build(neck=dict(type='torch.nn.Identity'))


def test_published_files_are_tested_without_the_projection():
    """Only training needs them; the head is needed in tests, too."""
    model = build()
    state = {k: v for k, v in model.state_dict().items() if 'distill' not in k}
    adapt(dict(state_dict=state), model, complete=True)
    del state['cls_head.fc_cls.bias'], state['cls_head.fc_cls.weight']
    with pytest.raises(CheckpointError, match=r'2 weights .* random: cls_head'):
        adapt(dict(state_dict=state), model, complete=True)
