"""MMAction2's demos for long videos and cameras take our pipelines.

Their scripts do not come with the package; what they do to a pipeline is done here.
"""

import argparse
from collections import deque

import numpy as np
import pytest
from mmengine.config import Config, DictAction
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope

from tests.conftest import DEMO_CONFIG, ROOT

RECIPES = ROOT / 'configs/recognition/videomambapro'
OPTIONS = 'test_pipeline.1.type=SampleFrames test_pipeline.1.num_clips=1'
CONFIGS = {
    'SampleFrames': (ROOT / DEMO_CONFIG, ''),
    'SampleSparse': (min(RECIPES.glob('*-u8-*_kinetics400-*')), OPTIONS),
    'SampleDense': (min(RECIPES.glob('*_16x4x1_kinetics400-*')), OPTIONS),
    'SampleSSv2': (min(RECIPES.glob('*-u8-*_sthv2-*')), OPTIONS),
}
# what both scripts take out; ours stay and leave frames that are there alone
REMOVED = {f'{name}{step}' for name in ('OpenCV', 'Decord', 'PyAV')
           for step in ('Init', 'Decode')} | {'RawFrameDecode'}  # fmt: skip


@pytest.fixture(params=CONFIGS)
def config(request):
    """A config as the demos read it, with the documented options."""
    path, options = CONFIGS[request.param]
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    args = parser.parse_args(['--cfg-options', *options.split()] if options else [])
    cfg = Config.fromfile(path)
    assert cfg.test_pipeline[1].type == request.param
    cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.default_scope)
    return cfg


def without_sampler(pipeline):
    """The steps that the scripts keep, and the clips that they then cut themselves."""
    steps, clips = pipeline.copy(), {}
    for step in pipeline:
        if 'SampleFrames' in step['type']:
            clips = dict(num_clips=step['num_clips'], clip_len=step['clip_len'])
            steps.remove(step)
        if step['type'] in REMOVED:
            steps.remove(step)
    return steps, clips


def check(inputs, clips, first):
    """The value of a clip's frame is its index in the stream."""
    frames = inputs[:, 0, :, 0, 0].reshape(3, clips['num_clips'], clips['clip_len'])
    for crop in frames:
        assert crop.flatten().tolist() == list(range(first, first + crop.numel()))


def stream(length):
    for i in range(length):
        yield np.full((60, 80, 3), i, np.uint8)


def test_long_video(config):
    steps, clips = without_sampler(config.test_pipeline)
    steps.insert(1, dict(type='ArrayDecode'))
    pipeline = Compose(steps)
    length = clips['clip_len'] * clips['num_clips']
    queue = deque(maxlen=length)
    for i, frame in enumerate(stream(length + 2)):
        queue.append(frame)
        if len(queue) == length:
            data = dict(img_shape=(60, 80), modality='RGB', label=-1, **clips)
            data.update(array=list(np.array(queue)), frame_inds=np.arange(length))
            (inputs,) = pseudo_collate([pipeline(data)])['inputs']
            check(inputs, clips, i + 1 - length)


def test_webcam(config):
    steps, clips = without_sampler(config.test_pipeline)
    pipeline = Compose(steps)
    length = clips['clip_len'] * clips['num_clips']
    data = dict(img_shape=(60, 80), modality='RGB', label=-1, **clips)
    for _ in range(2):  # the same dictionary is copied for each window
        (inputs,) = pseudo_collate(
            [pipeline(dict(data, imgs=list(np.array(list(stream(length))))))]
        )['inputs']
        check(inputs, clips, 0)


def test_the_options_are_documented():
    assert (ROOT / 'docs/finetune.md').read_text().count(OPTIONS) == 2
