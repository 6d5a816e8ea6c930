"""Models become graphs that compute what they do."""

import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import nn

from mmaction_videomambapro.deploy.graph import graph_of, lower
from mmaction_videomambapro.errors import UsageError
from mmaction_videomambapro.models import VideoMambaPro
from tests.ops.helpers import relative_error

# scan order, cls_position, layers; other orders are parts of the first
CASES = [
    ('alternating', 'middle', 2),
    ('spatiotemporal_v1', 'last', 1),
    ('spatiotemporal_v2', 'first', 1),
]


class Orders(nn.Module):
    """All of them side by side, since each export has a price of its own."""

    def __init__(self):
        super().__init__()
        self.nets = nn.ModuleList(
            VideoMambaPro(
                arch=dict(embed_dims=4, depth=depth), img_size=16, patch_size=8,
                num_frames=3, scan_order=order, cls_position=cls_position,
                out_type='raw',
            )
            for order, cls_position, depth in CASES
        )  # fmt: skip

    def forward(self, x):
        found = torch.stack([net(x.flatten(0, 1)) for net in self.nets])
        return found.unflatten(1, x.shape[:2]).movedim(0, 2)


def test_what_cannot_be_traced_is_one_sentence(capfd):
    class Doubtful(nn.Module):
        def forward(self, x):
            return x + 1 if x.sum() > 0 else x

    with pytest.raises(UsageError, match='cannot be exported: ') as refused:
        graph_of(Doubtful(), torch.ones(2, 2), ('x', 'y'))
    assert '\n' not in str(refused.value)
    assert capfd.readouterr() == ('', '')


def test_scan_orders():
    torch.manual_seed(0)
    model, example = Orders(), torch.randn(2, 3, 3, 3, 16, 16)
    graph = graph_of(model, example[:, :2], ('x', 'y'))
    lower(graph, 'scan')
    content = ir.to_proto(graph).SerializeToString()
    session = onnxruntime.InferenceSession(content)
    (found,) = session.run(None, {'x': example.numpy()})
    with torch.no_grad():
        expected = model(example)
    for i, (order, *_) in enumerate(CASES):
        error = relative_error(torch.from_numpy(found)[:, :, i], expected[:, :, i])
        assert error < 1e-5, order
