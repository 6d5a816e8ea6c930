"""Train the laboratory's contestants on its tasks; what is done is not done again.

    python benchmarks/lab/run.py                         # all that is missing
    python benchmarks/lab/run.py --only vit --tasks motion recall-16
    python benchmarks/lab/run.py --quick --results work_dirs/lab/results
    python benchmarks/lab/run.py --verify 3              # do results come again?

A trial is one contestant on one task with one seed, trained under the task's fixed
budget on one thread; what it comes to is an entry. Entries are kept in
RESULTS/CONTESTANT/TASK.json, one by one: the run can be stopped at any time. Those
whose settings have changed are made again.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from entries import read_result
from objectives import TASKS_OF_TRACK, describe_objective, objectives, run_objective
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from training import BUDGETS, HERE, Contestant, describe, run_entry

from mmaction_videomambapro.apis.cli import run_tool
from mmaction_videomambapro.errors import UsageError
from mmaction_videomambapro.files import replacing

RESULTS = HERE / 'results'
# Differences between these are claimed, which takes five seeds; others have three,
# and controls, which should learn nothing, one.
CLAIMED = 'videomamba', 'residual', 'masked', 'videomambapro'
CONTROLS = 'one-frame', 'shuffled'
CONTESTANTS = sorted(path.stem for path in (HERE / 'contestants').glob('*.py'))
QUICK_TASKS = ['counting', 'recall-4', 'recall-16', 'selective-8']


class Trial(NamedTuple):
    """One contestant on one task with one seed."""

    contestant: str
    task: str
    seed: int

    def head(self) -> dict:
        if self.task in TASKS_OF_TRACK:
            return describe_objective(self.contestant, self.task)
        return describe(Contestant.read(self.contestant), self.task)

    def run(self) -> dict:
        if self.task in TASKS_OF_TRACK:
            return run_objective(self.contestant, self.task, self.seed)
        return run_entry(Contestant.read(self.contestant), self.task, self.seed)

    def path(self, results: Path) -> Path:
        return results / self.contestant / f'{self.task}.json'


def plan(
    only: list[str] | None, tasks: list[str] | None, seeds: int | None
) -> list[Trial]:
    """All trials; seed by seed, so that an unfinished run can be compared.

    Args:
        only (list[str], optional): Contestants. None: all.
        tasks (list[str], optional): None: all.
        seeds (int, optional): None: as many as there should be.
    """
    others = [name for name in CONTESTANTS if name not in CLAIMED + CONTROLS]
    return [
        Trial(contestant, task, seed)
        for group, group_tasks, usual in (
            (CLAIMED, BUDGETS, 5),
            (objectives(), TASKS_OF_TRACK, 5),
            (CONTROLS, BUDGETS, 1),
            (others, BUDGETS, 3),
        )
        for seed in range(seeds or usual)
        for contestant in group
        for task in group_tasks
        if (not only or contestant in only) and (not tasks or task in tasks)
    ]


def read(path: Path) -> dict | None:
    """The content of a result file, checked as for the report; None without a file."""
    if not path.exists():
        return None
    read_result(path)
    return json.loads(path.read_text(encoding='utf-8'))


def missing(trials: list[Trial], results: Path) -> list[Trial]:
    """Trials that no result file has with the settings of today.

    Each contestant is built once for each task, so that a config that cannot be built
    is refused before anything is trained.
    """
    files: dict[Path, set[str]] = {}
    for trial in trials:
        path = trial.path(results)
        if path not in files:
            result, head = read(path), trial.head()
            fresh = result is not None and result['config'] == head['config']
            files[path] = set(result['entries']) if fresh else set()
    return [x for x in trials if str(x.seed) not in files[x.path(results)]]


def keep(trial: Trial, entry: dict, results: Path) -> None:
    """Add an entry to its result file, which is replaced as a whole."""
    path = trial.path(results)
    result, head = read(path), trial.head()
    old = result['entries'] if result and result['config'] == head['config'] else {}
    entries = {**old, str(trial.seed): entry}
    entries = {seed: entries[seed] for seed in sorted(entries, key=int)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(to_json({**head, 'entries': entries}))


def to_json(result: dict) -> str:
    """JSON with a line per value, but lists of numbers and ``made`` in one line."""
    head = {k: v for k, v in result.items() if k != 'entries'}
    lines = [f'{json.dumps(k)}: {json.dumps(v)},' for k, v in head.items()]
    entries = []
    for seed, entry in result['entries'].items():
        rows = ',\n'.join(
            f'   {json.dumps(k)}: {json.dumps(v)}' for k, v in entry.items()
        )
        entries.append(f'  {json.dumps(seed)}: {{\n{rows}\n  }}')
    inside = '\n '.join(lines) + '\n "entries": {\n' + ',\n'.join(entries) + '\n }'
    return '{\n ' + inside + '\n}\n'


def run_all(trials: list[Trial], results: Path, jobs: int) -> None:
    """Run trials, ``jobs`` at a time, and keep each entry as it comes."""
    columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with (
        ProcessPoolExecutor(jobs, mp_context=get_context('spawn')) as pool,
        Progress('{task.description}', *columns, speed_estimate_period=1800) as bar,
    ):
        row = bar.add_task('entries', total=len(trials))
        futures = {pool.submit(trial.run): trial for trial in trials}
        try:
            for future in as_completed(futures):
                trial, entry = futures[future], future.result()
                keep(trial, entry, results)
                bar.console.print(
                    f'{trial.contestant:24}{trial.task:14}seed {trial.seed}  '
                    f'accuracy {entry["accuracy"]:.3f}  '
                    f'{entry["made"]["seconds"]:5.1f} s',
                    highlight=False,
                )
                bar.advance(row)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def verify(trials: list[Trial], results: Path, number: int) -> None:
    """Run some of the finished trials again, and each with another seed.

    Raises:
        UsageError: If none is finished, or an entry does not come to the numbers that
            were kept.
    """
    done = sorted(set(trials) - set(missing(trials, results)))
    if not done:
        raise UsageError(f'{results} has no such entry; run without --verify first')
    changed = []
    for trial in random.sample(done, min(number, len(done))):
        entries = read(trial.path(results))['entries']
        kept, again = entries[str(trial.seed)], trial.run()
        same = all(kept[key] == again[key] for key in again if key != 'made')
        new = trial._replace(seed=trial.seed + 1000).run()['accuracy']
        known = [entry['accuracy'] for entry in entries.values()]
        sd = statistics.stdev(known) if len(known) > 1 else float('nan')
        print(
            f'{trial.contestant}, {trial.task}, seed {trial.seed}: kept '
            f'{kept["accuracy"]:.4f}, now {again["accuracy"]:.4f}, '
            f'{"the same in all numbers" if same else "NOT the same"}; another seed '
            f'{new:.4f}, where {len(known)} seeds have '
            f'{statistics.mean(known):.4f} ± {sd:.4f}',
            flush=True,
        )
        if not same:
            changed.append(str(trial.path(results)))
    if changed:
        raise UsageError(
            f'{", ".join(changed)}: another run gives other numbers; were they made '
            'on another machine, or with other versions?'
        )


def positive(text: str) -> int:
    """The type of options that count."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{text} is not at least 1')
    return number


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    names, tasks = [*CONTESTANTS, *objectives()], [*BUDGETS, *TASKS_OF_TRACK]
    parser.add_argument('--only', nargs='+', choices=names, metavar='CONTESTANT')
    parser.add_argument('--tasks', nargs='+', choices=tasks, metavar='TASK')
    parser.add_argument(
        '--seeds',
        type=positive,
        help='seeds of each; by default 5 where differences are claimed, 3 elsewhere',
    )
    parser.add_argument('--jobs', type=positive, default=2, help='trials at a time')
    parser.add_argument('--results', type=Path, default=RESULTS, metavar='FOLDER')
    parser.add_argument(
        '--quick', action='store_true', help='four contestants, four tasks, three seeds'
    )
    parser.add_argument(
        '--verify',
        type=positive,
        metavar='N',
        help='run N of the finished trials again',
    )
    args = parser.parse_args()
    only, of_tasks, seeds = args.only, args.tasks, args.seeds
    if args.quick:
        only, of_tasks = only or list(CLAIMED), of_tasks or QUICK_TASKS
        seeds = seeds or 3
    trials = plan(only, of_tasks, seeds)
    if not trials:
        raise UsageError(
            f'none of {", ".join(only)} has a task of {", ".join(of_tasks)}'
        )
    if args.verify:
        verify(trials, args.results, args.verify)
    else:
        run_all(missing(trials, args.results), args.results, args.jobs)


if __name__ == '__main__':
    run_tool(main)
