"""Jobs of submitit that really run on this machine."""

import os
import pickle
import signal
import time
from contextlib import suppress

import pytest
import torch

from mmaction_videomambapro.apis import submit as submit_module
from mmaction_videomambapro.apis.submit import (
    TrainingJob,
    check_work_dirs,
    make_executor,
    read_batch,
    submit,
    training_job,
)
from mmaction_videomambapro.errors import UsageError
from tests.conftest import DEMO_CONFIG, ROOT

GLOO = 'env_cfg.dist_cfg.backend=gloo'


def wait_for(condition):
    deadline = time.time() + 120
    while time.time() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError('waited in vain')


def children(pid):
    with open(f'/proc/{pid}/task/{pid}/children') as file:
        return list(map(int, file.read().split()))


def weights(work_dir, epoch):
    checkpoint = torch.load(work_dir / f'epoch_{epoch}.pth', weights_only=False)
    return checkpoint['state_dict']


def test_a_signal_in_a_process_just_forked_requeues_nothing():
    number = submit_module._preemption_signal()
    requeued = []
    before = signal.signal(number, lambda *_: requeued.append(os.getpid()))
    try:
        submit_module._leave_at_once()
        child = os.fork()
        if not child:
            signal.raise_signal(number)
            os._exit(len(requeued))
        _, status = os.waitpid(child, 0)
        assert status == 0
        signal.raise_signal(number)
        assert requeued == [os.getpid()]
    finally:
        signal.signal(number, before)


def test_preempted_job_ends_with_the_weights_of_an_uninterrupted_one(
    tool, demo_options, tmp_path, monkeypatch
):
    """Bit for bit, with dropped paths and random crops."""
    monkeypatch.setenv('TRITON_INTERPRET', '0')
    monkeypatch.chdir(ROOT)
    options = ['--no-validate', *demo_options('model.backbone.drop_path_rate=0.3',
               'train_cfg.max_epochs=4', GLOO)]  # fmt: skip
    whole, broken = tmp_path / 'whole', tmp_path / 'broken'
    job = training_job([DEMO_CONFIG, '--work-dir', str(broken), *options])
    executor = make_executor('local', tmp_path / 'logs', 'demo', cpus_per_task=1)
    (submitted,) = submit(executor, [job])

    last = broken / 'last_checkpoint'
    wait_for(lambda: last.is_file() and last.read_text().endswith('.pth'))
    (task,) = children(submitted.job_id)
    # a data loader gets the signal, too, where a cluster sends it to all processes
    for child in children(task):
        with suppress(ProcessLookupError):  # git, whom MMEngine asks for its version
            os.kill(child, signal.SIGUSR2)
    os.kill(task, signal.SIGUSR2)
    assert not (broken / 'epoch_4.pth').exists(), 'killed too late to prove anything'

    tool('train.py', DEMO_CONFIG, '--work-dir', whole, *options)
    submitted.result()
    log = submitted.stdout() + submitted.stderr()
    # stdout and stderr can both have a line
    assert len({x for x in log.splitlines() if 'Requeued job' in x}) == 1
    assert 'resumed epoch: ' in log
    expected, resumed = weights(whole, 4), weights(broken, 4)
    for key, value in expected.items():
        assert torch.equal(resumed[key], value), key


def test_two_tasks_are_two_ranks(tmp_path):
    """Each task trains with its rank, and all know the same master."""
    config = tmp_path / 'config.py'  # which is a program
    config.write_text(
        'import os\n'
        "dist = __import__('torch.distributed').distributed\n"  # MMEngine's are lazy
        "dist.init_process_group('gloo')\n"
        "names = 'RANK', 'LOCAL_RANK', 'WORLD_SIZE'\n"
        'seen = [None, None]\n'
        'dist.all_gather_object(seen, [*map(os.environ.get, names)])\n'
        'print(seen)\n'
    )
    executor = make_executor('local', tmp_path / 'logs', 'two', tasks_per_node=2)
    submitted = executor.submit(TrainingJob([str(config)], str(tmp_path)))
    submitted.wait()  # it fails, as the config has nothing to train
    seen = [[str(rank), str(rank), '2'] for rank in (0, 1)]
    for rank in (0, 1):
        assert str(seen) in submitted.task(rank).stdout()


def test_resumes_only_from_what_it_wrote(tmp_path):
    """An older checkpoint is of another run, and without one ``load_from`` counts."""
    job = TrainingJob(['a.py', '--resume', 'b.pth'], str(tmp_path))
    job.started = 1000.0
    job = pickle.loads(pickle.dumps(job))
    assert job.checkpoint().function.arguments == job.arguments
    last = tmp_path / 'epoch_1.pth'
    last.touch()
    os.utime(last, (999, 999))
    assert job.checkpoint().function.arguments == job.arguments
    os.utime(last, (1001, 1001))
    again = job.checkpoint().function
    assert again.arguments == (*job.arguments, '--resume')
    assert again.work_dir == job.work_dir


def test_slurm_gets_the_options(tmp_path, monkeypatch):
    """The batch script, from an ``sbatch`` that keeps it."""
    programs = tmp_path / 'bin'
    programs.mkdir()
    for name, text in (
        ('srun', ''),
        ('sbatch', f'cp "$1" {tmp_path}/sent; echo Submitted batch job 42'),
    ):
        (programs / name).write_text(f'#!/bin/sh\n{text}\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv('PATH', f'{programs}:{os.environ["PATH"]}')
    executor = make_executor(
        'slurm', tmp_path / 'logs', 'name', time=90, nodes=2, tasks_per_node=4,
        cpus_per_task=6, partition='p', account='a', qos='q', exclude='n[1-2]',
    )  # fmt: skip
    jobs = [TrainingJob([f'{i}.py'], str(tmp_path / i)) for i in 'ab']
    assert [job.job_id for job in submit(executor, jobs)] == ['42_0', '42_1']
    lines = (tmp_path / 'sent').read_text().splitlines()
    for line in (
        'job-name=name', 'time=90', 'nodes=2', 'ntasks-per-node=4', 'gpus-per-node=4',
        'cpus-per-task=6', 'partition=p', 'account=a', 'qos=q', "exclude='n[1-2]'",
        'signal=USR2@90',
    ):  # fmt: skip
        assert f'#SBATCH --{line}' in lines
    assert any(line.startswith('#SBATCH --array=0-1') for line in lines)


def test_unsupported_clusters_are_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match='leave out --launcher'):
        training_job([str(ROOT / DEMO_CONFIG), '--launcher', 'slurm'])
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(UsageError, match=r'--cluster slurm: .*srun'):
        make_executor('slurm', tmp_path, 'name')


def test_batch_is_a_list_of_configs(tmp_path):
    batch = tmp_path / 'batch.yaml'
    batch.write_text('# two\n- a.py\n- b.py\n')
    assert read_batch(batch) == ['a.py', 'b.py']
    for text in ('a.py b.py', '- 1', '[]', '- a: [', ''):
        batch.write_text(text)
        with pytest.raises(UsageError, match=r'batch\.yaml'):
            read_batch(batch)
    with pytest.raises(FileNotFoundError, match='nowhere'):
        read_batch(tmp_path / 'nowhere.yaml')


def test_two_trainings_need_two_work_dirs():
    jobs = [TrainingJob([f'{i}.py'], '/same') for i in 'ab']
    check_work_dirs(jobs[:1])
    with pytest.raises(UsageError, match=r'a\.py and b\.py would both write to /same'):
        check_work_dirs(jobs)
