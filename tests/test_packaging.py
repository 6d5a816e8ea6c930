"""What a wheel contains, and versions that are said in several places."""

import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import HeaderParser

import yaml

import mmaction_videomambapro
from tests.conftest import ROOT

VERSION = mmaction_videomambapro.__version__


def test_wheel_carries_configs_tools_and_index(tmp_path):
    source = tmp_path / 'source'
    unrelated = shutil.ignore_patterns(
        '.git', '.venv', '.mim', 'data', 'work_dirs', 'build', '*.egg-info', 'tests'
    )
    shutil.copytree(ROOT, source, ignore=unrelated)
    subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps',
         '--no-build-isolation', '-w', tmp_path, source],
        check=True,
    )  # fmt: skip
    wheel = next(tmp_path.glob('*.whl'))
    archive = zipfile.ZipFile(wheel)
    names = set(archive.namelist())
    package = 'mmaction_videomambapro'
    assert {f'{package}/ops/selective_scan.py', f'{package}/py.typed'} <= names
    assert f'{package}/datasets/names/kinetics400.txt' in names
    mim = f'{package}/.mim'
    assert f'{mim}/model-index.yml' in names
    assert f'{mim}/tools/train.py' in names
    configs = {
        str(p.relative_to(ROOT)) for p in (ROOT / 'configs').rglob('*.[py]*')
        if p.suffix in ('.py', '.yml')
    }  # fmt: skip
    assert configs
    assert {f'{mim}/{c}' for c in configs} <= names
    assert not any(n.startswith(('tests/', 'tools/', 'configs/')) for n in names)

    metadata = archive.read(f'{package}-{VERSION}.dist-info/METADATA').decode()
    headers = HeaderParser().parsestr(metadata)
    assert 'Apache-2.0' in (headers['License-Expression'], headers['License'])
    assert 'Typing :: Typed' in headers.get_all('Classifier')
    assert headers['Keywords']
    extras = {'test', 'docs', 'image', 'cuda', 'tensorboard', 'submit', 'page', 'onnx'}
    assert set(headers.get_all('Provides-Extra')) == extras


def test_versions_agree():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert citation['version'] == VERSION
    headings = re.findall(
        r'^## (\S+)', (ROOT / 'CHANGELOG.md').read_text(), re.MULTILINE
    )
    assert headings[0] in ('Unreleased', VERSION)
    assert VERSION in headings
    hooks = (ROOT / '.pre-commit-config.yaml').read_text()
    pinned = set()
    for name in ('test', 'constraints'):
        text = (ROOT / 'requirements' / f'{name}.txt').read_text()
        pinned |= set(re.findall(r'^ruff==(\S+)', text, re.MULTILINE))
    assert pinned == set(re.findall(r'ruff-pre-commit\n +rev: v(\S+)', hooks))


def test_forms_and_workflows_are_yaml():
    for path in (ROOT / '.github').rglob('*.yml'):
        assert yaml.safe_load(path.read_text()), path
