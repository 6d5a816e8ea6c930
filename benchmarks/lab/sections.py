"""The parts of the laboratory's page: each is Markdown made from results."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from cells import accuracy, difference, mean_and_spread, points, table
from comparisons import (
    BASE,
    PAIRS,
    PRO,
    compare_all,
    conclusion,
    differences,
    errors,
    variants_of,
)
from entries import Result, Results, every
from intervals import (
    FOR_CLAIM,
    FOR_INTERVAL,
    compare,
    scores,
)
from training import TESTED

from mmaction_videomambapro.datasets.lab_clips import TASKS
from mmaction_videomambapro.literals import markdown_text

CONTESTANTS = Path(__file__).parent / 'contestants'
MAIN = BASE, 'residual', 'masked', PRO
FAR = *MAIN, 'unidirectional', 'vit'
# by the distance over which is recalled
RECALL = [task for task in TASKS if re.fullmatch(r'recall-\d+', task)]
TARGET = 0.9  # accuracy of the time that is measured
NO_TRAINING = 'none'  # the objective that others are compared with


def sections(tracks: Mapping[str, Results]) -> dict[str, str]:
    """Fill all places of the page.

    Args:
        tracks (Mapping): What ``read_results`` returns.

    Returns:
        dict[str, str]: Markdown by place; empty where there is nothing to say.
    """
    models, controls = tracks['models'], tracks['controls']
    pairs, variants = (
        compare_all(models, PAIRS),
        compare_all(models, variants_of(models)),
    )
    return dict(
        progress=progress(tracks),
        conclusion=conclusion(pairs, variants),
        errors=errors({**pairs, **variants}),
        budgets=budgets(every(models, controls)),
        leaderboard=leaderboard(models),
        incomplete=incomplete(tracks),
        accuracies=accuracies(models),
        pairs=differences(pairs),
        variants=differences(variants),
        distances=distances(models),
        positions=positions(models),
        times=times(models),
        controls=control_table(models, controls),
        objectives=objectives(tracks['objectives']),
        failures=failures(models),
        machines=machines(every(*tracks.values())),
        for_claim=str(FOR_CLAIM),
        for_interval=str(FOR_INTERVAL),
        held_out=str(TESTED),
        target=f'{100 * TARGET:.0f}',
        most_seeds=str(most_seeds(models)),
    )


# What several sections share


def ordered(contestants: Iterable[str]) -> list[str]:
    """The main contestants first, then the others by name."""
    return sorted(contestants, key=lambda x: (MAIN.index(x) if x in MAIN else 9, x))


def ranked(models: Results) -> dict[str, dict[int, float]]:
    """Scores by seed of those who have all tasks and enough seeds, the best first."""
    found = {name: scores(models[name], list(TASKS)) for name in ordered(models)}
    complete = {n: each for n, each in found.items() if len(each) >= FOR_INTERVAL}
    return dict(
        sorted(complete.items(), key=lambda item: -statistics.fmean(item[1].values()))
    )


def most_seeds(track: Results) -> int:
    return max((len(result.entries) for result in every(track)), default=0)


def describe(name: str) -> str:
    """The comment in the first line of a contestant's file, or else its name."""
    try:
        first = (CONTESTANTS / f'{name}.py').read_text(encoding='utf-8').split('\n')[0]
    except OSError:
        return name
    return markdown_text(first[1:].strip()) if first.startswith('#') else name


def chance_of(tracks: Iterable[Results]) -> dict[str, float]:
    return {result.task: result.chance for result in every(*tracks)}


def with_chance(tasks: Iterable[str], chances: Mapping[str, float]) -> list[str]:
    return [f'{task} ({points(chances[task])})' for task in tasks]


def present(track: Results) -> list[str]:
    """Tasks that somebody has, in the order of the laboratory."""
    found = {result.task for result in every(track)}
    return [task for task in TASKS if task in found]


# The sections, in the order of the page


def progress(tracks: Mapping[str, Results]) -> str:
    """How far a run that is not complete has come."""
    models = tracks['models']
    done = len(ranked(models))
    if done == len(models) and not missing(tracks):
        return ''
    entries = sum(len(result.entries) for result in every(*tracks.values()))
    return (
        f'The results are not complete yet: of {entries} entries so far, {done} of '
        f'{len(models)} models have all {len(TASKS)} tasks with {FOR_INTERVAL} seeds.'
    )


