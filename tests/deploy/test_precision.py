"""Smaller files give the scores of the float32 file, or are not written."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from mmaction_videomambapro.apis.inferencer import VideoInferencer
from mmaction_videomambapro.deploy.export import export_onnx, relative_error
from mmaction_videomambapro.deploy.metadata import Metadata
from mmaction_videomambapro.deploy.precision import TOLERANCES, write_smaller
from mmaction_videomambapro.deploy.session import OnnxModel
from mmaction_videomambapro.errors import RunStopped, UsageError
from tests.deploy.files import PIPELINE, save, tiny_model
from tests.deploy.test_export import SMALL, recognizer, views

TOOL = 'deployment/quantize_onnx.py'
FRAMES = np.random.default_rng(0).integers(256, size=(1, 3, 4, 16, 16, 3), dtype='u1')
# of two layers, sums over 8 or more numbers: patches, in_proj, x_proj, out_proj
PRODUCTS = 16 * 3 * 8 * 8 + 2 * (16 * 64 + 2 * 32 * 33 + 32 * 16)
TABLES = 2 * 2 * 32 * 16  # A of each layer and direction


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    steps = [dict(step) for step in PIPELINE]
    steps[1].update(clip_len=4, num_clips=1)
    steps[3]['scale'], steps[4]['crop_size'] = (-1, 16), 16
    out = tmp_path_factory.mktemp('exported') / 'model.onnx'
    torch.manual_seed(0)
    model = recognizer(**SMALL | dict(arch=dict(embed_dims=16, depth=2)))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight += 0.01 * torch.randn_like(weight)  # no two are equal
            if 'in_proj' in name:  # its errors have to count
                weight *= 3
    metadata = Metadata(pipeline=steps, config='small')
    export_onnx(model, out, views(3), metadata, 'scan')
    return out


def tensors(path):
    graph = onnx.load(path).graph
    return {x.name: x for x in graph.initializer}


def stored(tensors):
    return sum(numpy_helper.to_array(x).nbytes for x in tensors.values())


def restored(name, new):
    """A tensor of the float32 file, as the new file has it."""
    ways = {f'{name}{x}' for x in ('', '.int8', '.float16', '.bfloat16')}
    (way,) = ways & set(new)
    values = numpy_helper.to_array(new[way]).astype(np.float64)
    if way.endswith('int8'):
        values *= numpy_helper.to_array(new[f'{name}.scale'])
    return values


@pytest.mark.parametrize(
    ('precision', 'kind', 'digits'),
    [
        ('int8', TensorProto.INT8, None),
        ('float16', TensorProto.FLOAT16, 2**-11),
        ('bfloat16', TensorProto.BFLOAT16, 2**-8),
    ],
)
def test_a_smaller_file(exported, precision, kind, digits, tmp_path):
    out = tmp_path / 'model.onnx'
    metadata = write_smaller(exported, out, precision, FRAMES)
    file, before = OnnxModel(out), OnnxModel(exported)
    assert file.metadata == metadata
    assert metadata.precision == precision
    assert (metadata.config, metadata.lowering) == ('small', 'scan')

    # what is stored
    new, old = tensors(out), tensors(exported)
    assert sum(np.prod(x.dims) for x in new.values() if x.data_type == kind) >= PRODUCTS
    large = [x for x in new.values() if np.prod(x.dims) >= 512]
    assert not [x.name for x in large if x.data_type == TensorProto.FLOAT]
    spared = stored(old) - stored(new)
    assert spared >= (2 if digits else 2.7) * PRODUCTS + 2 * TABLES

    # how near it is
    model = onnx.load(exported)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32:
            continue
        close = restored(tensor.name, new)
        tolerance = np.abs(values) * (digits or 0) + 2**-25
        if f'{tensor.name}.int8' in new:
            scale = numpy_helper.to_array(new[f'{tensor.name}.scale'])
            assert scale.size in values.shape  # one for each channel
            tolerance = scale * 0.5001
        elif f'{tensor.name}.float16' in new:
            tolerance = np.abs(values) * 2**-11 + 2**-25
        assert (np.abs(close - values) <= tolerance).all()
        array = numpy_helper.from_array(close.astype(np.float32), tensor.name)
        tensor.CopyFrom(array)

    # what it computes: exactly what these weights give, with float32 in between
    same = OnnxModel(save(model, tmp_path / 'restored.onnx'))
    assert relative_error(file.run(FRAMES), same.run(FRAMES)) < 1e-6
    error = relative_error(file.run(FRAMES), before.run(FRAMES))
    assert metadata.error['real'] == pytest.approx(error, rel=1e-3)
    assert 0 < error < TOLERANCES[precision]


def test_files_that_are_refused(exported, tmp_path):
    out = tmp_path / 'out.onnx'
    half = tmp_path / 'half.onnx'
    write_smaller(exported, half, 'float16', FRAMES)
    stranger = save(tiny_model(props={}), tmp_path / 'stranger.onnx')
    for message, path in {
        'is of precision float16: take the float32 file': half,
        'was not made by tools/deployment/export_onnx.py': stranger,
    }.items():
        with pytest.raises(UsageError, match=message):
            write_smaller(path, out, 'int8', FRAMES)
    with pytest.raises(UsageError, match='is what is read'):
        write_smaller(exported, exported, 'int8', FRAMES)
    assert not out.exists()


@pytest.fixture(scope='module')
def with_outlier(exported, tmp_path_factory):
    """The same function, but one channel is small before a product, and large in it."""
    model = onnx.load(exported)
    product = next(x.input[1] for x in model.graph.node if x.op_type == 'MatMul')
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor).copy()
        if tensor.name.endswith('layers.0.norm.weight'):
            values[0] /= 1e8
        elif tensor.name == product:
            values[0] *= 1e8
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    path = save(model, tmp_path_factory.mktemp('outlier') / 'model.onnx')
    assert (
        relative_error(OnnxModel(path).run(FRAMES), OnnxModel(exported).run(FRAMES))
        < 1e-5
    )
    return path


@pytest.mark.parametrize('precision', TOLERANCES)
def test_weights_that_a_precision_cannot_hold(with_outlier, precision, tmp_path):
    """int8 loses all channels but one, float16 ends at 65504, bfloat16 does not."""
    out = tmp_path / 'model.onnx'
    if precision == 'bfloat16':
        write_smaller(with_outlier, out, precision, FRAMES)
        return
    with pytest.raises(RunStopped, match=f'{precision} is not precise enough for'):
        write_smaller(with_outlier, out, precision, FRAMES)
    assert not list(tmp_path.iterdir())


def test_the_tool(tool, exported, clips, tmp_path):
    """It compares both files on a list, in which half of the labels are right."""
    out, names = tmp_path / 'int8.onnx', tmp_path / 'list.txt'
    videos = sorted((clips / 'videos' / 'val').iterdir())
    answers = VideoInferencer(exported)([str(x) for x in videos], top=1)
    labels = [(x['classes'][0] + i) % 5 for i, x in zip([0, 1] * 4, answers)]
    names.write_text(''.join(f'{x.name} {y}\n' for x, y in zip(videos, labels)))
    run = tool(TOOL, exported, out, '--to', 'int8', '--check', names, '--root',
               clips / 'videos' / 'val')  # fmt: skip
    assert not run.stderr
    said, head, *rows = run.stdout.strip().split('\n')
    ratio = out.stat().st_size / exported.stat().st_size
    assert f'{out}: int8, {ratio:.2f} x the size; differs from float32 by' in said
    assert head.split() == ['MB', 'top-1', 'top-5', 'ms/video']
    names, _, top1, top5, times = zip(*(row.split() for row in rows))
    assert names == ('float32', 'int8')
    assert top1[0] == '50.0%'
    assert set(top5) == {'100.0%'}
    assert all(float(x) > 0 for x in times)


def test_the_tool_refuses(tool, exported, with_outlier, clips, tmp_path):
    out, names = tmp_path / 'int8.onnx', clips / 'val_videos.txt'
    for code, message, model, arguments in (
        (1, 'nothing is written', with_outlier, []),
        (2, 'has label 5, but', exported, ['--check', names]),
        (2, 'is not a list of videos', exported, ['--check', exported]),
        (2, 'cannot be read', exported, ['--video', __file__]),
        (2, 'does not exist', tmp_path / 'none.onnx', []),
    ):
        run = tool(TOOL, model, out, '--to', 'int8', *arguments, check=False)
        assert run.returncode == code
        assert message in run.stderr.strip().split('\n')[-1]
    assert not list(tmp_path.iterdir())
