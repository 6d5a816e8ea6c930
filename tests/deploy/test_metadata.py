"""What an ONNX file says of itself, and what a stranger's may say."""

import json
import runpy

import numpy as np
import pytest
from mmaction.registry import TRANSFORMS
from mmengine.config import Config

from mmaction_videomambapro.deploy.metadata import Metadata
from mmaction_videomambapro.deploy.sampling import sampling_of
from mmaction_videomambapro.errors import UsageError
from tests.conftest import DEMO_CONFIG, ROOT
from tests.deploy.files import PIPELINE

SCRIPT = ROOT / 'tools/deployment/predict_onnx.py'


def test_metadata_comes_back_as_it_was():
    data = Metadata(
        config='tiny', classes=['a', 'ü\n"'], pipeline=PIPELINE,
        sampling=sampling_of(PIPELINE), batch_size=3, weights_sha256='0f' * 32,
        lowering='scan', precision='int8', error=dict(random=1e-7, real=2),
        versions=dict(torch='2.13'),
    )  # fmt: skip
    props = data.to_props()
    assert all(isinstance(x, str) for x in props.values())
    later = {**props, 'unknown': 'of a later version'}
    assert Metadata.from_props(later, 'x.onnx') == data
    assert Metadata.from_props({'format': '1'}, 'x.onnx') == Metadata()


@pytest.mark.parametrize(
    ('props', 'message'),
    [
        ({}, 'x.onnx was not made by'),
        ({'format': '2'}, "format '2', but this version reads '1': update"),
        ({'classes': '["a", 3]'}, 'classes in its metadata is not a list of names'),
        ({'classes': '[]'}, 'classes'),
        ({'classes': 'a'}, 'classes'),
        ({'pipeline': '[' * 100_000}, 'pipeline'),
        ({'pipeline': '[{"a": ' + '[' * 900 + ']' * 900 + '}]'}, 'pipeline'),
        ({'pipeline': '{}'}, 'pipeline'),
        ({'pipeline': '[3]'}, 'pipeline'),
        ({'pipeline': '[{"type": "os.system"}]'}, r"x.onnx has type='os.system'"),
        ({'pipeline': '[{"type": "antigravity"}]'}, "has type='antigravity'"),
        ({'pipeline': '[{"type": "__main__"}]'}, "has type='__main__'"),
        ({'pipeline': '[{"a": [{"type": ["Resize"]}]}]'}, r"type=\['Resize'\]"),
        ({'pipeline': '[{"_scope_": "antigravity"}]'}, "_scope_='antigravity'"),
        ({'pipeline': '[{"clip_len": 9000, "num_clips": 9000}]'}, 'pipeline'),
        ({'pipeline': '[{"clip_len": 8, "num_clips": -1}]'}, 'pipeline'),
        ({'pipeline': '[{"type": "Resize", "scale": [-1, 100000]}]'}, 'pipeline'),
        ({'pipeline': '[{"a": 1e999}]'}, 'pipeline'),
        ({'batch_size': '0'}, 'batch_size in its metadata is not a number above 0'),
        ({'batch_size': 'true'}, 'batch_size'),
        ({'batch_size': '9' * 5000}, 'batch_size'),
        ({'error': '{"random": NaN}'}, 'error'),
        ({'error': '{"random": "0"}'}, 'error'),
        ({'error': f'{{"random": 1{"0" * 400}}}'}, 'error'),
        ({'versions': '{"torch": 2}'}, 'versions'),
        ({'weights_sha256': 'abc'}, 'weights_sha256'),
        ({'config': 'x' * 1000}, 'config'),
        ({'sampling': '{"type": "SampleFrames"}'}, 'sampling'),
        ({'sampling': '{"type": ["SampleFrames"]}'}, 'sampling'),
    ],
)
def test_a_strangers_metadata_is_refused(props, message):
    props = {'format': '1', **props} if props else {}
    with pytest.raises(UsageError, match=message) as refused:
        Metadata.from_props(props, 'x.onnx')
    assert len(str(refused.value)) < 200


def changed(i, **arguments):
    steps = [dict(step) for step in PIPELINE]
    steps[i].update(arguments)
    return steps


def test_sampling_of_pipelines():
    assert sampling_of(PIPELINE) == dict(
        type='SampleFrames', clip_len=8, frame_interval=2, num_clips=4, shrink=None,
        resize=48, crop=48, crops=3,
    )  # fmt: skip
    kinetics = ROOT / 'configs/recognition/videomambapro'
    cfg = Config.fromfile(kinetics / 'videomambapro-tiny-p16_16x4x1_kinetics400-rgb.py')
    assert sampling_of(cfg.test_pipeline) == dict(
        type='SampleDense', clip_len=16, frame_interval=4, num_clips=4, shrink=320,
        resize=224, crop=224, crops=3,
    )  # fmt: skip
    assert sampling_of(Config.fromfile(ROOT / DEMO_CONFIG).val_pipeline)['crops'] == 1
    assert sampling_of(changed(4, type='CenterCrop', crop_size=(40, 40)))['crop'] == 40
    for other in (
        PIPELINE[:-1],
        [*PIPELINE[:3], dict(type='Flip'), *PIPELINE[3:]],
        changed(1, test_mode=False),
        changed(1, twice_sample=True),
        changed(1, out_of_bound_opt='repeat_last'),
        changed(1, target_fps=30),
        changed(1, clip_len=1),
        changed(1, type='SampleVJEPA'),
        changed(3, scale=(48, 48)),
        changed(3, scale=0.5),
        changed(3, interpolation='bicubic'),
        changed(4, crop_size=40),  # ThreeCrop refuses it, too
        changed(4, type='CenterCrop', crop_size=(40, 30)),
        changed(4, type='CenterCrop', crop_size=60),
        changed(5, input_format='NCHW'),
        Config.fromfile(ROOT / DEMO_CONFIG).train_pipeline,
    ):
        assert sampling_of(other) is None


@pytest.mark.parametrize(
    ('name', 'fixed'),
    [
        ('SampleFrames', dict(test_mode=True)),
        ('UniformSample', dict(test_mode=True)),
        ('SampleDense', dict(mode='test')),
        ('SampleSparse', dict(mode='test')),
        ('SampleSSv2', dict(mode='test')),
    ],
)
def test_the_script_chooses_the_frames_of_the_samplers(name, fixed):
    choose = runpy.run_path(SCRIPT)['choose']
    uniform = name == 'UniformSample'
    for clip_len, rate, clips in (
        (8, 2, 4), (16, 4, 1), (16, 4, 4), (32, 1, 10), (7, 3, 3), (2, 5, 2),
    ):  # fmt: skip
        clips = 2 if name == 'SampleSSv2' else clips
        sampler = dict(type=name, clip_len=clip_len, num_clips=clips, **fixed)
        if not uniform:
            sampler['frame_interval'] = rate
        sampling = sampling_of([PIPELINE[0], sampler, *PIPELINE[2:]])
        transform = TRANSFORMS.build(sampler)
        for n in (*range(1, 400), 997, 7201, 100_003):
            wanted = transform(dict(total_frames=n, start_index=0))['frame_inds']
            found = choose(n, **sampling)
            assert found.shape == (clips, clip_len)
            assert np.array_equal(found.ravel(), wanted), (n, clip_len, rate, clips)


def test_json_in_files_is_of_one_kind():
    """Programs in other languages read it: no Python, no NaN."""
    props = Metadata(pipeline=PIPELINE, classes=['a']).to_props()
    assert json.loads(props['pipeline'])[3] == {'type': 'Resize', 'scale': [-1, 48]}