def missing(tracks: Mapping[str, Results]) -> list[str]:
    """Contestants without any result."""
    begun = {name for track in tracks.values() for name in track}
    names = {path.stem for path in CONTESTANTS.glob('[!_]*.py')}
    return sorted(names - begun)


def budgets(results: Iterable[Result]) -> str:
    one = {result.task: result for result in results}
    return table(
        ('task', 'what it asks', 'classes', 'frames', 'chance %', 'steps', 'clips'),
        (
            (
                name,
                markdown_text(task.summary),
                str(task.classes),
                str(task.frames),
                points(one[name].chance),
                f'{one[name].steps:,}',
                f'{one[name].clips:,}',
            )
            for name, task in TASKS.items()
            if name in one
        ),
    )


def leaderboard(models: Results) -> str:
    rows = [
        (
            str(rank),
            f'`{name}`',
            mean_and_spread(each.values()),
            parameters(models[name]),
            minutes(models[name]),
            str(len(each)),
            describe(name),
        )
        for rank, (name, each) in enumerate(ranked(models).items(), start=1)
    ]
    if not rows:
        return f'Nobody has all tasks with {FOR_INTERVAL} seeds yet.'
    header = (
        'rank', 'contestant', 'score', 'parameters', 'CPU minutes per entry', 'seeds',
        'what it is',
    )  # fmt: skip
    picture = '![Scores, with a dot for each seed](lab-leaderboard.png)'
    return f'{picture}\n\n{table(header, rows)}'


def parameters(results: Mapping[str, Result]) -> str:
    """Of the model, which may depend on the number of frames and classes."""
    found = [result.parameters for result in results.values()]
    least, most = min(found), max(found)
    return f'{most:,}' if least == most else f'{least:,} to {most:,}'


def minutes(results: Mapping[str, Result]) -> str:
    seconds = [
        entry.seconds for each in results.values() for entry in each.entries.values()
    ]
    return f'{statistics.fmean(seconds) / 60:.2f}'


def incomplete(tracks: Mapping[str, Results]) -> str:
    models = tracks['models']
    rows = [
        (f'`{name}`', f'{len(models[name])} of {len(TASKS)}', _seeds(models[name]))
        for name in ordered(models.keys() - ranked(models).keys())
    ]
    parts = [table(('contestant', 'tasks', 'seeds'), rows)]
    without = missing(tracks)
    if without:
        parts.append(f'Without results: {", ".join(f"`{x}`" for x in without)}.')
    return '\n\n'.join(filter(None, parts))


def _seeds(results):
    counts = [len(result.entries) for result in results.values()]
    least, most = min(counts), max(counts)
    return str(most) if least == most else f'{least} to {most}'


def accuracies(models: Results) -> str:
    tasks, most = present(models), most_seeds(models)
    return table(
        ('contestant', *with_chance(tasks, chance_of([models]))),
        (
            (f'`{name}`', *(accuracy(models[name].get(task), most) for task in tasks))
            for name in ordered(models)
        ),
    )


def distances(models: Results) -> str:
    tasks = [task for task in RECALL if task in present(models)]
    names = [name for name in FAR if models.get(name, {}).keys() & set(RECALL)]
    usual = most_seeds(models)
    return table(
        ('contestant', *with_chance(tasks, chance_of([models]))),
        (
            (f'`{name}`', *(accuracy(models[name].get(task), usual) for task in tasks))
            for name in names
        ),
    )


def positions(models: Results) -> str:
    """A table for each task whose entries say where the cue stood."""
    parts = []
    for task in TASKS:
        found = {
            name: list(models[name][task].entries.values())
            for name in FAR
            if task in models.get(name, {})
        }
        entries = [entry for each in found.values() for entry in each]
        places = list(dict.fromkeys(p for entry in entries for p in entry.positions))
        if places:
            rows = (
                (f'`{name}`', *(_position(each, place) for place in places))
                for name, each in found.items()
            )
            parts.append(table((task, *places), rows))
    return '\n\n'.join(parts)


def _position(entries, place):
    values = [e.positions[place] for e in entries if place in e.positions]
    return mean_and_spread(values) if values else ''


def times(models: Results) -> str:
    tasks = present(models)
    return table(
        ('contestant', *tasks),
        (
            (f'`{name}`', *(time_to_target(models[name].get(task)) for task in tasks))
            for name in ordered(models)
        ),
    )


def time_to_target(result: Result | None) -> str:
    if result is None:
        return ''
    seconds = result.seconds_to(TARGET)
    median = statistics.median(seconds)
    arrived = sum(map(math.isfinite, seconds))
    text = f'{median:.3g}' if math.isfinite(median) else '-'
    return f'{text} ({arrived} of {len(seconds)})'


