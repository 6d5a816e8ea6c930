"""Mixed precision in tests and predictions; what torch.compile needs of backbones."""

import pickle
import re

import pytest
import torch
from mmaction.registry import MODELS

from mmaction_videomambapro.apis import mixed_precision
from mmaction_videomambapro.apis.inferencer import VideoInferencer
from mmaction_videomambapro.apis.mixed_precision import decide, has_bf16
from mmaction_videomambapro.errors import UsageError
from tests.conftest import DEMO_CONFIG


def scores(inferencer, videos):
    samples = inferencer(videos, return_datasamples=True)
    return torch.stack([x.pred_score for x in samples])


@pytest.fixture(scope='module')
def videos(clips):
    return clips / 'val_videos.txt'


@pytest.mark.parametrize('amp', ['bf16', 'fp16'])
def test_tests_and_predictions_agree_to_the_last_bit(
    inferencer, tool, checkpoint, videos, model_options, tmp_path, amp
):
    options = [f'{key}={value}' for key, value in model_options.items()]
    options.append(f'test_dataloader.dataset.ann_file={videos}')
    options.append(f'test_dataloader.dataset.data_prefix.video={videos.parent}')
    dump = tmp_path / 'result.pkl'
    tool('test.py', DEMO_CONFIG, checkpoint, '--amp', amp, '--dump', dump,
         '--work-dir', tmp_path, '--cfg-options', *options)  # fmt: skip
    tested = torch.stack([x['pred_score'] for x in pickle.loads(dump.read_bytes())])
    assert tested.dtype == torch.float32

    low = VideoInferencer(checkpoint, device='cpu', amp=amp)
    assert torch.equal(tested, scores(low, videos))
    assert 0 < (tested - scores(inferencer, videos)).abs().max() < 0.02


def test_auto_takes_what_is_faster(checkpoint, videos, monkeypatch, capsys):
    expected = VideoInferencer(checkpoint, device='cpu', amp='bf16')(videos)
    monkeypatch.setattr(mixed_precision, 'has_bf16', lambda device: True)
    monkeypatch.setattr(mixed_precision, 'LEAST_GAIN', 0)
    inferencer = VideoInferencer(checkpoint, device='cpu', amp='auto')
    assert inferencer(videos, batch_size=3) == expected
    assert inferencer.amp == 'bf16'
    (reason,) = capsys.readouterr().err.splitlines()
    assert reason.startswith('bf16: ')


def test_auto_does_not_emulate(inferencer, checkpoint, videos, monkeypatch, capsys):
    capabilities = dict(architecture='x86_64', avx2=True, avx512_bf16=False)
    monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: capabilities, False)
    assert not has_bf16('cpu')
    auto = VideoInferencer(checkpoint, device='cpu', amp='auto')
    assert auto(videos) == inferencer(videos)
    assert auto.amp is None
    assert 'not known to have bf16 instructions' in capsys.readouterr().err


def test_auto_wants_speed_and_the_same_answers():
    full = torch.tensor([[0.7, 0.3], [0.48, 0.52]])
    for low, gain, choice, reason in (
        ([[0.69, 0.31], [0.47, 0.53]], 2.24, 'bf16', '2.2 times .* at most 0.01'),
        ([[0.69, 0.31], [0.47, 0.53]], 1.04, None, 'only 1.04 times as fast'),
        ([[0.65, 0.35], [0.47, 0.53]], 2.24, None, 'differ by up to 0.05'),
        ([[0.69, 0.31], [0.501, 0.499]], 2.24, None, 'best class'),
        ([[0.7, 0.3], [0.48, float('nan')]], 2.24, None, 'differ by up to nan'),
    ):
        found, sentence = decide(full, torch.tensor(low), gain)
        assert found == choice
        assert re.search(reason, sentence)


def test_unknown_precision_is_refused(checkpoint):
    with pytest.raises(UsageError, match="amp='float16' is unknown: choose bf16"):
        VideoInferencer(checkpoint, device='cpu', amp='float16')


def test_torch_compile_makes_no_graph_per_batch_size():
    """Nor any break, and bf16 stays bf16."""
    model = MODELS.get('VideoMambaPro')(
        dict(embed_dims=16, depth=2), img_size=16, patch_size=8, num_frames=2
    ).eval()
    model.init_weights()
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph

    torch._dynamo.reset()
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        for size in (3, 5, 4):
            x = torch.randn(size, 3, 2, 16, 16)
            assert torch.equal(compiled(x), model(x))
    assert len(graphs) == 2  # for the first size, and for any other
