"""Which contestants are compared, and what the comparisons show, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cells import difference, interval, points, table
from entries import Results
from intervals import FOR_CLAIM, LEVEL, SCORE, Estimate, compare, scores

from mmaction_videomambapro.datasets.lab_clips import TASKS

BASE, PRO = 'videomamba', 'videomambapro'
PAIRS = (
    (BASE, 'residual'),
    (BASE, 'masked'),
    (BASE, PRO),
    ('residual', PRO),
    ('masked', PRO),
    (BASE, 'unidirectional'),
)  # fmt: skip

Pair = tuple[str, str]
Comparisons = Mapping[Pair, Mapping[str, Estimate]]


def compare_all(models: Results, pairs: Iterable[Pair]) -> dict:
    """Compare pairs of contestants in their score and in each task."""
    values = {
        name: {
            SCORE: scores(results, list(TASKS)),
            **{task: results[task].accuracies for task in TASKS if task in results},
        }
        for name, results in models.items()
    }
    found = {
        (reference, contestant): compare(
            values[reference], values[contestant], family=1 + len(TASKS)
        )
        for reference, contestant in pairs
        if reference in values and contestant in values
    }
    return {pair: each for pair, each in found.items() if each}


def variants_of(models: Results) -> list[Pair]:
    return [(PRO, name) for name in sorted(models) if name.startswith('pro-')]


def verdict(pair: Pair, name: str, found: Estimate | None) -> str:
    """Say in one sentence what a comparison shows; its interval decides."""
    reference, contestant = pair
    where = 'in score' if name == SCORE else f'on {name}'
    if found is None or found.seeds < FOR_CLAIM:
        seeds = 0 if found is None else found.seeds
        return (
            f'`{contestant}` cannot be compared with `{reference}` {where} yet: '
            f'{seeds} of {FOR_CLAIM} seeds.'
        )
    if found.claimed:
        better, sign = ('better', 1) if found.mean > 0 else ('worse', -1)
        low, high = sorted((sign * found.low, sign * found.high))
        return (
            f'`{contestant}` is {better} than `{reference}` {where} by '
            f'{points(abs(found.mean))} points [{points(low)}, {points(high)}].'
        )
    text = (
        f'No difference between `{contestant}` and `{reference}` could be shown '
        f'{where}: {points(found.mean, "+")} points {interval(found)}.'
    )
    if found.p < 1 - LEVEL:
        text += ' The interval alone excludes 0, but not after the correction.'
    return text


def conclusion(pairs: Comparisons, variants: Comparisons) -> str:
    """What the intervals say of each pair, and of the variants together."""
    lines = [_verdicts(pair, found) for pair, found in pairs.items()]
    able = {
        pair: found[SCORE]
        for pair, found in variants.items()
        if _is_able(found.get(SCORE))
    }
    lines += [verdict(pair, SCORE, each) for pair, each in able.items() if each.claimed]
    same = [f'`{pair[1]}`' for pair, each in able.items() if not each.claimed]
    if same:
        lines.append(
            f'No difference in score could be shown between `{PRO}` and '
            f'{", ".join(same)}.'
        )
    return (
        '\n'.join(f'- {line}' for line in lines) or 'There is nothing to compare yet.'
    )


def _verdicts(pair, found):
    able = {task: found[task] for task in TASKS if _is_able(found.get(task))}
    claimed = [task for task, each in able.items() if each.claimed]
    parts = [verdict(pair, SCORE, found.get(SCORE))]
    for word, sign in ('Better', 1), ('Worse', -1):
        tasks = [
            f'{task} ({points(able[task].mean, "+")} {interval(able[task])})'
            for task in claimed
            if sign * able[task].mean > 0
        ]
        if tasks:
            parts.append(f'{word} on {", ".join(tasks)}.')
    rest = len(able) - len(claimed)
    if rest:
        parts.append(f'No difference on {rest} of {len(TASKS)} tasks could be shown.')
    if len(able) < len(TASKS):
        parts.append(
            f'Too few seeds on {len(TASKS) - len(able)} of {len(TASKS)} tasks.'
        )
    return ' '.join(parts)


def _is_able(found):
    return found is not None and found.seeds >= FOR_CLAIM


def errors(comparisons: Comparisons) -> str:
    """How many claims are to be expected by chance alone."""
    able = sum(any(map(_is_able, found.values())) for found in comparisons.values())
    wrong = 1 - LEVEL
    text = (
        f'The {1 + len(TASKS)} comparisons of a pair, in score and on each task, are '
        "corrected together by Holm's method: if nothing differed, at most "
        f'{100 * wrong:.0f} % of the pairs would have a claim by chance alone'
    )
    return text + (f', or {wrong * able:.2g} of these {able}.' if able else '.')


def differences(comparisons: Comparisons) -> str:
    columns = [
        name
        for name in (SCORE, *TASKS)
        if any(name in found for found in comparisons.values())
    ]
    return table(
        ('difference', *columns),
        (
            (
                f'`{contestant}` from `{reference}`',
                *(difference(found.get(name)) for name in columns),
            )
            for (reference, contestant), found in comparisons.items()
        ),
    )
