"""What the README shows works."""

import re

import pytest
from mmaction.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from tests.conftest import ROOT

DOCUMENTS = [
    'README.md',
    'model_zoo.md',
    'docs/install.md',
    'docs/data.md',
    'docs/performance.md',
]


def blocks(language):
    text = (ROOT / 'README.md').read_text()
    return re.findall(rf'```{language}\n(.*?)```', text, flags=re.DOTALL)


def test_config_block_builds():
    init_default_scope('mmaction')
    model = MODELS.build(Config.fromstring(blocks('python')[0], '.py').model)
    assert model.backbone.layers[0].mixer.masked


def test_python_block_runs():
    *lines, last = blocks('python')[1].strip().splitlines()
    scope = {}
    exec('\n'.join(lines), scope)
    expression, shape = last.split('#')
    assert str(tuple(eval(expression, scope))) == shape.strip()


@pytest.mark.parametrize('document', DOCUMENTS)
def test_every_file_that_is_named_exists(document):
    text = (ROOT / document).read_text()
    named = re.findall(
        r'(?:tools|configs|requirements|docs|benchmarks)/[\w./-]*\w\.\w+', text
    )
    assert named
    for path in named:
        assert (ROOT / path).is_file(), path
    for link in re.findall(r'\]\(([^)#]+)\)', text):
        if '://' not in link:
            assert ((ROOT / document).parent / link).exists(), link
