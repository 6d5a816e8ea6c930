"""ONNX files in ONNX Runtime: scores, and files that are refused."""

import sys

import numpy as np
import pytest
from onnx import TensorProto, helper

from mmaction_videomambapro.deploy import session
from mmaction_videomambapro.deploy.session import OnnxModel
from mmaction_videomambapro.errors import UsageError
from tests.deploy.files import SHAPE, expected, metadata, save, tiny_model


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    return save(tiny_model(), tmp_path_factory.mktemp('onnx') / 'tiny.onnx')


@pytest.fixture(scope='module')
def model(path):
    return OnnxModel(path, threads=1)


def test_scores(model):
    frames = np.random.default_rng(0).integers(256, size=(2, 3, *SHAPE), dtype=np.uint8)
    scores = model.run(frames)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected(frames), rtol=1e-4)
    np.testing.assert_allclose(model.run(frames[1:]), scores[1:], rtol=1e-4)
    assert model.metadata == metadata()
    assert (model.shape, model.output, model.num_classes) == (SHAPE, 'scores', 8)


@pytest.mark.parametrize(
    ('shape', 'dtype', 'message'),
    [
        (
            (1, 1, *SHAPE),
            np.float32,
            r'uint8 \(batch, views, 8, 48, 48, 3\), not float',
        ),
        ((1, *SHAPE), np.uint8, r'not uint8 \(8, 48, 48, 3\)'.replace('(8', '(1, 8')),
        ((1, 1, 8, 48, 49, 3), np.uint8, r'not uint8 \(1, 1, 8, 48, 49, 3\)'),
        ((1, 1, 16, 48, 48, 3), np.uint8, 'not uint8'),
        ((0, 1, *SHAPE), np.uint8, 'there are none'),
        ((1, 0, *SHAPE), np.uint8, 'there are none'),
    ],
)
def test_wrong_frames_are_refused(model, shape, dtype, message):
    with pytest.raises(UsageError, match=message):
        model.run(np.zeros(shape, dtype))


def refusal(path, **options):
    with pytest.raises(UsageError) as refused:
        OnnxModel(path, **options)
    text = str(refused.value)
    assert str(path) in text
    assert len(text.replace(str(path), '')) < 500
    assert text.isprintable()
    return text


def test_files_that_are_not_models(path, tmp_path):
    content = path.read_bytes()
    for text in (b'', b'hello', b'ORTM' * 100, content[: len(content) // 2]):
        (tmp_path / 'x.onnx').write_bytes(text)
        assert 'is not an ONNX file, or damaged' in refusal(tmp_path / 'x.onnx')
    assert 'does not exist' in refusal(tmp_path / 'gone.onnx')
    assert 'does not exist' in refusal(tmp_path)


def test_models_of_others(tmp_path):
    any_length = tiny_model()
    any_length.graph.input[0].type.tensor_type.shape.dim[2].dim_param = 'T'
    shapeless, two = tiny_model(), tiny_model()
    shapeless.graph.input[0].type.tensor_type.ClearField('shape')
    two.graph.input.append(
        helper.make_tensor_value_info('a' * 5000, TensorProto.FLOAT, [1])
    )
    for model, message in (
        (tiny_model(props={}), 'was not made by tools/deployment/export_onnx.py'),
        (
            tiny_model(output='probabilities'),
            'is not a model of ours: it takes frames, tensor',
        ),
        (tiny_model(shape=(8, 48, 48, 4)), 'is not a model of ours'),
        (any_length, 'is not a model of ours'),
        (shapeless, 'is not a model of ours'),
        (two, 'is not a model of ours'),
        (tiny_model(classes=7), 'it names 8 classes, but gives 7 scores'),
    ):
        assert message in refusal(save(model, tmp_path / 'x.onnx'))


def test_no_other_file_is_read(tmp_path):
    """Neither weights of the graph nor those in attributes and functions."""
    (tmp_path / 'secret').write_bytes(bytes(8))

    def outside(tensor):
        tensor.ClearField('raw_data')
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key='location', value='secret')
        return tensor

    in_graph = tiny_model()
    outside(in_graph.graph.initializer[0])
    constant = helper.make_node(
        'Constant', [], ['c'],
        value=outside(helper.make_tensor('c', TensorProto.FLOAT, [2], bytes(8), True)),
    )  # fmt: skip
    in_attribute, in_function = tiny_model(nodes=[constant]), tiny_model()
    in_function.functions.append(
        helper.make_function(
            'own', 'f', [], ['c'], [constant], [helper.make_opsetid('', 18)]
        )
    )
    for model in (in_graph, in_attribute, in_function):
        assert 'keeps weights in other files' in refusal(
            save(model, tmp_path / 'x.onnx')
        )


def test_operators_that_are_missing(tmp_path):
    newer = tiny_model()
    newer.opset_import[0].version = 99
    future = tiny_model()
    future.ir_version = 99
    unknown = helper.make_node('Unknown', ['float'], ['u'], domain='com.microsoft')
    for model in (newer, future, tiny_model(nodes=[unknown])):
        text = refusal(save(model, tmp_path / 'x.onnx'))
        assert 'needs operators that onnxruntime' in text
        assert 'install a newer one, or export the model with --lowering' in text
    props = metadata(lowering='scan').to_props()
    plain = tiny_model(props, nodes=[unknown])
    assert 'install a newer one (' in refusal(save(plain, tmp_path / 'x.onnx'))

    wrong = tiny_model(nodes=[helper.make_node('Add', ['float', 'nothing'], ['u'])])
    assert 'cannot be opened: ' in refusal(save(wrong, tmp_path / 'x.onnx'))


def test_a_run_that_fails_is_one_sentence(tmp_path):
    """Frames of the right kind, and a graph that cannot take them, or mixes them up."""
    length = int(np.prod(SHAPE))
    frames = np.zeros((2, 3, *SHAPE), np.uint8)
    five = OnnxModel(save(tiny_model(flat=[0, 5, length]), tmp_path / 'x.onnx'))
    with pytest.raises(UsageError, match=r'x\.onnx fails: '):
        five.run(frames)
    mixed = OnnxModel(save(tiny_model(flat=[-1, 1, length]), tmp_path / 'y.onnx'))
    with pytest.raises(UsageError, match=r'gives scores of shape \(6, 8\) for 2'):
        mixed.run(frames)


def test_devices(path, monkeypatch):
    assert 'runs on cpu or cuda, not on mps' in refusal(path, device='mps')
    assert 'not on cuda:x' in refusal(path, device='cuda:x')
    import onnxruntime

    providers = ['CPUExecutionProvider']
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: providers)
    assert 'install onnxruntime-gpu' in refusal(path, device='cuda:1')
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    assert "pip install 'mmaction_videomambapro[onnx]'" in refusal(path)


def test_a_file_larger_than_possible_is_not_read(path, monkeypatch):
    monkeypatch.setattr(session, 'LARGEST_FILE', 1000)
    assert 'is too large to be an ONNX file' in refusal(path)
