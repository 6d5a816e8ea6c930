"""ONNX files in place of models: in the inferencer, in tools, and without them."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from mmaction_videomambapro.apis.camera import watch
from mmaction_videomambapro.apis.explanation import explain
from mmaction_videomambapro.apis.faithfulness import measure
from mmaction_videomambapro.apis.inferencer import VideoInferencer
from mmaction_videomambapro.apis.inputs import find_inputs
from mmaction_videomambapro.apis.over_time import over_time
from mmaction_videomambapro.datasets.demo_clips import CLASSES
from mmaction_videomambapro.datasets.videos import Video
from mmaction_videomambapro.errors import UsageError
from tests.conftest import ROOT
from tests.deploy.files import PIPELINE, expected, metadata, save, tiny_model

SCRIPT = ROOT / 'tools/deployment/predict_onnx.py'


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    return save(tiny_model(), tmp_path_factory.mktemp('onnx') / 'tiny.onnx')


@pytest.fixture(scope='module')
def videos(clips):
    return [x.name for x in find_inputs(clips / 'val_videos.txt')]


@pytest.fixture(scope='module')
def inferencer(model):
    return VideoInferencer(model)


def with_metadata(path, **changes):
    return save(tiny_model(metadata(**changes).to_props()), path)


def by_class(answer):
    return np.array(answer['scores'])[np.argsort(answer['classes'])]


def test_answers_are_those_of_the_graph(inferencer, videos):
    answers = inferencer(videos, top=None)  # in batches of two, as the file says
    assert inferencer.batch_size == 2
    for answer, video in zip(answers, videos):
        assert answer['error'] is None
        assert answer['labels'] == [CLASSES[i] for i in answer['classes']]
        with Video(video) as frames:
            # the test pipeline by hand: stretches of 15 among 20 frames, 48 x 64
            clips = np.stack(
                [frames.frames(x + 2 * np.arange(8)) for x in (0, 2, 3, 5)]
            )
        crops = [clips[..., x : x + 48, :] for x in (0, 16, 8)]
        scores = expected(np.concatenate(crops)[None])[0]
        np.testing.assert_allclose(by_class(answer), scores, rtol=1e-3)
    (sample,) = inferencer(videos[0], return_datasamples=True)
    assert sample.pred_label.tolist() == answers[0]['classes'][:1]


def test_no_model_is_built(model, videos, monkeypatch):
    def refused(*_, **__):
        raise AssertionError('a PyTorch model was built')

    monkeypatch.setattr(torch.nn.Module, '__init__', refused)
    assert VideoInferencer(model)(videos[0])[0]['error'] is None


def test_all_that_takes_an_inferencer(inferencer, videos):
    found = over_time(inferencer, find_inputs(videos[0])[0])
    assert found.answer['segments']
    live = next(watch(inferencer, videos[0], top=1))
    assert live.result['labels'][0] in CLASSES
    broken, fine = inferencer(['gone.mp4', videos[0]])
    assert broken['error'] == 'No such file or directory'
    assert fine['labels']


def test_the_tool_and_its_options(tool, model, videos, tmp_path):
    out = tmp_path / 'answers.json'
    process = tool('predict.py', model, *videos[:2], '--out', out, '--top', 1,
                   '--cfg-options', 'test_dataloader.batch_size=1')  # fmt: skip
    assert len(json.loads(out.read_text())) == 2
    assert process.stdout.count('%') == 2
    process = tool('predict.py', model, videos[0], '--amp', check=False)
    assert process.returncode == 2
    assert process.stderr.count('\n') == 1
    assert '--amp does not apply to ' in process.stderr


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(weights='a.pth'), '--weights does not apply to '),
        (dict(amp='bf16'), '--amp does not apply to '),
        (dict(cfg_options={'model.backbone.depth': 2}),
         '--cfg-options model.backbone.depth does not apply to '),
        (dict(cfg_options={'test_dataloader.dataset.pipeline.x.y': 2}),
         'does not fit'),
        (dict(classes='kinetics400'),
         'there are 400 class names, but the model has 8 classes'),
        (dict(device='mps'), 'runs on cpu or cuda, not on mps'),
    ],
)  # fmt: skip
def test_options_that_do_not_apply(model, options, message):
    with pytest.raises(UsageError, match=message):
        VideoInferencer(model, **options)


def test_class_names(model, tmp_path, videos):
    renamed = VideoInferencer(model, classes=list('abcdefgh'))
    assert renamed.classes == list('abcdefgh')
    numbered = VideoInferencer(with_metadata(tmp_path / 'x.onnx', classes=None))
    (answer,) = numbered(videos[0])
    assert answer['labels'] == [str(i) for i in answer['classes']]


def test_nothing_in_a_file_is_explained(inferencer, model, videos, tool, tmp_path):
    (source,) = find_inputs(videos[0])
    for ask in (
        lambda: explain(inferencer, source),
        lambda: measure(inferencer, [source], ['lrp']),
    ):
        with pytest.raises(UsageError, match='is an ONNX file, which has no layers'):
            ask()
    for name, *arguments in (
        ('explain.py', model, videos[0], '--out', tmp_path / 'x.png'),
        ('faithfulness.py', model, videos[0]),
        ('scan_statistics.py', model, '--videos', videos[0]),
    ):
        process = tool(f'analysis/{name}', *arguments, check=False)
        assert process.returncode == 2
        assert 'is an ONNX file' in process.stderr
        assert process.stderr.count('\n') == 1


def test_files_that_do_not_fit(model, tmp_path, config, videos):
    path = tmp_path / 'x.onnx'
    odd = [dict(type='VideoInit'), dict(type='Resize', scale=(-1, 48), wrong=1)]
    far = [*PIPELINE[:3], dict(type='Resize', scale=(-1, 64)), *PIPELINE[4:]]
    for changes, message in (
        (dict(pipeline=None), 'has no test pipeline in its metadata'),
        (dict(pipeline=odd), 'the test pipeline cannot be built: '),
        (dict(pipeline=[dict(type='Nothing')]), 'the test pipeline cannot be built: '),
        (dict(pipeline=[dict(type='antigravity')]), "has type='antigravity'"),
    ):
        with pytest.raises(UsageError, match=message):
            VideoInferencer(with_metadata(path, **changes, sampling=None))
    features = tiny_model(output='features')
    with pytest.raises(UsageError, match='gives features, not scores'):
        VideoInferencer(save(features, path))
    with pytest.raises(UsageError, match='is an ONNX file, which is a complete model'):
        VideoInferencer(config, model)
    crop = [*far[:4], dict(type='CenterCrop', crop_size=40), *far[5:]]
    other = VideoInferencer(with_metadata(path, pipeline=crop))
    with pytest.raises(UsageError, match=r'takes frames as uint8 .*, not uint8 \(1, 4'):
        other(videos[0])


def run_script(*arguments):
    """In a process in which nothing but the three packages can be imported."""
    code = (
        'import runpy, sys\n'
        'class Nothing:\n'
        '    def find_spec(self, name, *_):\n'
        "        if name.split('.')[0] in ('torch', 'mmaction', 'mmengine', 'mmcv', "
        "'mmaction_videomambapro', 'av', 'decord', 'onnx'):\n"
        '            raise ImportError(name)\n'
        'sys.meta_path.insert(0, Nothing())\n'
        'sys.argv = sys.argv[1:]\n'
        "scope = runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "print(*scope['scores'])\n"
    )
    line = [sys.executable, '-I', '-c', code, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize('crop', ['ThreeCrop', 'CenterCrop'])
def test_a_program_without_torch_agrees(crop, videos, tmp_path):
    """It is given a larger video, which is shrunk twice."""
    import cv2

    path = str(tmp_path / 'wide.mp4')
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'mp4v'), 25, (180, 120))
    with Video(videos[0]) as video:
        for frame in video.frames(range(len(video))):
            writer.write(cv2.resize(frame[..., ::-1], (180, 120)))
    writer.release()
    pipeline = [*PIPELINE[:2], dict(type='VideoDecode', short_side=70), PIPELINE[3],
                dict(type=crop, crop_size=48), *PIPELINE[5:]]  # fmt: skip
    model = with_metadata(tmp_path / 'x.onnx', pipeline=pipeline)
    (answer,) = VideoInferencer(model)(path, top=None)
    process = run_script(model, path)
    assert process.stderr == ''
    *lines, scores = process.stdout.splitlines()
    best = zip(answer['labels'][:5], answer['scores'])
    assert lines == [f'{score:7.1%}  {label}' for label, score in best]
    scores = np.array(scores.split(), np.float32)
    np.testing.assert_allclose(scores, by_class(answer), atol=1e-3)
    for arguments in ((model, tmp_path / 'gone.mp4'), (model,)):
        process = run_script(*arguments)
        assert process.returncode == 1
        assert 'Traceback' not in process.stderr


def test_the_docs_show_the_program():
    text = SCRIPT.read_text()
    assert len(text.splitlines()) <= 60
    pages = [page.read_text() for page in (ROOT / 'docs').glob('*.md')]
    assert sum(f'```python\n{text}```' in page for page in pages) == 1
