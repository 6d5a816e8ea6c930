"""The laboratory's report says what the results give, and no more."""

import json
import math
import random
import re
import sys

import pytest
from scipy import stats

from mmaction_videomambapro.datasets.lab_clips import TASKS
from tests.conftest import ROOT

sys.path.append(str(ROOT / 'benchmarks' / 'lab'))

from comparisons import compare_all, verdict
from entries import ResultsError, read_results
from intervals import SCORE, Estimate, compare, estimate, scores
from report import fill
from sections import sections

LAB = ROOT / 'benchmarks' / 'lab'
MODELS = (
    'videomamba', 'residual', 'masked', 'videomambapro', 'unidirectional', 'vit',
    'pro-shared', 'pro-raw',
)  # fmt: skip
STEPS = 600


def entry(accuracy, chance, rng, seconds=20.0, positions=()):
    """An entry that learns evenly from chance to its accuracy."""
    steps = range(STEPS // 10, STEPS + 1, STEPS // 10)
    curve = [[s, 0.5, chance + (accuracy - chance) * s / STEPS] for s in steps]
    return dict(
        accuracy=accuracy,
        positions={p: accuracy for p in positions},
        curve=curve,
        made=dict(
            seconds=seconds + rng.random(),
            date='2026-11-26',
            machine='AMD EPYC, 1 thread',
            code='161430d',
        ),
    )


def result(contestant, task, accuracies, chance=0.5, track='models', **changes):
    """A file's content; accuracies are a list by seed."""
    rng = random.Random(f'{contestant} {task}')
    positions = ('first', 'last') if task.startswith('recall') else ()
    entries = {
        str(seed): entry(accuracy, chance, rng, positions=positions)
        for seed, accuracy in enumerate(accuracies)
    }
    content = dict(
        contestant=contestant, track=track, task=task, chance=chance, config='3f2a9c1b',
        parameters=52320, steps=STEPS, clips=19200, tokens=1305600, entries=entries,
    )  # fmt: skip
    return content | changes


def write(folder, *contents):
    for content in contents:
        path = folder / content['contestant'] / f'{content["task"]}.json'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))


def fake_results(folder, seeds=5):
    """Everybody has everything; the mask helps most, on recall alone."""
    gains = dict(residual=0.02, masked=0.2, videomambapro=0.22, vit=0.1)
    for contestant in (*MODELS, 'one-frame', 'shuffled'):
        for task in TASKS:
            rng = random.Random(f'{contestant}, {task}')
            mean = 0.7 + gains.get(contestant, 0.0) * task.startswith('recall')
            if contestant == 'one-frame':
                mean = 0.5
            noise = [rng.gauss(0, 0.015) for _ in range(seeds)]
            values = [min(mean + each, 1.0) for each in noise]
            controls = contestant in ('one-frame', 'shuffled')
            track = 'controls' if controls else 'models'
            write(folder, result(contestant, task, values, track=track))
    for i, contestant in enumerate(('none', 'vjepa')):
        for task in ('probe', 'few-labels'):
            rng = random.Random(f'{contestant}, {task}')
            values = [0.6 + 0.1 * i + rng.gauss(0, 0.01) for _ in range(seeds)]
            write(folder, result(contestant, task, values, 0.25, 'objectives'))


def page(folder):
    return fill((LAB / 'page.md').read_text(), sections(read_results(folder)))


def cells(text, start):
    """The cells of the first row of a page that starts with some text."""
    line = next(line for line in text.splitlines() if line.startswith(start))
    return [cell.strip() for cell in line.strip('|').split('|')]


@pytest.fixture(scope='module')
def full(tmp_path_factory):
    folder = tmp_path_factory.mktemp('full')
    fake_results(folder)
    return folder


@pytest.fixture(scope='module')
def text(full):
    return page(full)


@pytest.fixture
def run(tool):
    def run(*args):
        return tool('../benchmarks/lab/report.py', *args, check=False)

    return run


def test_intervals_are_those_of_scipy():
    values = [0.031, 0.012, 0.044, -0.006, 0.027]
    found, theirs = estimate(values), stats.ttest_1samp(values, 0)
    expected = theirs.confidence_interval(0.95)
    assert found.mean == pytest.approx(0.0216)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.p == pytest.approx(theirs.pvalue)
    assert estimate(values[:2]).low is None


