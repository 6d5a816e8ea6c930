"""benchmarks/gpu.sh on machines that are not there: no network, no GPU, little else."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distributions

import pytest
import torch

from mmaction_videomambapro.ops import BACKENDS

from ..conftest import ROOT

pytestmark = pytest.mark.skipif(
    not (shutil.which('bash') and shutil.which('timeout')), reason='needs a shell'
)

CHECKOUT = 'benchmarks', 'mmaction_videomambapro', 'tests/ops'
FILES = 'pyproject.toml', 'tests/__init__.py', 'tests/conftest.py'
STAGES = ['machine', 'correctness', 'scan', 'model', 'profile', 'tests']
PEERS = ['mamba_ssm', 'chunked', 'loops', 'compiled']


def make_executable(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\n{text}\n')
    path.chmod(0o755)


def make_wheel(folder, name, tag='py3-none-any'):
    info = f'{name}-9.9.dist-info'
    with zipfile.ZipFile(folder / f'{name}-9.9-{tag}.whl', 'w') as wheel:
        wheel.writestr(
            f'{info}/METADATA', f'Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n'
        )
        wheel.writestr(f'{info}/WHEEL', f'Wheel-Version: 1.0\nTag: {tag}\n')
        wheel.writestr(f'{info}/RECORD', '')


def files_under(folder):
    return sorted(str(x.relative_to(folder)) for x in folder.rglob('*'))


def script(machine, *args, checkout=ROOT, **env):
    """Run it with what a folder ``bin`` puts in front of the machine's commands."""
    return subprocess.run(
        ['bash', checkout / 'benchmarks/gpu.sh', *args],
        env={
            **os.environ,
            'PATH': f'{machine / "bin"}:{os.environ["PATH"]}',
            'TMPDIR': str(machine / 'tmp'),
            'WHEELS': str(machine / 'wheels'),
            'PIP_NO_INDEX': '1',
            'https_proxy': 'http://127.0.0.1:9',
            'PYTHONPATH': '',
            'OUT': str(machine / 'out'),
            **env,
        },
        cwd=machine,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope='module')
def machine(tmp_path_factory):
    """python3 is a virtual environment's; there is a GPU driver, and some wheels."""
    machine = tmp_path_factory.mktemp('machine')
    subprocess.run(
        [sys.executable, '-m', 'venv', '--without-pip', machine / 'env'], check=True
    )
    (site,) = (machine / 'env').glob('lib/python*/site-packages')
    outside = [x for x in sys.path if x and os.path.realpath(x) != str(ROOT)]
    (site / 'outside.pth').write_text('\n'.join(outside))
    make_executable(machine / 'bin/python3', f'exec {machine}/env/bin/python "$@"')
    make_executable(
        machine / 'bin/nvidia-smi',
        'case "$*" in *driver_version*) echo 580.65.06; exit;; esac\n'
        f'echo $$ >{machine}/sampler\necho clocks\nexec sleep 600',
    )
    for name in ('tmp', 'wheels'):
        (machine / name).mkdir()
    make_wheel(machine / 'wheels', 'causal_conv1d')
    make_wheel(machine / 'wheels', 'foreign', 'cp27-cp27m-win32')
    make_wheel(machine / 'wheels', 'torch')  # is installed: not again
    (machine / 'wheels/mamba_ssm-9.9.tar.gz').touch()  # would be built for an hour
    return machine


@pytest.fixture(scope='module')
def rehearsal(machine):
    """The script's process, of a checkout that is a copy, and what that held before."""
    checkout = machine / 'checkout'
    for name in CHECKOUT:
        shutil.copytree(
            ROOT / name,
            checkout / name,
            ignore=shutil.ignore_patterns('__pycache__', '.mim'),
        )
    for name in (*FILES, 'tests/warm_python.py'):
        shutil.copy(ROOT / name, checkout / name)
    before = files_under(checkout)
    arguments = '--rehearse', 'results', *STAGES
    process = script(machine, *arguments, checkout=checkout)
    assert process.returncode == 0, process.stdout + process.stderr
    return process, checkout, before


def rows(machine, stage):
    path = machine / 'results' / f'{stage}.jsonl'
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_packages_of_an_outer_environment_and_of_wheels(rehearsal, machine):
    process, *_ = rehearsal
    found = {row['row']: row['is'] for row in rows(machine, 'machine')}
    assert found['torch'] == torch.__version__
    outside = {x.name.replace('_', '-'): x.version for x in distributions()}
    assert found['causal-conv1d'] == outside.get('causal-conv1d', '9.9')
    assert found['mamba-ssm'] == outside.get('mamba-ssm', 'not installed')
    assert 'not installed: foreign-9.9-cp27-cp27m-win32.whl' in process.stdout