def control_table(models: Results, controls: Results) -> str:
    tasks = present(controls)
    chances, usual = chance_of([controls]), most_seeds(controls)
    named = {**controls, PRO: models.get(PRO, {})}
    return table(
        ('task', 'chance', *(f'`{name}`' for name in named), 'one frame at chance?'),
        (
            (
                task,
                points(chances[task]),
                *(accuracy(named[name].get(task), usual) for name in named),
                _at_chance(controls.get('one-frame', {}).get(task)),
            )
            for task in tasks
        ),
    )


def _at_chance(result):
    """Clips decide, not seeds: what has learned nothing is a guess on each of them."""
    if result is None:
        return ''
    values = result.accuracies.values()
    above = statistics.fmean(values) - result.chance
    clips = TESTED * len(values)
    error = math.sqrt(result.chance * (1 - result.chance) / clips)
    if abs(above) <= 2 * error:
        return 'yes'
    return f'**no**: {points(above, "+")} points'


def objectives(track: Results) -> str:
    """Each objective against none, with a family of all tasks of the track."""
    tasks = list(dict.fromkeys(result.task for result in every(track)))
    names = [name for name in track if name != NO_TRAINING]
    usual = most_seeds(track)
    values = {
        name: {task: each[task].accuracies for task in tasks if task in each}
        for name, each in track.items()
    }
    reference = values.get(NO_TRAINING, {})
    found = {n: compare(reference, values[n], family=len(tasks)) for n in names}
    cell = partial(accuracy, usual=usual)
    header = ['task', 'chance', f'`{NO_TRAINING}`']
    for name in names:
        header += [f'`{name}`', 'difference']
    rows = []
    for task in tasks:
        row = [task, points(chance_of([track])[task])]
        row.append(cell(track.get(NO_TRAINING, {}).get(task)))
        for name in names:
            row += [cell(track[name].get(task)), difference(found[name].get(task))]
        rows.append(row)
    return table(header, rows)


def failures(models: Results) -> str:
    """Tasks and contestants that do not get reliably above chance."""
    judged = [r for r in every(models) if len(r.entries) >= FOR_INTERVAL]
    if not judged:
        return 'No contestant has enough seeds yet.'
    failed = [result for result in judged if not _is_above_chance(result)]
    if not failed:
        return 'Every contestant is reliably above chance wherever it has enough seeds.'
    solved = {result.task for result in judged if result not in failed}
    nobody = [task for task in TASKS if task in {r.task for r in judged} - solved]
    rows = []
    for name in ordered({result.contestant for result in failed}):
        own = {
            r.task: max(r.accuracies.values()) for r in failed if r.contestant == name
        }
        tasks = [f'{x} (best seed {points(own[x])})' for x in TASKS if x in own]
        of = sum(result.contestant == name for result in judged)
        rows.append((f'`{name}`', f'{len(own)} of {of}', ', '.join(tasks)))
    text = (
        f'No contestant is reliably above chance on {", ".join(nobody)}.'
        if nobody
        else 'Some contestant is reliably above chance on every task with enough seeds.'
    )
    header = ('contestant', 'tasks', 'not reliably above chance')
    return f'{text}\n\n{table(header, rows)}'


def _is_above_chance(result):
    values = list(result.accuracies.values())
    margin = 3 * max(statistics.stdev(values), 1 / TESTED)
    return statistics.fmean(values) - margin > result.chance


def machines(results: Iterable[Result]) -> str:
    """Where and when the entries were made, and how long they took."""
    made = {}
    for result in results:
        for entry in result.entries.values():
            made.setdefault((entry.machine, entry.code), []).append(entry)
    rows = [
        (
            markdown_text(machine),
            markdown_text(code),
            _dates(entries),
            str(len(entries)),
            f'{sum(e.seconds for e in entries) / 3600:.2f}',
        )
        for (machine, code), entries in sorted(made.items())
    ]
    everything = [entry for entries in made.values() for entry in entries]
    hours = sum(entry.seconds for entry in everything) / 3600
    rows.append(('all', '', _dates(everything), str(len(everything)), f'{hours:.2f}'))
    return table(('machine', 'code', 'dates', 'entries', 'CPU hours'), rows)


def _dates(entries):
    dates = sorted(entry.date for entry in entries)
    return dates[0] if dates[0] == dates[-1] else f'{dates[0]} to {dates[-1]}'
