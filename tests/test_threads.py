"""Threads sleep while they wait, and there are at most as many as cores."""

import math
import os
import sys
import warnings
from types import SimpleNamespace

import pytest

from mmaction_videomambapro import threads


@pytest.fixture
def environment(monkeypatch):
    """No warning about threads appears."""
    for name in (*threads.WAIT_VARIABLES, *threads.COUNT_VARIABLES):
        monkeypatch.setenv(name, '')
    return monkeypatch


def import_before_torch(environment):
    with environment.context() as patch:
        patch.delitem(sys.modules, 'torch')
        threads.let_threads_sleep()


def test_threads_sleep(environment):
    import_before_torch(environment)
    assert os.environ['OMP_WAIT_POLICY'] == 'PASSIVE'
    assert 'waiting: OMP_WAIT_POLICY=PASSIVE' in threads.describe()


@pytest.mark.parametrize('name', threads.WAIT_VARIABLES)
def test_the_user_says_how_they_wait(environment, name):
    environment.setenv(name, '7')
    import_before_torch(environment)
    assert {x for x in threads.WAIT_VARIABLES if os.environ.get(x)} == {name}
    assert f'{name}=7' in threads.describe()


@pytest.mark.parametrize('load', [1.0, 9.0])
def test_too_late_is_said(environment, load):
    environment.setattr(os, 'getloadavg', lambda: (load, load, load))
    environment.setattr(os, 'cpu_count', lambda: 4)
    environment.setattr(threads, 'available_cores', lambda: 4)
    threads.let_threads_sleep()
    assert not os.environ['OMP_WAIT_POLICY']
    assert 'torch was imported before' in threads.describe()
    if load > 4:
        with pytest.warns(UserWarning, match='OMP_WAIT_POLICY=PASSIVE'):
            threads.limit_threads(Torch(threads=4))
    for torch in (Torch(threads=1), *([Torch(threads=4)] if load < 4 else [])):
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            threads.limit_threads(torch)


class Torch(SimpleNamespace):
    def get_num_threads(self):
        return self.threads

    def set_num_threads(self, threads):
        self.threads = threads


@pytest.mark.parametrize(
    ('quota', 'variable', 'expected'),
    [
        (math.inf, None, 4),
        (1.5, None, 2),
        (0.1, None, 1),
        (1.5, 'OMP_NUM_THREADS', 64),
        (1.5, 'MKL_NUM_THREADS', 64),
    ],
)
def test_no_more_threads_than_cores(environment, quota, variable, expected):
    environment.setattr(os, 'sched_getaffinity', lambda pid: range(4), raising=False)
    environment.setattr(threads, '_quota', lambda: quota)
    environment.setenv('OMP_WAIT_POLICY', 'PASSIVE')
    if variable:
        environment.setenv(variable, '64')
    torch = Torch(threads=64)
    threads.limit_threads(torch)
    assert torch.threads == expected
    fewer = Torch(threads=1)
    threads.limit_threads(fewer)
    assert fewer.threads == 1


@pytest.mark.parametrize(
    ('own', 'files', 'expected'),
    [
        ('0::/', {'cpu.max': '150000 100000'}, 1.5),
        ('0::/a/b', {'a/cpu.max': '200000 100000', 'a/b/cpu.max': 'max 100000'}, 2),
        ('0::/a', {'cpu.max': 'max 100000'}, math.inf),
        (
            '3:cpu,cpuacct:/a\n9:name=systemd:/',
            {'cpu/a/cpu.cfs_quota_us': '50000', 'cpu/a/cpu.cfs_period_us': '100000'},
            0.5,
        ),
        (
            '3:cpu:/',
            {'cpu/cpu.cfs_quota_us': '-1', 'cpu/cpu.cfs_period_us': '100000'},
            math.inf,
        ),
        ('nonsense', {}, math.inf),
        ('0::/a', {'cpu.max': 'nonsense'}, math.inf),
    ],
)
def test_quota_of_a_container(tmp_path, own, files, expected):
    (tmp_path / 'own').write_text(own)
    for name, text in files.items():
        path = tmp_path / 'groups' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert threads._quota(tmp_path / 'own', tmp_path / 'groups') == expected
    assert threads._quota(tmp_path / 'missing', tmp_path / 'groups') == math.inf
