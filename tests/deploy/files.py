"""Small ONNX files of the kind that are exported; every pixel counts in them."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mmaction_videomambapro.datasets.demo_clips import CLASSES
from mmaction_videomambapro.deploy.metadata import Metadata
from mmaction_videomambapro.deploy.sampling import sampling_of

SHAPE = 8, 48, 48, 3  # T, H, W, channels
PIPELINE = [
    dict(type='VideoInit'),
    dict(type='SampleFrames', clip_len=8, frame_interval=2, num_clips=4,
         test_mode=True),
    dict(type='VideoDecode'),
    dict(type='Resize', scale=(-1, 48)),
    dict(type='ThreeCrop', crop_size=48),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]  # fmt: skip


def metadata(pipeline=PIPELINE, **changes):
    known = dict(
        config='tiny',
        classes=list(CLASSES),
        pipeline=pipeline,
        sampling=sampling_of(pipeline or []),
        batch_size=2,
        lowering='linear_attention',
        precision='float32',
    )
    return Metadata(**{**known, **changes})


def weights(shape=SHAPE, classes=8):
    """(T * H * W * 3, classes): a product of smooth waves, as actions are."""
    at = np.stack(np.meshgrid(*map(np.arange, shape), indexing='ij'), -1)
    waves = np.random.default_rng(0).normal(size=(4, classes)) / 10
    found = np.sin(at.reshape(-1, 4) @ waves + np.arange(classes))
    return np.float32(found * 30 / len(found))


def tiny_model(
    props=None, output='scores', shape=SHAPE, classes=8, nodes=(), flat=(0, 0, -1)
):
    """A linear classifier of pixels, in the form that exported models have.

    Args:
        props (dict, optional): Its metadata. Defaults to None, for that above.
        output (str): Name of the output. Defaults to 'scores'.
        shape (tuple): Of a view.
        classes (int): How many.
        nodes (Sequence[NodeProto]): More nodes.
        flat (Sequence[int]): To which shape the frames are brought, for Reshape.
    """
    batch = ['batch', 'views']
    graph = helper.make_graph(
        [
            helper.make_node('Cast', ['frames'], ['float'], to=TensorProto.FLOAT),
            helper.make_node('Mul', ['float', 'scale'], ['scaled']),
            helper.make_node('Reshape', ['scaled', 'flat'], ['pixels']),
            helper.make_node('MatMul', ['pixels', 'weight'], ['logits']),
            helper.make_node('Softmax', ['logits'], ['views'], axis=-1),
            helper.make_node('ReduceMean', ['views', 'axis'], [output], keepdims=0),
            *nodes,
        ],
        'tiny',
        [helper.make_tensor_value_info(
            'frames', TensorProto.UINT8, [*batch, *shape])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ['batch', classes])],
        [
            numpy_helper.from_array(np.float32(1 / 255), 'scale'),
            numpy_helper.from_array(np.int64(flat), 'flat'),
            numpy_helper.from_array(weights(shape, classes), 'weight'),
            numpy_helper.from_array(np.int64([1]), 'axis'),
        ],
    )  # fmt: skip
    opsets = [helper.make_opsetid('', 18), helper.make_opsetid('com.microsoft', 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    props = metadata().to_props() if props is None else props
    helper.set_model_props(model, props)
    return model


def expected(frames):
    """Scores of the classifier above."""
    flat = np.float32(frames).reshape(*frames.shape[:2], -1) / 255
    logits = flat @ weights()
    scores = np.exp(logits - logits.max(-1, keepdims=True))
    return (scores / scores.sum(-1, keepdims=True)).mean(1)


def save(model, path):
    path.write_bytes(model.SerializeToString())
    return path


__all__ = ['PIPELINE', 'SHAPE', 'expected', 'metadata', 'onnx', 'save', 'tiny_model']
