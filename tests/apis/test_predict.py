"""tools/predict.py, and what it does with many videos."""

import csv
import json
import multiprocessing
import os
import pickle
import socket
from functools import partial

import pytest
import torch

from mmaction_videomambapro.apis.answers import AnswerFile
from mmaction_videomambapro.apis.inferencer import VideoInferencer
from mmaction_videomambapro.apis.inputs import find_inputs
from mmaction_videomambapro.apis.predict import predict, shared_out, shown
from mmaction_videomambapro.errors import RunStopped, UsageError
from tests.conftest import DEMO_CONFIG


@pytest.fixture
def videos(clips, tmp_path):
    """A list of eight videos of which one is broken."""
    paths = [x.name for x in find_inputs(clips / 'val_videos.txt')]
    paths[5] = str(tmp_path / 'bad.mp4')
    (tmp_path / 'bad.mp4').write_text('not a video')
    path = tmp_path / 'videos.txt'
    path.write_text(''.join(f'{x} {i}\n' for i, x in enumerate(paths)))
    return path


def test_scores_are_those_of_the_test_tool(
    tool, checkpoint, videos, tmp_path, model_options
):
    """To the last bit, and a broken file is named instead of counted as wrong."""
    options = [f'{key}={value}' for key, value in model_options.items()]
    options.append(f'test_dataloader.dataset.ann_file={videos}')
    options.append('test_dataloader.dataset.data_prefix.video=')
    dump = tmp_path / 'result.pkl'
    tool('test.py', DEMO_CONFIG, checkpoint, '--dump', dump, '--work-dir', tmp_path,
         '--cfg-options', *options)  # fmt: skip
    tested = pickle.loads(dump.read_bytes())

    out = tmp_path / 'answers.json'
    process = tool('predict.py', checkpoint, videos, '--out', out, '--top', 8,
                   check=False)  # fmt: skip
    assert process.returncode == 1
    assert process.stderr.endswith('1 of 8 videos could not be answered\n')
    assert f'{tmp_path}/bad.mp4\n   broken: ' in process.stdout
    found = json.loads(out.read_text())
    assert [x['error'] is None for x in found] == [i != 5 for i in range(8)]
    for answer, sample in zip(found, tested):
        if answer['error'] is None:
            best = sample['pred_score'][answer['classes']].tolist()
            assert answer['scores'] == best == sorted(best, reverse=True)
    assert not out.with_name('answers.json.partial').exists()


def test_wrong_use_is_one_sentence(tool, checkpoint, tmp_path):
    (tmp_path / 'bad.mp4').write_text('not a video')
    for arguments, message in (
        ([checkpoint, tmp_path / 'bad.mp4'], 'none of the videos could be answered'),
        ([checkpoint, tmp_path / 'bad.mp4', '--out', 'a.xml'], 'must end in .json'),
        ([checkpoint, tmp_path / 'bad.mp4', '--top', 0], '--top must be above 0'),
        (
            [tmp_path / 'bad.mp4', tmp_path / 'bad.mp4'],
            'cannot be used as a checkpoint',
        ),
        (['nothing', tmp_path / 'bad.mp4'], 'not a config file, a checkpoint or'),
    ):
        process = tool('predict.py', *arguments, check=False)
        assert process.returncode == 2
        assert message in process.stderr
        assert 'Traceback' not in process.stderr


def test_an_interrupted_run_goes_on(inferencer, videos, tmp_path, monkeypatch):
    ask = partial(inferencer.answers, batch_size=2)
    inputs, whole, broken = (
        find_inputs(videos),
        tmp_path / 'a.jsonl',
        tmp_path / 'b.jsonl',
    )
    with pytest.raises(RunStopped):
        predict(ask, inputs, 2, out=str(whole), origin=dict(model='a'))

    step, calls = inferencer.model.test_step, []

    def interrupted(data):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return step(data)

    monkeypatch.setattr(inferencer.model, 'test_step', interrupted)
    run = lambda model: predict(  # noqa: E731
        ask, inputs, 2, out=str(broken), origin=dict(model=model)
    )
    with pytest.raises(KeyboardInterrupt):
        run('a')
    assert not broken.exists()
    with pytest.raises(UsageError, match='of a run with another model; delete it'):
        run('b')
    with pytest.raises(UsageError, match='of other videos'):
        predict(ask, inputs[1:], 2, out=str(broken), origin=dict(model='a'))
    with open(f'{broken}.partial', 'a') as file:
        file.write('{"path": "half')  # the machine went down in mid-line
    with pytest.raises(RunStopped, match='1 of 8'):
        run('a')
    assert broken.read_bytes() == whole.read_bytes()
    assert len(calls) == 3 + 2


def test_damaged_collection_is_refused(tmp_path):
    path = tmp_path / 'a.json'
    for text in ('', '\n', 'x\n', '3\n', '[]\n', '{}\n[]\n', '{}\n{"a": 1}\n'):
        (tmp_path / 'a.json.partial').write_text(text)
        with pytest.raises(UsageError, match='delete it, or choose another file'):
            AnswerFile(str(path), dict(model='a'))


def test_names_cannot_be_mistaken(tmp_path):
    """For formulas of a spreadsheet, lines, or commands of a terminal."""
    name = '=1+1\n\x1b[2J,"\udcff'
    answer = dict(path=name, labels=[name], classes=[0], scores=[1.0], error=None)
    for ending in ('json', 'jsonl', 'csv'):
        file = AnswerFile(str(tmp_path / f'a.{ending}'), {})
        file.add([answer])
        file.finish()
    assert json.loads((tmp_path / 'a.json').read_text()) == [answer]
    assert json.loads((tmp_path / 'a.jsonl').read_text()) == answer
    with open(tmp_path / 'a.csv', newline='', errors='surrogateescape') as file:
        _, row = csv.reader(file)
    assert not row[0].startswith('=')
    assert len(shown(answer).split('\n')) == 2
    assert shown(answer).replace('\n', '').isprintable()


def everything(inferencer, videos):
    ask = partial(inferencer.answers, batch_size=2, top=None)
    return list(shared_out(ask, find_inputs(videos), 2))


def _answers_of_a_process(rank, port, checkpoint, videos, queue):
    os.environ.update(
        RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=port
    )
    torch.distributed.init_process_group('gloo')
    inferencer = VideoInferencer(checkpoint, device='cpu')
    queue.put(everything(inferencer, videos))


def test_two_processes_equal_one(inferencer, checkpoint, videos):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = str(probe.getsockname()[1])
    context = multiprocessing.get_context('fork')
    queue = context.Queue()
    arguments = port, checkpoint, videos, queue
    processes = [
        context.Process(target=_answers_of_a_process, args=(rank, *arguments))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    one, other = queue.get(timeout=60), queue.get(timeout=60)
    for process in processes:
        process.join()
    alone = everything(inferencer, videos)
    assert one == other
    assert [len(x) for x in one] == [4, 4]
    assert [x for batch in one for x in batch] == [x for b in alone for x in b]
    assert len(alone) == 4
