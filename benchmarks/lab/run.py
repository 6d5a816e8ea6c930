"""Train the laboratory's contestants on its tasks; what is done is not done again.

    python benchmarks/lab/run.py                         # all that is missing
    python benchmarks/lab/run.py --only vit --tasks motion recall-16
    python benchmarks/lab/run.py --quick --results work_dirs/lab/results
    python benchmarks/lab/run.py --verify 3              # do results come again?

An entry is one contestant on one task with one seed, trained under the task's fixed
budget on one thread. Results are kept in RESULTS/CONTESTANT/TASK.json, entry by entry:
the run can be stopped at any time. Entries whose settings have changed are made again.
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
QUICK = [*CLAIMED], ['counting', 'recall-4', 'recall-16', 'selective-8']


class Entry(NamedTuple):
    """One training."""

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
) -> list[Entry]:
    """All entries; seed by seed, so that an unfinished run can be compared.

    Args:
        only (list[str], optional): Contestants. None: all.
        tasks (list[str], optional): None: all.
        seeds (int, optional): None: as many as there should be.
    """
    others = [name for name in CONTESTANTS if name not in CLAIMED + CONTROLS]
    entries = [
        Entry(contestant, task, seed)
        for group, group_tasks, usual in (
            (CLAIMED, BUDGETS, 5),
            (objectives(), TASKS_OF_TRACK, 5),
            (CONTROLS, BUDGETS, 1),
            (others, BUDGETS, 3),
        )
        for seed in range(seeds or usual)
        for contestant in group
        for task in group_tasks
    ]
    return [
        entry
        for entry in entries
        if entry.contestant in (only or [entry.contestant])
        and entry.task in (tasks or [entry.task])
    ]


def read_result(path: Path) -> dict | None:
    """A result file; None if there is none.

    Raises:
        UsageError: If it cannot be read as one.
    """
    if not path.exists():
        return None
    try:
        result = json.loads(path.read_text())
        result['config'], result['entries'].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f'{path} is not a result of the laboratory ({type(error).__name__}: '
            f'{error}); restore or remove it'
        ) from None
    return result


def missing(entries: list[Entry], results: Path) -> list[Entry]:
    """Entries that no result file has with the settings of today."""
    files: dict[Path, set[str]] = {}
    for entry in entries:
        path = entry.path(results)
        if path not in files:
            result = read_result(path)
            fresh = result is not None and result['config'] == entry.head()['config']
            files[path] = set(result['entries']) if fresh else set()
    return [x for x in entries if str(x.seed) not in files[x.path(results)]]


def keep(entry: Entry, made: dict, results: Path) -> None:
    """Add an entry to its result file, which is replaced as a whole."""
    path = entry.path(results)
    result, head = read_result(path), entry.head()
    old = result['entries'] if result and result['config'] == head['config'] else {}
    entries = {**old, str(entry.seed): made}
    entries = {seed: entries[seed] for seed in sorted(entries, key=int)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(to_json({**head, 'entries': entries}))


def to_json(result: dict) -> str:
    """JSON with a line a value, but lists of numbers and ``made`` in one line."""
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


def run_all(entries: list[Entry], results: Path, jobs: int) -> None:
    """Run entries, ``jobs`` at a time, and keep each as it is done."""
    columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with (
        ProcessPoolExecutor(jobs, mp_context=get_context('spawn')) as pool,
        Progress('{task.description}', *columns, speed_estimate_period=1800) as bar,
    ):
        row = bar.add_task('entries', total=len(entries))
        futures = {pool.submit(entry.run): entry for entry in entries}
        try:
            for future in as_completed(futures):
                entry, made = futures[future], future.result()
                keep(entry, made, results)
                seconds = made['made']['seconds']
                bar.console.print(
                    f'{entry.contestant:24}{entry.task:14}seed {entry.seed}  '
                    f'accuracy {made["accuracy"]:.3f}  {seconds:5.1f} s',
                    highlight=False,
                )
                bar.advance(row)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def verify(entries: list[Entry], results: Path, number: int) -> None:
    """Run some of the finished entries again, and each with a seed of its own.

    Raises:
        UsageError: If an entry does not come to the numbers that were kept.
    """
    done = sorted(set(entries) - set(missing(entries, results)))
    changed = []
    for entry in random.sample(done, min(number, len(done))):
        result = read_result(entry.path(results)) or {}
        kept, again = result['entries'][str(entry.seed)], entry.run()
        same = all(kept[key] == again[key] for key in again if key != 'made')
        new = entry._replace(seed=entry.seed + 1000).run()['accuracy']
        known = [x['accuracy'] for x in result['entries'].values()]
        sd = statistics.stdev(known) if len(known) > 1 else float('nan')
        print(
            f'{entry.contestant}, {entry.task}, seed {entry.seed}: kept '
            f'{kept["accuracy"]:.4f}, now {again["accuracy"]:.4f}, '
            f'{"the same in all numbers" if same else "NOT the same"}; another seed '
            f'{new:.4f}, where {len(known)} seeds have '
            f'{statistics.mean(known):.4f} ± {sd:.4f}',
            flush=True,
        )
        if not same:
            changed.append(str(entry.path(results)))
    if changed:
        raise UsageError(
            f'{", ".join(changed)}: another run gives other numbers; were they made '
            'on another machine, or with other versions?'
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    names, tasks = [*CONTESTANTS, *objectives()], [*BUDGETS, *TASKS_OF_TRACK]
    parser.add_argument('--only', nargs='+', choices=names, metavar='CONTESTANT')
    parser.add_argument('--tasks', nargs='+', choices=tasks, metavar='TASK')
    parser.add_argument(
        '--seeds',
        type=int,
        help='seeds of each; by default 5 where differences are claimed, 3 elsewhere',
    )
    parser.add_argument('--jobs', type=int, default=2, help='entries at a time')
    parser.add_argument('--results', type=Path, default=RESULTS, metavar='FOLDER')
    parser.add_argument(
        '--quick', action='store_true', help='four contestants, four tasks, three seeds'
    )
    parser.add_argument(
        '--verify', type=int, metavar='N', help='run N of the finished entries again'
    )
    args = parser.parse_args()
    if args.quick:
        entries = plan(*QUICK, args.seeds or 3)
    else:
        entries = plan(args.only, args.tasks, args.seeds)
    if args.verify:
        verify(entries, args.results, args.verify)
    else:
        run_all(missing(entries, args.results), args.results, args.jobs)


if __name__ == '__main__':
    run_tool(main)
