"""What the README and the pages of docs/ show works."""

import ast
import os
import re

import pytest
import torch
from mmaction.registry import DATA_SAMPLERS, MODELS
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import BaseDataset, ConcatDataset
from mmengine.registry import init_default_scope

from tests.conftest import DEMO_CONFIG, ROOT

CHINESE = 'README_zh-CN.md'
DOCUMENTS = [
    str(path.relative_to(ROOT))
    for path in (
        *ROOT.glob('*.md'),
        *ROOT.glob('docs/*.md'),
        *ROOT.glob('configs/**/*.md'),
    )
]


def fences(document):
    """Language and text of what stands between fences."""
    text = (ROOT / document).read_text()
    return re.findall(r'^```(\w*)\n(.*?)^```$', text, flags=re.DOTALL | re.MULTILINE)


def blocks(language, document='README.md'):
    return [text for name, text in fences(document) if name == language]


@pytest.fixture
def after_the_demo(clips, tmp_path, monkeypatch):
    """A folder as ``make demo`` leaves it; the model finds that all shapes move up."""
    init_default_scope('mmaction')
    cfg = Config.fromfile(ROOT / DEMO_CONFIG)
    weights = MODELS.build(cfg.model).state_dict()
    weights['cls_head.fc_cls.bias'][3] = 100
    (tmp_path / 'work_dirs/demo').mkdir(parents=True)
    content = dict(state_dict=weights, meta=dict(cfg=cfg.pretty_text))
    torch.save(content, tmp_path / 'work_dirs/demo/epoch_15.pth')
    (tmp_path / 'data').mkdir()
    os.symlink(clips, tmp_path / 'data/demo_clips')
    os.symlink(ROOT / 'configs', tmp_path / 'configs')
    monkeypatch.chdir(tmp_path)


def run_with_results(block):
    """Run a block; what a line gives has to be what the comment below it says."""
    scope, shown = {}, 0
    for statement in ast.parse(block).body:
        code = ast.get_source_segment(block, statement)
        if not isinstance(statement, ast.Expr):
            exec(code, scope)
            continue
        comment = block.splitlines()[statement.end_lineno]
        assert repr(eval(code, scope)) == comment.removeprefix('# ')
        shown += 1
    assert shown


@pytest.mark.parametrize(
    'block',
    [
        *blocks('python')[:-1],
        *blocks('python', 'docs/inference.md'),
        *blocks('python', 'docs/explaining.md'),
    ],
)
def test_python_blocks_give_what_they_say(block, after_the_demo):
    run_with_results(block)


@pytest.mark.parametrize(
    'block', [blocks('python')[-1], *blocks('python', 'docs/models.md')]
)
def test_config_block_builds(block):
    init_default_scope('mmaction')
    config = Config.fromstring(block, '.py')
    if 'model' in config:
        backbone = MODELS.build(config.model).backbone
    else:
        backbone = MODELS.build(config.backbone)
    assert backbone.layers[0].mixer.masked


def test_readme_in_chinese_shows_the_same():
    def shown(document):
        text = (ROOT / document).read_text()
        links = set(re.findall(r'\]\(([^)]+)\)', text)) - {'README.md', CHINESE}
        code = [re.sub(r'  # .*', '', block) for _, block in fences(document)]
        return code, links

    assert shown(CHINESE) == shown('README.md')


@pytest.mark.parametrize('document', DOCUMENTS)
def test_every_file_that_is_named_exists(document):
    text = (ROOT / document).read_text()
    named = re.findall(
        r'(?:tools|configs|requirements|docs|benchmarks)/[\w./-]*\w\.\w+', text
    )
    for path in named:
        assert (ROOT / path).exists(), path
    for link in re.findall(r'\]\(([^)\s]+)\)', text):
        path, _, anchor = link.partition('#')
        if '://' in link:
            continue
        target = (ROOT / document).parent / path if path else ROOT / document
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text()), link


def test_every_page_is_in_the_index():
    index = (ROOT / 'docs/index.md').read_text()
    for page in ROOT.glob('docs/*.md'):
        assert page.name == 'index.md' or f']({page.name})' in index, page


def test_the_reference_has_a_page_for_each_folder():
    for node in ast.parse((ROOT / 'docs/conf.py').read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == 'FOLDERS':
            described = set(ast.literal_eval(node.value))
    package = ROOT / 'mmaction_videomambapro'
    folders = {path.parent.name for path in package.glob('[!.]*/__init__.py')}
    assert described == folders | {'ground'}


def anchors(text):
    """What the headings of a page are called in links, as GitHub has it."""
    headings = re.findall('^#+ (.+)$', text, flags=re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', x.lower()).replace(' ', '-') for x in headings}


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