@pytest.mark.parametrize(
    ('difference', 'claimed'), [(0.0, False), (1 / 1024, False), (0.5, True)]
)
def test_seeds_that_all_agree(difference, claimed):
    """Equal values are no proof by themselves, but a solved task beside a guess is."""
    ones = dict.fromkeys(range(5), 1.0)
    others = dict.fromkeys(range(5), 1 - difference)
    found = compare({'motion': others}, {'motion': ones}, family=11)['motion']
    assert found.mean == difference
    assert found.low < difference < found.high
    assert found.claimed == claimed


def test_holm_is_that_of_a_known_example():
    """p-values 0.002, 0.016 and 0.3 of a family of 4; thresholds 0.0125, 0.0167."""

    def differences(p):
        deviations = [-2, -1, 0, 1, 2]
        mean = stats.t.isf(p / 2, 4) * math.sqrt(2.5 / 5)
        return {i: 0.01 * (mean + d) for i, d in enumerate(deviations)}

    ours = {'a': differences(0.3), 'b': differences(0.016), 'c': differences(0.002)}
    zeros = {name: dict.fromkeys(range(5), 0.0) for name in ours}
    found = compare(zeros, ours, family=4)
    assert [found[x].p for x in 'abc'] == pytest.approx([0.3, 0.016, 0.002])
    assert [x for x in 'abc' if found[x].claimed] == ['b', 'c']
    assert not compare(zeros, ours, family=5)['b'].claimed
    del zeros['c'][4]  # 4 seeds are not enough
    assert not compare(zeros, ours, family=4)['c'].claimed


def test_only_common_seeds_are_paired():
    reference, contestant = {0: 0.5, 1: 0.6, 7: 0.0}, {1: 0.7, 0: 0.7, 3: 1.0}
    found = compare({'motion': reference}, {'motion': contestant}, family=11)
    assert found['motion'].mean == pytest.approx(0.15)
    assert found['motion'].seeds == 2


def test_score_by_hand(tmp_path):
    write(
        tmp_path,
        result('vit', 'motion', [0.75, 1.0], chance=0.5),
        result('vit', 'camera', [0.625, 0.25, 0.9], chance=0.25),
    )
    vit = read_results(tmp_path)['models']['vit']
    assert scores(vit, ['motion', 'camera']) == {0: 0.5, 1: 0.5}
    assert scores(vit, ['motion', 'counting']) == {}


@pytest.mark.parametrize(
    ('found', 'sentence'),
    [
        (
            Estimate(0.031, 0.012, 0.05, 0.001, 5, claimed=True),
            '`masked` is better than `videomamba` on motion by 3.1 points [1.2, 5.0].',
        ),
        (
            Estimate(-0.031, -0.05, -0.012, 0.001, 5, claimed=True),
            '`masked` is worse than `videomamba` on motion by 3.1 points [1.2, 5.0].',
        ),
        (
            Estimate(0.01, -0.01, 0.03, 0.3, 5),
            'No difference between `masked` and `videomamba` could be shown on motion: '
            '+1.0 points [-1.0, +3.0].',
        ),
        (
            Estimate(0.31, 0.30, 0.32, 0.001, 4),
            '`masked` cannot be compared with `videomamba` on motion yet: '
            '4 of 5 seeds.',
        ),
    ],
)
def test_sentences_are_chosen_by_intervals(found, sentence):
    assert verdict(('videomamba', 'masked'), 'motion', found) == sentence


def test_complete_page(text):
    assert '${' not in text
    ranking = re.findall(r'^\| (\d+) \| `([\w-]+)`', text, flags=re.MULTILINE)
    assert ranking[:3] == [('1', 'videomambapro'), ('2', 'masked'), ('3', 'vit')]
    assert '`videomambapro` is better than `videomamba` in score' in text
    assert '`pro-raw` is worse than `videomambapro` in score' in text
    assert cells(text, '| `masked` from')[1].startswith('**+')
    for task in TASKS:
        assert text.count(task) > 5
    assert cells(text, '| all |')[3] == str(5 * (10 * len(TASKS) + 4))
    assert '**+' in cells(text, '| probe')[-1]


def test_contestants_are_described_by_their_files(full, tmp_path, monkeypatch):
    monkeypatch.setattr('sections.CONTESTANTS', tmp_path)
    (tmp_path / 'masked.py').write_text('# VideoMamba | masked\nmodel = 0\n')
    complete = page(full)
    assert cells(complete, '| 2 |')[-1] == 'VideoMamba &#124; masked'
    assert cells(complete, '| 3 |')[-1] == 'vit'
    assert 'not complete' not in complete
    assert '### Incomplete' not in complete

    (tmp_path / 'timesformer.py').touch()
    incomplete = page(full)
    assert 'not complete' in incomplete
    assert 'Without results: `timesformer`.' in incomplete


