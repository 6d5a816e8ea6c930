"""One path to the frames of a video, whatever config names it."""

import re

import pytest
import yaml
from mmaction.registry import TRANSFORMS

from mmaction_videomambapro.apis.vjepa_yaml import translate
from tests.apis import test_vjepa_yaml as experiments
from tests.conftest import ROOT

OWN = {'VideoInit', 'VideoDecode'}
IMAGES = {'RawFrameDecode'}  # frames that are images already, none is sought


def types_in(node):
    """All names of types in a config, however deep."""
    if isinstance(node, dict):
        if isinstance(node.get('type'), str):
            yield node['type']
        for value in node.values():
            yield from types_in(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from types_in(value)


def decoders_in(config):
    return {name for name in types_in(config) if re.search('(Init|Decode)$', name)}


def test_the_search_finds_decoders_of_mmaction2():
    theirs = {f'{name}{step}' for name in ('Decord', 'PyAV', 'OpenCV')
              for step in ('Init', 'Decode')}  # fmt: skip
    assert all(name in TRANSFORMS for name in theirs)
    views = dict(type='RepeatViews', transforms=[dict(type=x) for x in theirs])
    assert decoders_in(dict(a=[dict(pipeline=(views,))])) == theirs


def test_every_config_decodes_with_ours():
    """Seen in the files, which takes seconds less than to read all configs."""
    found = set()
    for path in sorted((ROOT / 'configs').rglob('*.py')):
        if 'mmpretrain' in path.parts:  # read by mmpretrain, images only
            continue
        text = path.read_text()
        assert '::' not in text, f'{path} inherits from elsewhere'
        decoders = set(re.findall(r'[\'"](\w*(?:Init|Decode))[\'"]', text))
        assert decoders <= OWN | IMAGES, path
        found |= decoders
    assert found == OWN | IMAGES


@pytest.mark.parametrize('name', ['PRETRAINING', 'VIDEO_PROBE', 'VIDEO_PROBE_2'])
def test_converted_experiments_decode_with_ours(name):
    config, *_ = translate(yaml.safe_load(getattr(experiments, name)))
    assert decoders_in(config) == OWN
