"""Train on a SLURM cluster with submitit; preempted jobs resume.

tools/submit.py CONFIG --folder logs --partition gpu --tasks-per-node 8 -- --amp
"""

import argparse
import sys
from pathlib import Path

from mmaction_videomambapro.apis.cli import run_tool
from mmaction_videomambapro.apis.submit import (
    check_work_dirs,
    describe,
    make_executor,
    read_batch,
    run_local,
    submit,
    training_job,
)


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{value} is less than 1')
    return value


def parse_args():
    argv = sys.argv[1:]
    cut = argv.index('--') if '--' in argv else len(argv)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.usage = '%(prog)s [options] CONFIG -- [arguments of train.py]'
    parser.add_argument('config', nargs='?', help='training config')
    parser.add_argument(
        '--batch-launch',
        metavar='FILE',
        help='train several configs as an array of jobs: a YAML list of their paths',
    )
    parser.add_argument('--folder', required=True, help='folder for logs and pickles')
    parser.add_argument(
        '--cluster',
        choices=['slurm', 'local'],
        default='slurm',
        help='local: run on this machine, one after the other until one fails',
    )
    parser.add_argument('--partition', help='SLURM partition; sinfo lists them')
    parser.add_argument('--account', help='account to charge')
    parser.add_argument('--qos', help='quality of service')
    parser.add_argument('--exclude', metavar='NODES', help='machines not to use')
    parser.add_argument(
        '--time',
        type=positive,
        default=4300,
        metavar='MINUTES',
        help='time limit after which the job is requeued; default: 4300',
    )
    parser.add_argument('--nodes', type=positive, default=1, help='number of machines')
    parser.add_argument(
        '--tasks-per-node', type=positive, default=1, help='processes and GPUs per node'
    )
    parser.add_argument(
        '--cpus-per-task', type=positive, default=5, help='CPUs for data loaders'
    )
    args = parser.parse_args(argv[:cut])
    if (args.config is None) == (args.batch_launch is None):
        parser.error('expected either CONFIG or --batch-launch FILE')
    return args, argv[cut + 1 :]


def main():
    args, train_args = parse_args()
    args = vars(args)
    batch, config = args.pop('batch_launch'), args.pop('config')
    configs = read_batch(batch) if batch else [config]
    jobs = [training_job([config, *train_args]) for config in configs]
    check_work_dirs(jobs)
    executor = make_executor(name=Path(batch or config).stem, **args)
    if args['cluster'] == 'local':
        run_local(executor, jobs)
        return
    for job, submitted in zip(jobs, submit(executor, jobs)):
        print(f'{job.arguments[0]}: {describe(submitted)}')


if __name__ == '__main__':
    run_tool(main)
