"""Recognizers become files that compute what they do, or nothing is written."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from mmaction.registry import MODELS
from mmengine.registry import DefaultScope

from mmaction_videomambapro.deploy import lowerings
from mmaction_videomambapro.deploy.export import export_onnx, reference, relative_error
from mmaction_videomambapro.deploy.metadata import Metadata
from mmaction_videomambapro.deploy.session import OnnxModel
from mmaction_videomambapro.errors import RunStopped, UsageError

SMALL = dict(arch=dict(embed_dims=16, depth=1), img_size=16, patch_size=8, num_frames=4)


def recognizer(head=None, average='prob', **backbone):
    """Small weights would hide errors.

    Args:
        head (dict, optional): Another head. Defaults to None.
        average (str): How scores of views are averaged. Defaults to 'prob'.
        **backbone: Its arguments.
    """
    backbone = dict(type='VideoMambaPro', weight_init='mamba', **backbone)
    preprocessor = dict(
        type='ActionDataPreprocessor', mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375], format_shape='NCTHW',
    )  # fmt: skip
    with DefaultScope.overwrite_default_scope('mmaction'):
        channels = 192 if backbone['arch'] == 'tiny' else 16
        model = MODELS.build(
            dict(
                type='Recognizer3D',
                backbone=backbone,
                cls_head={
                    **(head or dict(type='TimeSformerHead', init_std=1)),
                    'num_classes': 5,
                    'in_channels': channels,
                    'average_clips': average,
                },
                data_preprocessor=preprocessor,
            )
        )  # fmt: skip
    model.init_weights()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if not weight.any():  # embeddings start from 0
                weight.normal_()
            # what scans give, and each token's own part of it, has to count
            if 'out_proj' in name:
                weight *= 10
            if 'dt_proj' in name:
                weight += 3
    return model.eval()


def views(count, frames=4, size=(16, 16)):
    return torch.randint(0, 256, (count, 3, frames, *size), dtype=torch.uint8)


VARIANTS = {
    'VideoMamba, averaged tokens': dict(
        residual=False, masked=False, out_type='avg_featmap',
        average='score',
    ),
    'shared, raw': dict(bimamba='shared', scan_input='raw', tubelet_size=2),
    'one direction, without class token': dict(
        bimamba='none', with_cls_token=False, out_type='avg_featmap',
        pos_embed='sincos3d',
    ),
}  # fmt: skip


@pytest.mark.parametrize('name', VARIANTS)
def test_scores(name, tmp_path):
    model = recognizer(**SMALL, **VARIANTS[name])
    out = tmp_path / 'model.onnx'
    metadata = export_onnx(model, out, views(3), Metadata(config='a config'))
    assert metadata.config == 'a config'
    assert metadata.lowering in lowerings.LOWERINGS
    assert all(0 <= metadata.error[x] < 1e-5 for x in ('random', 'real'))
    file = OnnxModel(out)
    assert file.metadata == metadata
    frames = views(6).movedim(1, -1).unflatten(0, (3, 2))
    found = file.run(frames.numpy())
    assert relative_error(found, reference(model, frames, False)) < 1e-5
    one = file.run(frames[:1, :1].numpy())
    assert relative_error(one, reference(model, frames[:1, :1], False)) < 1e-5


@pytest.mark.parametrize('out_type', ['featmap', 'raw'])
def test_features(out_type, tmp_path):
    model = recognizer(**{**SMALL, 'img_size': (16, 24)}, out_type=out_type)
    out = tmp_path / 'model.onnx'
    real = views(3, size=(16, 24))
    export_onnx(model, out, real, Metadata(), 'scan', features=True)
    file = OnnxModel(out)
    found = file.run(real.movedim(1, -1)[None].numpy())
    x = model.data_preprocessor(dict(inputs=[real], data_samples=None))['inputs'][0]
    with torch.no_grad():
        expected = model.backbone(x)[None].numpy()
    assert file.output == 'features'
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_file_that_computes_something_else_is_not_written(tmp_path, monkeypatch):
    def without_the_mask(scan):
        flags = scan.flags._replace(masked=False)
        return lowerings.token_by_token(replace(scan, flags=flags))

    wrong = lowerings.Lowering(without_the_mask, 18)
    monkeypatch.setitem(lowerings.LOWERINGS, 'scan', wrong)
    out = tmp_path / 'model.onnx'
    out.write_text('of before')
    with pytest.raises(RunStopped, match='random frames scores differ by'):
        export_onnx(recognizer(**SMALL), out, views(3), Metadata(), 'scan')
    assert [x.name for x in tmp_path.iterdir()] == ['model.onnx']
    assert out.read_text() == 'of before'


def test_refusals(tmp_path):
    model = recognizer(**SMALL)
    model.cls_head.average_clips = None
    with pytest.raises(UsageError, match=r'average_clips=.prob.'):
        export_onnx(model, tmp_path / 'model.onnx', views(3), Metadata())
    model.data_preprocessor.format_shape = 'NCHW'
    with pytest.raises(UsageError, match='format_shape'):
        export_onnx(model, tmp_path / 'model.onnx', views(3), Metadata())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('lowering', ['chunked', 'scan'])
def test_a_portable_file_has_loops_that_see_nothing_outside(lowering, tmp_path):
    """OpenVINO reads no functions, and no others."""
    model = recognizer(**SMALL)
    out = tmp_path / 'model.onnx'
    export_onnx(model, out, views(3), Metadata(), lowering, portable=True)
    graph = onnx.load(out)
    assert not graph.functions
    assert [x.domain for x in graph.opset_import] == ['']
    bodies = [x.attribute[0].g for x in graph.graph.node if x.op_type == 'Scan']
    assert len(bodies) == (6 if lowering == 'chunked' else 2)
    for body in bodies:
        known = {x.name for x in (*body.input, *body.initializer)}
        known |= {name for node in body.node for name in node.output}
        assert {name for node in body.node for name in node.input} <= known
    with pytest.raises(UsageError, match='standard is not portable: take'):
        export_onnx(model, out, views(3), Metadata(), 'standard', portable=True)


def test_attentive_probes(tmp_path):
    """Of a grid, the chosen one; clips of a video are attended to together."""
    grid = dict(
        type='AttentiveProbeGrid', lrs=(1.0, 0.1), num_heads=2, depth=1, num_clips=4
    )
    model = recognizer(grid, **SMALL, out_type='raw')
    with pytest.raises(UsageError, match='best_'):
        export_onnx(model, tmp_path / 'model.onnx', views(4), Metadata(), 'scan')
    model.cls_head.best.fill_(1)
    out = tmp_path / 'model.onnx'
    metadata = export_onnx(model, out, views(12), Metadata(), 'scan')
    assert max(metadata.error.values()) < 1e-5
    frames = views(24).movedim(1, -1).unflatten(0, (3, 8))
    found = OnnxModel(out).run(frames.numpy())
    assert relative_error(found, reference(model, frames, False)) < 1e-5
    first = relative_error(found, _by_probe(model, frames, 0))
    assert first > 1e-3 > relative_error(found, _by_probe(model, frames, 1))


def _by_probe(model, frames, number):
    model.cls_head.best.fill_(number)
    return reference(model, frames, False)


def test_tiny(tmp_path):
    """At its usual size: 1569 tokens, 24 layers."""
    model = recognizer(arch='tiny', num_frames=8)
    metadata = export_onnx(
        model, tmp_path / 'model.onnx', views(1, 8, (224, 224)), Metadata(), 'chunked'
    )
    assert max(metadata.error.values()) < 1e-5
