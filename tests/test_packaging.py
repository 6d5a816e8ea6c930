"""What a wheel contains."""

import shutil
import subprocess
import sys
import zipfile

from tests.conftest import ROOT


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
    names = set(zipfile.ZipFile(wheel).namelist())
    package = 'mmaction_videomambapro'
    assert f'{package}/ops/selective_scan.py' in names
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