def test_results_of_every_stage(rehearsal, machine):
    process, *_ = rehearsal
    summary = (machine / 'results/summary.md').read_text()
    assert summary in process.stdout
    for stage in STAGES:
        assert f'| {stage} | done |' in summary
        text = (machine / f'results/{stage}.md').read_text()
        assert text in process.stdout
        assert 'driver 580.65.06' in text
        assert 'its figures mean nothing' in text
    assert {row['verdict'] for row in rows(machine, 'correctness')} == {'right'}
    assert {row['row'] for row in rows(machine, 'scan')} == {'this project, triton'}
    models = [row for row in rows(machine, 'model') if 'Mamba' in row['row']]
    assert all(row['train clips/s'] > 0 for row in models)
    assert models[-1]['row'].endswith("with_cp='selection'")
    assert 'all kernels' in {row['row'] for row in rows(machine, 'profile')}


def test_nothing_is_left_but_results(rehearsal, machine):
    _, checkout, before = rehearsal
    assert files_under(checkout) == before
    assert files_under(machine / 'tmp') == []
    kinds = {os.path.splitext(x)[1] for x in files_under(machine / 'results')}
    assert kinds <= {'.md', '.jsonl', '.txt', '.log', '.csv'}
    with pytest.raises(ProcessLookupError):
        os.kill(int((machine / 'sampler').read_text()), 0)


def test_tests_of_kernels_and_no_others(rehearsal, machine):
    text = (machine / 'results/tests.txt').read_text()
    found = [line for line in text.splitlines() if '::' in line]
    assert found
    assert all(line.startswith('tests/ops/gpu/') for line in found)


@pytest.fixture
def stand_in(tmp_path):
    """A machine whose python3 does what its variable says for a stage."""
    for name in ('tmp', 'wheels'):
        (tmp_path / name).mkdir()
    make_executable(
        tmp_path / 'bin/python3',
        'case "$4" in\n'
        'scan) echo "no such | kernel" >&2; exit 3;;\n'
        'model) echo "not installed: mmaction" >&2; exit 77;;\n'
        'profile) echo began; sleep 60;;\n'
        'esac',
    )
    make_executable(
        tmp_path / 'bin/timeout',
        f'echo "$3" >>{tmp_path}/limits\nshift 3\n'
        f'exec {shutil.which("timeout")} 1 "$@"',
    )
    return tmp_path


def test_a_stage_that_fails_or_hangs_stops_no_other(stand_in):
    process = script(stand_in)
    assert process.returncode == 1
    lines = (stand_in / 'out/summary.md').read_text().splitlines()[2:]
    table = [[cell.strip() for cell in line.split(' | ')] for line in lines]
    found = {row[0].strip('| '): row[1] for row in table}
    assert list(found) == [*STAGES, *PEERS, 'autotune']  # own kernels before peers
    assert found['scan'] == r'failed: no such \| kernel'
    assert found['model'] == 'skipped: not installed: mmaction'
    assert found['profile'] == 'stopped at its limit'
    others = set(found) - {'scan', 'model', 'profile'}
    assert {found[name] for name in others} == {'done'}
    limits = [int(line) for line in (stand_in / 'limits').read_text().split()]
    assert len(limits) == len(found)
    assert max(limits) <= 480


def test_stages_can_be_chosen(stand_in):
    process = script(stand_in, stand_in / 'out', 'autotune', 'machine')
    assert process.returncode == 0
    summary = (stand_in / 'out/summary.md').read_text()
    assert [line.split()[1] for line in summary.splitlines()[2:]] == [
        'machine', 'autotune',
    ]  # fmt: skip


def test_a_folder_that_takes_no_results(stand_in):
    (stand_in / 'file').touch()
    process = script(stand_in, stand_in / 'file')
    assert process.returncode == 2
    assert 'give another folder' in process.stderr


def test_a_python_without_pytorch_is_one_sentence(stand_in):
    make_executable(stand_in / 'bin/python3', 'exit 1')
    process = script(stand_in)
    assert process.returncode == 2
    assert process.stderr.count('\n') == 1
    assert 'bin/python3 has no PyTorch, activate an environment' in process.stderr
    assert '== machine' not in process.stdout


