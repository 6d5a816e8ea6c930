"""Faithfulness on a list of videos: in Python, and as a tool prints and writes it."""

import csv
import runpy
import shutil

import numpy as np
import pytest

from mmaction_videomambapro.apis.faithfulness import measure
from mmaction_videomambapro.apis.inferencer import VideoInferencer
from mmaction_videomambapro.apis.inputs import Input, find_inputs
from mmaction_videomambapro.datasets.demo_clips import boxes_of_file
from mmaction_videomambapro.errors import UsageError
from mmaction_videomambapro.visualization.faithfulness import draw_faithfulness
from tests.conftest import ROOT


@pytest.fixture(scope='module')
def of_one_view(config, checkpoint):
    cfg = config.copy()
    cfg.test_dataloader = cfg.val_dataloader
    return VideoInferencer(cfg, checkpoint, device='cpu')


@pytest.fixture(scope='module')
def inputs(clips):
    return find_inputs(clips / 'val_videos.txt')[:3]


def test_means_over_a_list(of_one_view, inputs):
    lrp, random = measure(of_one_view, inputs, ['lrp', 'random'], steps=4)
    boxes = []
    for source in inputs:
        # the centre of 8 of 20 frames, every other one, and of 64 x 48 pixels
        box = boxes_of_file(source.name)[np.arange(2, 18, 2)] - [8, 0, 8, 0]
        width, height = (box.clip(0, 48)[:, 2:] - box.clip(0, 48)[:, :2]).T
        boxes.append((width * height).mean() / 48**2)
    for one in (lrp, random):
        assert one.box == pytest.approx(np.mean(boxes), rel=0.03)
        assert 0 < one.inside < 1
        assert one.times == one.inside / one.box
        assert len(one.deletion_curve) == len(one.insertion_curve) == 5
        assert one.deletion_curve[0] == pytest.approx(one.insertion_curve[-1])
        assert one.deletion_curve[-1] == pytest.approx(one.insertion_curve[0])
        mean = np.mean(one.deletion_curve[1:] + one.deletion_curve[:-1])
        assert one.deletion == pytest.approx(mean)
    assert lrp.inside != random.inside


def test_several_views_and_other_videos_have_no_boxes(
    inferencer, of_one_view, inputs, tmp_path
):
    (one,) = measure(inferencer, inputs[:1], ['random'], steps=1)
    assert one.inside is one.box is one.times is None
    shutil.copy(inputs[0].name, tmp_path / '00000.mp4')
    other = Input(str(tmp_path / '00000.mp4'))
    (one,) = measure(of_one_view, [inputs[0], other], ['random'], steps=1)
    assert one.inside is None


def test_a_broken_video_is_named(of_one_view, tmp_path):
    (tmp_path / 'text.mp4').write_text('not a video')
    with pytest.raises(UsageError, match=r'text\.mp4'):
        measure(of_one_view, [Input(str(tmp_path / 'text.mp4'))], ['random'])


def test_the_tool_prints_a_table_and_writes_it(
    monkeypatch, capsys, checkpoint, clips, tmp_path
):
    arguments = f'{checkpoint} {clips}/val_videos.txt --methods gradcam --most 3'
    options = f'--steps 2 --out {tmp_path}/table.csv'
    monkeypatch.setattr('sys.argv', f'faithfulness.py {arguments} {options}'.split())
    runpy.run_path(str(ROOT / 'tools/analysis/faithfulness.py'))['main']()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith('3 videos')
    with open(tmp_path / 'table.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['method'] for row in rows] == ['gradcam', 'random']
    for row, line in zip(rows, lines[2:]):
        name, deletion, insertion, inside, *_ = line.replace('%,', '').split()
        assert name == row['method']
        assert float(deletion) == pytest.approx(float(row['deletion']), abs=6e-4)
        assert float(insertion) == pytest.approx(float(row['insertion']), abs=6e-4)
        assert float(inside) / 100 == pytest.approx(float(row['inside']), abs=6e-4)
        assert 0 < float(row['deletion 0.5']) < 1


def test_curves_are_drawn(tmp_path):
    pairs = {'lrp': ([1, 0.2, 0], [0, 0.9, 1]), 'random': ([1, 0.5, 0], [0, 0.5, 1])}
    draw_faithfulness(pairs, tmp_path / 'curves.png')
    assert (tmp_path / 'curves.png').stat().st_size > 10_000
    with pytest.raises(UsageError, match='no pictures of this kind'):
        draw_faithfulness(pairs, tmp_path / 'curves.doc')
