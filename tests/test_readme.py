"""What the README shows works."""

import re

import pytest
from mmaction.registry import DATA_SAMPLERS, MODELS
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import BaseDataset, ConcatDataset
from mmengine.registry import init_default_scope

from tests.conftest import ROOT

DOCUMENTS = [
    'README.md',
    'model_zoo.md',
    'configs/README.md',
    'docs/install.md',
    'docs/data.md',
    'docs/performance.md',
    'docs/checkpoints.md',
    'docs/finetune.md',
    'docs/pretraining.md',
    'docs/training.md',
    'docs/zoo.md',
]


def blocks(language, document='README.md'):
    text = (ROOT / document).read_text()
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


@pytest.mark.parametrize('block', blocks('python', 'docs/data.md'))
def test_config_blocks_about_data_build(block, clips):
    init_default_scope('mmaction')
    *_, text = re.split(r'^_base_ = .*$', block, flags=re.MULTILINE)
    config = Config.fromstring(text, '.py')
    built = 0
    dataset = config.get('train_dataloader', config).get('dataset', config)
    if 'pipeline' in dataset:
        Compose(dataset.pipeline)
        built += 1
    if 'model' in config:
        preprocessor = config.model.data_preprocessor
        MODELS.build(dict(type='ActionDataPreprocessor', **preprocessor))
        built += 1
    labels = [0, 1, 2, 2]
    for line in text.splitlines():
        if line.startswith('sampler'):
            sampler = Config.fromstring(line, '.py').sampler
            parts = [ListOfLabels(labels), ListOfLabels(labels)]
            DATA_SAMPLERS.build(dict(sampler, dataset=ConcatDataset(parts), seed=0))
            built += 1
    assert built


class ListOfLabels(BaseDataset):
    def __init__(self, labels):
        self.labels = labels
        super().__init__()

    def load_data_list(self):
        return [dict(label=label) for label in self.labels]
