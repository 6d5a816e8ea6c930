import io
import os
import pickle
from argparse import Namespace

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import load_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from mmaction_videomambapro.safe_load import (
    CheckpointError,
    UnsafeCheckpointError,
    safe_load,
)


class Attack:
    """Writes a file when it is unpickled."""

    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return os.system, (f'touch {self.victim}',)


class AttackThroughGetattr:
    """Reaches for an attribute that no log buffer has."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, '__init__')


@pytest.fixture
def malicious(tmp_path):
    file, victim = tmp_path / 'malicious.pth', tmp_path / 'victim'
    torch.save(dict(state_dict={}, extra=Attack(victim)), file)
    return file, victim


@pytest.mark.parametrize('unsafe_by_environment', [False, True])
def test_malicious_checkpoint_is_refused(malicious, monkeypatch, unsafe_by_environment):
    file, victim = malicious
    if unsafe_by_environment:
        monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    for load in (
        lambda: safe_load(file),
        lambda: safe_load(str(file), weights_only=False),
        lambda: safe_load(io.BytesIO(file.read_bytes())),
        lambda: CheckpointLoader.load_checkpoint(str(file)),
        lambda: load_checkpoint(torch.nn.Linear(1, 1), str(file)),
    ):
        with pytest.raises(UnsafeCheckpointError) as error:
            load()
        message = str(error.value)
        assert str(file) in message or 'BytesIO' in message
        assert 'system' in message
        assert 'source you trust' in message
        assert '\n' not in message
    assert not victim.exists()


def test_url_is_loaded_safely(malicious, monkeypatch, tmp_path):
    file, victim = malicious
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with pytest.raises(UnsafeCheckpointError, match='system'):
        CheckpointLoader.load_checkpoint(_as_url(file, monkeypatch))
    assert not victim.exists()


def _as_url(file, monkeypatch):
    url = 'https://example.org/malicious.pth'

    def download(url, destination, *args, **kwargs):
        with open(destination, 'wb') as out:
            out.write(file.read_bytes())

    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    return url


def test_getattr_reaches_log_statistics_only(tmp_path):
    file = tmp_path / 'getattr.pth'
    torch.save(AttackThroughGetattr(), file)
    with pytest.raises(UnsafeCheckpointError, match='__init__'):
        safe_load(file)


def test_bare_pickle_is_refused(tmp_path):
    file, victim = tmp_path / 'bare.pkl', tmp_path / 'victim'
    file.write_bytes(pickle.dumps(Attack(victim)))
    with pytest.raises(CheckpointError, match=r'bare\.pkl'):
        safe_load(file)
    assert not victim.exists()


@pytest.mark.parametrize('content', [b'', b'not a checkpoint', b'PK\x03\x04half'])
def test_damaged_file_is_named(tmp_path, content):
    file = tmp_path / 'damaged.pth'
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r'damaged\.pth'):
        safe_load(file)


@pytest.mark.parametrize('length', [2_000, 20_000])
def test_truncated_checkpoint_is_named(tmp_path, length):
    file = tmp_path / 'short.pth'
    torch.save({str(i): torch.randn(30) for i in range(100)}, file)
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(CheckpointError, match=r'short\.pth'):
        safe_load(file)


def test_what_mmengine_saves_is_loaded(tmp_path):
    log = HistoryBuffer([0.5, 0.25], [1, 1])
    content = dict(
        meta=dict(epoch=3, time='2026', cfg='a = 1', seed=0),
        args=Namespace(lr=1e-3, model='videomamba_tiny'),  # of published files
        state_dict=dict(weight=torch.randn(3).bfloat16()),
        message_hub=dict(
            log_scalars={'train/loss': log},
            runtime_info=dict(iter=4, best=np.float64(0.5), n=np.int64(3)),
            resumed_keys={'train/loss': True},
        ),
        arrays=[np.arange(3), np.ones(2, np.float32), np.array([True])],
    )
    torch.save(content, tmp_path / 'good.pth')
    loaded = safe_load(tmp_path / 'good.pth')
    assert loaded['meta'] == content['meta']
    assert loaded['args'] == content['args']
    assert (
        loaded['message_hub']['runtime_info'] == content['message_hub']['runtime_info']
    )
    assert loaded['message_hub']['log_scalars']['train/loss'].mean() == log.mean()
    torch.testing.assert_close(loaded['state_dict'], content['state_dict'])
    for x, y in zip(loaded['arrays'], content['arrays']):
        np.testing.assert_array_equal(x, y)
        assert x.dtype == y.dtype