def test_wheels_are_not_committed():
    if not (ROOT / '.git').exists() or not shutil.which('git'):
        pytest.skip('needs a checkout of git')
    command = 'git', 'check-ignore', '-q', 'work_dirs/wheels/some.whl'
    assert subprocess.run(command, cwd=ROOT).returncode == 0


# The stages from inside


@pytest.fixture
def stages(monkeypatch):
    """Modules of benchmarks, without a GPU: a call is made once, and takes 1 ms."""
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))
    from on_gpu import correctness, rehearsal, scan

    def milliseconds(function):
        function()
        return 1.0

    monkeypatch.setattr(scan, 'milliseconds', milliseconds)
    monkeypatch.setattr(scan, 'megabytes', lambda function: 0.0)
    monkeypatch.setattr(scan, 'copy_bandwidth', lambda plan: 1.0)
    for module in (scan, correctness):
        monkeypatch.setattr(module, 'heading', lambda plan: 'machine')
    monkeypatch.setitem(BACKENDS, 'triton', BACKENDS['chunked'])
    return correctness, rehearsal, scan


@pytest.mark.parametrize('stage', ['scan', 'chunked', 'loops', 'compiled'])
def test_slow_peers_scan_short_sequences_only(stage, stages, tmp_path):
    from on_gpu.report import Report

    _, rehearsal, scan = stages
    scan.compare(stage, Report(tmp_path / stage), rehearsal.PLAN)
    found = [json.loads(x) for x in (tmp_path / f'{stage}.jsonl').open()]
    slow = stage in ('loops', 'compiled')
    assert {row['table'][:21] for row in found} == {
        f'(B, D, L) = {shape}'
        for shape in rehearsal.PLAN.shapes
        if shape[2] <= rehearsal.PLAN.longest_peer or not slow
    }
    names = [row['row'] for row in found if found[0]['table'] == row['table']]
    assert names[0] == 'this project, triton'
    assert len(names) == (1 if stage == 'scan' else 2)


def test_published_loops_scan_the_same(stages):
    _, rehearsal, scan = stages
    inputs = scan.make_inputs((1, 8, 5), torch.float32, 'cpu')
    (_, ours, _), (_, loops, _) = scan._scans('loops', inputs, rehearsal.PLAN)
    torch.testing.assert_close(loops(), ours())


def test_mamba_ssm_takes_part_on_a_gpu_only(stages):
    _, rehearsal, scan = stages
    assert 'is for CUDA' in scan.why_not('mamba_ssm', rehearsal.PLAN)
    assert scan.why_not('loops', rehearsal.PLAN) is None


def off_by_a_percent(y):
    return y * 1.01


def not_a_number(y):
    return y * torch.nan


def another_every_time(y):
    return y + 1e-6 * torch.rand(())


@pytest.mark.parametrize('fault', [off_by_a_percent, not_a_number, another_every_time])
def test_wrong_kernels_are_found(fault, stages, tmp_path, monkeypatch):
    from on_gpu.report import Report

    correctness, rehearsal, _ = stages
    chunked = BACKENDS['chunked']
    wrong = dataclasses.replace(
        chunked, run=lambda *args, **kwargs: fault(chunked.run(*args, **kwargs))
    )
    monkeypatch.setitem(BACKENDS, 'triton', wrong)
    with pytest.raises(SystemExit, match='rows are wrong'):
        correctness.run('correctness', Report(tmp_path / 'x'), rehearsal.PLAN)
    rows = [json.loads(line) for line in (tmp_path / 'x.jsonl').open()]
    scans = [row for row in rows if 'scan' in row['table'] and '32' in row['row']]
    assert {row['verdict'] for row in scans} == {'WRONG'}
    convolutions = [row for row in rows if 'convolution' in row['table']]
    assert {row['verdict'] for row in convolutions} == {'right'}


def test_versions_that_cannot_interpret(stages):
    fails = stages[1].interpreter_fails
    assert 'NumPy 2.3' in fails('3.6.0', '2.4.6')
    assert fails('3.6.0', '2.3.5') is None
    assert fails('3.7.1', '2.5.5') is None


def test_other_benchmarks_need_a_gpu_and_say_so(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'benchmarks'))
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    import gpu

    for compare in (gpu.compare_scans, lambda: gpu.compare_models(['tiny'])):
        with pytest.raises(SystemExit, match='no GPU'):
            compare()