def test_who_has_two_seeds_is_not_ranked(tmp_path):
    for task in TASKS:
        write(
            tmp_path, result('masked', task, [0.7] * 3), result('vit', task, [0.9] * 2)
        )
    found = page(tmp_path)
    assert cells(found, '| 1 |')[1] == '`masked`'
    assert '\n| 2 |' not in found
    assert f'| `vit` | {len(TASKS)} of {len(TASKS)} | 2 |' in found


def test_times_to_target(tmp_path):
    """A curve from 0.5 to 1 in 10 rows is at 0.9 after the eighth, of 20 seconds."""
    write(tmp_path, result('vit', 'motion', [1.0, 1.0, 0.7]))
    write(tmp_path, result('masked', 'motion', [1.0, 0.7, 0.7]))
    found = page(tmp_path).partition('Accuracy against time')[2]
    seconds, arrived = cells(found, '| `vit`')[1].split(' ', 1)
    assert 16 <= float(seconds) <= 16.8
    assert arrived == '(2 of 3)'
    assert cells(found, '| `masked`')[1] == '- (1 of 3)'


def test_partial_results_are_called_so(tmp_path):
    """Two of the tasks, other numbers of seeds: listed, compared, not ranked."""
    first, second = list(TASKS)[:2]
    write(tmp_path, result('videomamba', first, [0.7] * 5))
    write(tmp_path, result('videomamba', second, [0.7] * 2))
    write(tmp_path, result('masked', first, [0.8, 0.8, 0.81]))
    found = page(tmp_path)
    assert 'of 10 entries so far, 0 of 2 models have all' in found
    assert 'Nobody has all tasks with 3 seeds yet.' in found
    assert f'| `videomamba` | 2 of {len(TASKS)} | 2 to 5 |' in found
    assert f'| `masked` | 1 of {len(TASKS)} | 3 |' in found
    assert cells(found, '| `videomamba` | 70.0')[2] == '70.0 ± 0.0 (2)'
    assert 'cannot be compared with `videomamba` in score yet: 0 of 5 seeds' in found
    difference = cells(found, '| `masked` from')[1]
    assert difference.startswith('+10.3<br>[')  # an interval, but no claim
    for missing in ('## Controls', '## Pre-training', '## Variants', 'lab-recall.png'):
        assert missing not in found


def test_controls_and_failures(tmp_path):
    """A frame that gives the answer away, and a task that nobody learns."""
    first, second = list(TASKS)[:2]
    noise = [0.01, -0.01, 0.0, 0.02, -0.02]
    for task, seen in (first, 0.5), (second, 0.8):
        values = [seen + each for each in noise]
        write(tmp_path, result('one-frame', task, values, track='controls'))
    write(tmp_path, result('vit', first, [0.53, 0.49, 0.51]))
    write(tmp_path, result('vit', second, [0.9, 0.91, 0.89]))
    found = page(tmp_path)
    controls = found.partition('## Controls')[2]
    assert cells(controls, f'| {first} ')[-1] == 'yes'
    assert cells(controls, f'| {second} ')[-1] == '**no**: +30.0 points'
    assert f'No contestant is reliably above chance on {first}.' in found
    assert f'| `vit` | 1 of 2 | {first} (best seed 53.0) |' in found


def test_tool_writes_and_checks(run, tmp_path):
    results, out = tmp_path / 'results', tmp_path / 'docs'
    fake_results(results, seeds=3)
    options = '--results', results, '--out', out
    assert run(*options, '--check').returncode == 1
    assert not out.exists()
    process = run(*options)
    assert (process.returncode, process.stderr) == (0, '')
    written = (out / 'lab.md').read_text()
    assert written == page(results)
    pictures = re.findall(r'\]\((lab-\w+\.png)\)', written)
    assert len(pictures) == 4
    for picture in pictures:
        assert 5_000 < (out / picture).stat().st_size < 80_000
    assert run(*options, '--check').returncode == 0

    path = results / 'masked' / f'{next(iter(TASKS))}.json'
    content = json.loads(path.read_text())
    content['entries']['0']['accuracy'] -= 0.05
    path.write_text(json.dumps(content))
    process = run(*options, '--check')
    assert process.returncode == 1
    assert f'{out}/lab.md is not what {results} gives' in process.stderr
    assert process.stderr.count('\n') == 1


