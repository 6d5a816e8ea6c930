"""Training as a job of a cluster, by submitit: preempted, it goes on where it was."""

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
    """One process of a training in a job of submitit; can be pickled.

    Args:
        arguments (Sequence[str]): Of ``tools/train.py``.
        work_dir (str): The work directory that they lead to.
        run (int): How often it was in the queue before. Defaults to 0.
    """

    def __init__(self, arguments: Sequence[str], work_dir: str, run: int = 0) -> None:
        self.arguments, self.work_dir, self.run = tuple(arguments), work_dir, run
        self.started = None

    def __call__(self) -> None:
        """Train, with the rank and the addresses that the job gives."""
        from submitit.helpers import TorchDistributedEnvironment

        self.started = time.time()
        _leave_at_once()
        os.register_at_fork(after_in_child=_ignore_signals)
        environment = TorchDistributedEnvironment()
        environment.export(set_cuda_visible_devices=False, overwrite=True)
        # something of the last run may still hold its port
        os.environ['MASTER_PORT'] = str(environment.master_port + self.run)
        run_tool(partial(train.main, [*self.arguments, '--launcher', 'pytorch']))

    def checkpoint(self) -> DelayedSubmission:
        """What submitit puts into the queue at a preemption or a timeout.

        It resumes from the newest whole checkpoint. Where this run has not written one
        yet, it starts again, with whatever the first one was told to load.
        """
        from submitit.helpers import DelayedSubmission

        arguments = self.arguments
        written = map(os.path.getmtime, checkpoints(self.work_dir))
        if any(time >= self.started for time in written):
            arguments = (*arguments, '--resume')  # the last --resume counts
        return DelayedSubmission(TrainingJob(arguments, self.work_dir, self.run + 1))


def _preemption_signal():
    from submitit import JobEnvironment

    return getattr(signal, f'SIG{JobEnvironment.USR_SIG}')


def _leave_at_once():
    """End at a preemption even where Python drops exceptions, as in ``__del__``."""
    number = _preemption_signal()
    requeue = signal.getsignal(number)

    def leave(signum, frame):
        try:
            requeue(signum, frame)
        except SystemExit as e:
            # data loaders would hold the port that the next run listens at
            for child in multiprocessing.active_children():
                child.kill()
                child.join()
            os._exit(e.code & 0xFF)

    signal.signal(number, leave)


def _ignore_signals():
    """Data loaders leave to their parent what submitit does at signals."""
    signal.signal(_preemption_signal(), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def training_job(arguments: Sequence[str]) -> TrainingJob:
    """Check the arguments of a training, and its config, before it waits in a queue.

    Files that only the cluster may have, such as videos, are left to the job.

    Args:
        arguments (Sequence[str]): Of ``tools/train.py``, the config first.

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
    """Configs of a file for ``--batch-launch``: a list in YAML, ``- CONFIG`` a line.

    Raises:
        UsageError: If the file has something else in it.
    """
    configs = read_yaml(path)
    if not (
        isinstance(configs, list)
        and configs
        and all(isinstance(config, str) for config in configs)
    ):
        raise UsageError(f'{path} is no list of configs: write "- CONFIG" in each line')
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
    partition: str | None = None,
    account: str | None = None,
    qos: str | None = None,
    exclude: str | None = None,
) -> AutoExecutor:
    """Submitit's executor, with one GPU for each task.

    Args:
        cluster (str): 'slurm', or 'local' for processes on this machine.
        folder (str | PathLike): For logs and pickles, whose names begin with the job's
            number.
        name (str): Of the jobs.
        time (int): Minutes after which a job is put into the queue again, at most
            ``MAX_TIMEOUTS`` times. Defaults to 4300.
        nodes (int): Machines; 1 where the cluster is 'local'. Defaults to 1.
        tasks_per_node (int): Processes, and GPUs, of a machine. Defaults to 1.
        cpus_per_task (int): Defaults to 5.
        partition (str, optional): SLURM's, and so the next ones. Defaults to None,
            the cluster's default.
        account (str, optional): Who pays. Defaults to None.
        qos (str, optional): Quality of service. Defaults to None.
        exclude (str, optional): Machines not to use. Defaults to None.

    Raises:
        UsageError: If submitit is not installed, or the cluster cannot do that.
    """
    options = dict(
        folder=folder, partition=partition, account=account, qos=qos, exclude=exclude
    )
    for option, value in options.items():
        if not str(value).isprintable():  # it would end its line of the job script
            raise UsageError(f'--{option} {str(value)!r} has control characters')
    try:
        from submitit import AutoExecutor
    except ImportError as e:
        raise UsageError(
            'submitit is not installed: pip install "mmaction_videomambapro[submit]"'
        ) from e
    try:
        executor = AutoExecutor(
            # none for each job: 'local' opens its logs before it is there
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
            slurm_partition=partition,
            slurm_account=account,
            slurm_qos=qos,
            slurm_exclude=exclude,
        )
    except OSError as e:
        raise UsageError(f'--folder {folder}: {e}') from e
    except (RuntimeError, ValueError) as e:
        raise UsageError(f'--cluster {cluster}: {e}') from e
    return executor


def submit(executor: AutoExecutor, jobs: Sequence[TrainingJob]) -> list[Job]:
    """Put jobs into the queue of the cluster, several as an array."""
    if len(jobs) == 1:
        return [executor.submit(jobs[0])]
    with executor.batch():
        submitted = [executor.submit(job) for job in jobs]
    return submitted


def run_local(executor: AutoExecutor, jobs: Sequence[TrainingJob]) -> None:
    """Run jobs on this machine, one after the other, until the first that fails.

    Raises:
        UsageError: If a job fails.
    """
    for job in jobs:
        submitted = executor.submit(job)
        print(f'{job.arguments[0]}: {describe(submitted)}', flush=True)
        submitted.wait()
        tasks = range(submitted.num_tasks)
        for task in map(submitted.task, tasks):
            # without a result it ended early, as at a wrong argument
            if not task.paths.result_pickle.is_file() or task.exception():
                raise UsageError(
                    f'the training of {job.arguments[0]} failed, see '
                    f'{task.paths.stderr}'
                )


def describe(job: Job) -> str:
    """The number of a job, and where it tells how it goes."""
    return f'job {job.job_id}, log in {job.paths.stderr}'
