"""``tools/deployment/export_onnx.py``: a file that needs nothing else."""

import pytest

from mmaction_videomambapro.apis.inferencer import VideoInferencer
from mmaction_videomambapro.deploy.session import OnnxModel
from mmaction_videomambapro.files import sha256
from tests.conftest import DEMO_CONFIG, ROOT

TOOL = 'deployment/export_onnx.py'


@pytest.fixture(scope='module')
def options(model_options):
    return [
        '--cfg-options',
        *(f'{key}={value}' for key, value in model_options.items()),
    ]


def test_a_file_answers_as_its_checkpoint(
    tool, checkpoint, inferencer, clips, options, tmp_path
):
    out = tmp_path / 'model.onnx'
    video = clips / 'videos' / 'val' / '00001.mp4'
    run = tool(TOOL, DEMO_CONFIG, checkpoint, out, '--video', video, '--classes',
               'demo_clips', *options)  # fmt: skip
    assert 'differs from PyTorch by' in run.stdout
    assert not run.stderr
    file = OnnxModel(out)
    assert file.metadata.config in DEMO_CONFIG
    assert file.metadata.weights_sha256 == sha256(checkpoint)
    assert file.metadata.sampling['crops'] == 3
    assert str(ROOT).encode() not in out.read_bytes()
    videos = str(clips / 'videos' / 'val')
    ours = VideoInferencer(out)(videos, top=None)
    for found, expected in zip(ours, inferencer(videos, top=None), strict=True):
        assert found['classes'] == expected['classes']
        assert found['scores'] == pytest.approx(expected['scores'], abs=1e-5)
    assert ours[0]['labels'][0].split()[0] in ('move', 'turn', 'grow', 'shrink')


def test_refusals(tool, checkpoint, options, tmp_path):
    out = tmp_path / 'model.onnx'
    for message, arguments in {
        'does not exist': [tmp_path / 'none.pth', out],
        'cannot be read': [checkpoint, out, '--video', __file__],
        'must end in .onnx': [checkpoint, tmp_path / 'model.pb'],
    }.items():
        run = tool(TOOL, DEMO_CONFIG, *arguments, *options, check=False)
        assert run.returncode == 2
        assert message in run.stderr.strip().split('\n')[-1]
    assert not list(tmp_path.iterdir())