def test_order_of_files_does_not_matter(full, text, tmp_path):
    for path in sorted(full.glob('*/*.json'), reverse=True):
        content = json.loads(path.read_text())
        content['entries'] = dict(reversed(content['entries'].items()))
        write(tmp_path, content)
    assert page(tmp_path) == text


NAN, HOSTILE = float('nan'), '|<b>\n# x'


@pytest.mark.parametrize(
    ('place', 'value', 'message'),
    [
        ('', None, 'the content is not a mapping'),
        ('chance', ..., 'chance is missing'),
        ('chance', NAN, 'chance is nan, not a number from 0 to 0.999'),
        ('contestant', HOSTILE, 'contestant is'),
        ('contestant', 'masked', "contestant is not 'vit', as the path says"),
        ('task', 'chess', "task is not 'motion', as the path says"),
        ('track', 'other', "track is 'other'"),
        ('steps', '600', "steps is '600', not a number"),
        ('entries', [], 'entries is not a mapping'),
        ('entries.0', 1, 'entries.0 is not a mapping'),
        ('entries.x', {}, 'entries.x does not match'),
        ('entries.0.accuracy', 97.1, 'entries.0.accuracy is 97.1'),
        ('entries.0.accuracy', True, 'entries.0.accuracy is True'),
        ('entries.0.curve', [[60, 0.5]], 'entries.0.curve is not a list of'),
        ('entries.0.positions', {HOSTILE: 0.5}, 'is not a plain name'),
        ('entries.0.made', ..., 'entries.0.made is missing'),
        ('entries.0.made.date', 'today', "entries.0.made.date is 'today'"),
    ],
)
def test_wrong_results_are_refused(place, value, message, tmp_path):
    content = result('vit', 'motion', [0.8])
    *folders, key = place.split('.')
    where = content
    for name in folders:
        where = where[name]
    if not place:
        content = value
    elif value is ...:
        del where[key]
    else:
        where[key] = value
    path = tmp_path / 'vit' / 'motion.json'
    path.parent.mkdir()
    path.write_text(json.dumps(content))
    with pytest.raises(ResultsError) as error:
        read_results(tmp_path)
    assert str(error.value).startswith(f'{path}: ')
    assert message in str(error.value)
    assert error.value.exit_code == 1


def test_broken_files_and_empty_folders(run, tmp_path):
    path = tmp_path / 'vit' / 'motion.json'
    with pytest.raises(ResultsError, match='has no results'):
        read_results(tmp_path)
    write(tmp_path, result('vit', 'motion', [0.8]))
    path.write_text(path.read_text()[:100])
    process = run('--results', tmp_path, '--out', tmp_path)
    assert process.returncode == 1
    assert f'{path} is not JSON' in process.stderr
    assert process.stderr.count('\n') == 1


def test_other_budgets_are_not_compared(tmp_path):
    write(tmp_path, result('vit', 'motion', [0.8]))
    write(tmp_path, result('masked', 'motion', [0.8], clips=38400))
    with pytest.raises(ResultsError, match=r'clips is 19200, but 38400 in .*masked'):
        read_results(tmp_path)


def test_names_of_machines_are_text(tmp_path):
    content = result('vit', 'motion', [0.8])
    content['entries']['0']['made']['machine'] = 'a | b <script> `c` [d](e)'
    write(tmp_path, content)
    machines = page(tmp_path).partition('## Machines')[2]
    assert not set('<`[') & set(machines)
    rows = [line for line in machines.splitlines() if line]
    assert {row.count('|') for row in rows} == {6}


def test_the_page_is_what_the_results_give():
    assert (ROOT / 'docs' / 'lab.md').read_text() == page(LAB / 'results')


def test_the_readme_says_what_the_intervals_say():
    """Its sentence has no numbers, but it could still be wrong."""
    models = read_results(LAB / 'results')['models']
    pairs = [('videomamba', 'residual'), ('videomamba', 'masked')]
    residual, mask = compare_all(models, pairs).values()
    claimed = {name for name, each in residual.items() if each.claimed}
    assert claimed == {SCORE, 'recall-4', 'recall-16'}
    assert all(residual[name].mean > 0 for name in claimed)
    assert not any(each.claimed for each in mask.values())
    for page in ('README.md', 'README_zh-CN.md'):
        assert 'docs/lab.md' in (ROOT / page).read_text()
