"""Submit training jobs with submitit; a preempted job resumes where it stopped."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..engine.checkpoints import checkpoints
from ..errors import UsageError
from ..literals import printable
from ..safe_yaml import read_yaml
from . import train
from .cli import run_tool

if TYPE_CHECKING:
    from submitit import AutoExecutor, Job
    from submitit.helpers import DelayedSubmission

MAX_TIMEOUTS = 20  # a training of many days on a cluster that gives hours


class TrainingJob:
    """One process of a training in a submitit job; it can be pickled.

    Args:
        arguments (Sequence[str]): Arguments of ``tools/train.py``.
        work_dir (str): The work directory that they select.
        run (int): How often it has been requeued. Defaults to 0.
    """

    def __init__(self, arguments: Sequence[str], work_dir: str, run: int = 0) -> None:
        self.arguments, self.work_dir, self.run = tuple(arguments), work_dir, run
        self.started = float('inf')  # until it runs

    def __call__(self) -> None:
        """Train, with the rank and the addresses that the job provides."""
        from submitit.helpers import TorchDistributedEnvironment

        self.started = time.time()
        _leave_at_once()
        os.register_at_fork(after_in_child=_ignore_signals)
        environment = TorchDistributedEnvironment()
        environment.export(set_cuda_visible_devices=False, overwrite=True)
        # a process of the last run may still hold its port
        os.environ['MASTER_PORT'] = str(environment.master_port + self.run)
        run_tool(partial(train.main, [*self.arguments, '--launcher', 'pytorch']))

    def checkpoint(self) -> DelayedSubmission:
        """What submitit requeues after a preemption or a timeout.

        It resumes from the newest complete checkpoint. If this run has not written one
        yet, it starts again and loads what the first run was to load.
        """
        from submitit.helpers import DelayedSubmission

        arguments = self.arguments
        written = map(os.path.getmtime, checkpoints(self.work_dir))
        if any(time >= self.started for time in written):
            arguments = (*arguments, '--resume')  # the last --resume wins
        return DelayedSubmission(TrainingJob(arguments, self.work_dir, self.run + 1))


def _preemption_signal():
    from submitit import JobEnvironment

    return getattr(signal, f'SIG{JobEnvironment.USR_SIG}')


def _leave_at_once():
    """Exit at a preemption even where Python drops exceptions, as in ``__del__``."""
    number = _preemption_signal()
    requeue, own = signal.getsignal(number), os.getpid()

    def leave(signum, frame):
        if os.getpid() != own:  # a data loader that does not ignore signals yet
            return
        try:
            requeue(signum, frame)
        except SystemExit as e:
            # data loaders would hold the port that the next run listens on
            for child in multiprocessing.active_children():
                child.kill()
                child.join()
            os._exit(e.code & 0xFF)

    signal.signal(number, leave)


def _ignore_signals():
    """Let data loaders leave submitit's signals to their parent."""
    signal.signal(_preemption_signal(), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def training_job(arguments: Sequence[str]) -> TrainingJob:
    """Check the arguments of a training, and its config, before it waits in a queue.

    Files that only the cluster may have, such as videos, are checked by the job.

    Args:
        arguments (Sequence[str]): Arguments of ``tools/train.py``, the config first.

    Raises:
        UsageError: If the config, or an argument, is wrong.
    """
    args = train.parse_args(arguments)
    if args.launcher != 'none':
        raise UsageError('leave out --launcher: submitit starts the processes')
    cfg = train.training_config(args)
    return TrainingJob(arguments, os.path.abspath(cfg.work_dir))


def check_work_dirs(jobs: Sequence[TrainingJob]) -> None:
    """Refuse trainings that would overwrite each other's checkpoints."""
    configs = {}
    for job in jobs:
        config = job.arguments[0]
        other = configs.setdefault(job.work_dir, config)
        if other is not config:
            raise UsageError(
                f'{other} and {config} would both write to {job.work_dir}: give each a '
                'work_dir of its own'
            )


def read_batch(path: str | os.PathLike) -> list[str]:
    """Read the configs of a ``--batch-launch`` file: a YAML list, one per line.

    Raises:
        UsageError: If the file contains anything else.
    """
    configs = read_yaml(path)
    if not (
        isinstance(configs, list)
        and configs
        and all(isinstance(config, str) for config in configs)
    ):
        raise UsageError(
            f'{path} is not a list of configs: write "- CONFIG" in each line'
        )
    return configs


def make_executor(
    cluster: str,
    folder: str | os.PathLike,
    name: str,
    *,
    time: int = 4300,
    nodes: int = 1,
    tasks_per_node: int = 1,
    cpus_per_task: int = 5,
    **slurm: str | None,
) -> AutoExecutor:
    """Create submitit's executor, with one GPU per task.

    Args:
        cluster (str): 'slurm', or 'local' for processes on this machine.
        folder (str | PathLike): For logs and pickles, whose names begin with the job
            id.
        name (str): Name of the jobs.
        time (int): Minutes after which a job is requeued, at most ``MAX_TIMEOUTS``
            times. Defaults to 4300.
        nodes (int): Number of machines; 1 if the cluster is 'local'. Defaults to 1.
        tasks_per_node (int): Processes, and GPUs, per machine. Defaults to 1.
        cpus_per_task (int): CPU cores per process. Defaults to 5.
        **slurm (str, optional): ``partition``, ``account`` to charge, ``qos``, and
            machines to ``exclude``; those that are None are the cluster's defaults.

    Raises:
        UsageError: If submitit is not installed, or the cluster does not support this.
    """
    for option, value in dict(folder=folder, **slurm).items():
        if not str(value).isprintable():  # it would break its line in the job script
            raise UsageError(f'--{option} {str(value)!r} has control characters')
    try:
        from submitit import AutoExecutor
    except ImportError as e:
        raise UsageError(
            'submitit is not installed: pip install "mmaction_videomambapro[submit]"'
        ) from e
    try:
        executor = AutoExecutor(
            # not one per job: 'local' opens its logs before it exists
            folder=Path(folder).absolute(),
            cluster=cluster,
            slurm_max_num_timeout=MAX_TIMEOUTS,
            local_max_num_timeout=MAX_TIMEOUTS,
        )
        executor.update_parameters(
            name=printable(name),
            timeout_min=time,
            nodes=nodes,
            tasks_per_node=tasks_per_node,
            gpus_per_node=tasks_per_node,
            cpus_per_task=cpus_per_task,
            **{f'slurm_{name}': value for name, value in slurm.items()},
        )
    except OSError as e:
        raise UsageError(f'--folder {folder}: {e}') from e
    except (RuntimeError, ValueError) as e:
        raise UsageError(f'--cluster {cluster}: {e}') from e
    return executor


def submit(executor: AutoExecutor, jobs: Sequence[TrainingJob]) -> list[Job]:
    """Submit jobs to the cluster's queue, several as an array."""
    if len(jobs) == 1:
        return [executor.submit(jobs[0])]
    with executor.batch():
        submitted = [executor.submit(job) for job in jobs]
    return submitted


def run_local(executor: AutoExecutor, jobs: Sequence[TrainingJob]) -> None:
    """Run jobs on this machine, one after another, until one fails.

    Raises:
        UsageError: If a job fails.
    """
    for job in jobs:
        submitted = executor.submit(job)
        print(f'{job.arguments[0]}: {describe(submitted)}', flush=True)
        submitted.wait()
        tasks = range(submitted.num_tasks)
        for task in map(submitted.task, tasks):
            # no result: it ended early, for instance at a wrong argument
            if not task.paths.result_pickle.is_file() or task.exception():
                raise UsageError(
                    f'the training of {job.arguments[0]} failed, see '
                    f'{task.paths.stderr}'
                )


def describe(job: Job) -> str:
    """Job id and log path."""
    return f'job {job.job_id}, log in {job.paths.stderr}'
