"""Change YAML files at random: each gives values or one sentence, and none runs.

For longer than in the suite: python -m tests.fuzz.yaml_files --minutes 20 --seed 1
"""

from __future__ import annotations

import json
import os
import random
import resource
from collections import Counter
from pathlib import Path

import mmaction_videomambapro  # noqa: F401  mends
from mmaction_videomambapro.apis.submit import read_batch
from mmaction_videomambapro.apis.vjepa_yaml import write_config
from mmaction_videomambapro.errors import UsageError
from mmaction_videomambapro.zoo.metafiles import Zoo
from tests.apis.test_vjepa_yaml import PRETRAINING, VIDEO_PROBE
from tests.conftest import ROOT
from tests.fuzz.harness import main_in_folder

RUNS = '__import__("os").mkdir("ran")'
PIECES = [
    *(json.dumps(f'{{{{$X:{x}}}}}') for x in (RUNS, f"'+{RUNS}+'", f'\\n{RUNS}')),
    '1', '2', '16', '0.5', '1000000', 'true', 'false', 'null', '[1, 2]', '[0.1, 0.2]',
    '!!python/object/apply:os.mkdir [ran]', '!!python/tuple [1]', '!x', '!!int',
    '&a', '*a', '<<: *a', '&a [*a, *a]', '? ', '---', '...', '%YAML 2.0', '|', '>-',
    '9' * 5000, '0x' + 'f' * 5000, '1:' * 900 + '1', '[' * 500, '{a: ' * 500,
    '- ' * 500, '.inf', '-.inf', '.nan', '1.0e+400', '1e-3', '-1', '0', '~', 'yes',
    '0b_', '99999999', '2024-13-45', '2024-01-01T99:99:99', '!!set', '#', ':', ', ',
    '"\\ud800"', '"\\UFFFFFFFF"', '"\\0"', "'", '"', '[]', '{}', '""', '\n',
    '\t', '\r', '\0', '\x85', '\ufeff', '\u2028',
]  # fmt: skip
BOMB = 'z: &b0 [x, x, x, x, x, x, x, x, x]\n' + ''.join(
    f'z{i}: &b{i} [{", ".join([f"*b{i - 1}"] * 9)}]\n' for i in range(1, 9)
)


def _zoo(folder: Path) -> None:
    zoo = Zoo('.')
    dict(zoo.references)
    zoo.tables()


DOORS = {
    'experiment.yaml': lambda folder: write_config(
        'experiment.yaml', 'config.py', str(ROOT / 'configs/_base_/default_runtime.py')
    ),
    'batch.yml': lambda folder: read_batch('batch.yml'),
    'model-index.yml': _zoo,
    'metafile.yml': _zoo,
    'published.yml': _zoo,
}


def _sources() -> dict[str, list[str]]:
    """Texts to change, by name."""
    folder = ROOT / 'configs/recognition/videomamba'
    entries = (folder / 'metafile.yml').read_text().split('\n- Name:')[:4]
    rows = (folder / 'published.yml').read_text().splitlines(keepends=True)[:40]
    return {
        'experiment.yaml': [PRETRAINING, VIDEO_PROBE],
        'batch.yml': ['- a.py\n- b.py\n'],
        'model-index.yml': ['Import:\n- metafile.yml\n'],
        'metafile.yml': ['\n- Name:'.join(entries) + '\n'],
        'published.yml': [''.join(rows)],
    }


def _changed(text: str, rng: random.Random) -> bytes:
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        lines = text.split('\n')
        at, i = rng.randrange(len(text) + 1), rng.randrange(len(lines))
        kind = rng.randrange(9)
        if kind in (0, 7, 8):  # another value
            key, colon, _ = lines[i].partition(': ')
            lines[i] = f'{key}{colon}{rng.choice(PIECES)}'
        elif kind == 1:
            lines.insert(rng.randrange(len(lines)), lines[i])
        elif kind == 2:
            del lines[i]
        elif kind == 3:
            lines.insert(0, BOMB)
            lines[i] += ' *b8'
        elif kind == 4:
            lines[i] = f'  {lines[i]}'
        text = '\n'.join(lines)
        if kind == 5:
            text = f'{text[:at]}{rng.choice(PIECES)}{text[at:]}'
        elif kind == 6:
            text = text[:at]
    data = bytearray(text.encode('utf-8', 'surrogatepass'))
    if data and rng.random() < 0.1:
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def fuzz(rng: random.Random, goes_on) -> Counter:
    """Try files in an empty working directory.

    Args:
        rng (Random): Decides what is tried.
        goes_on (Callable): Takes the number of the next file.

    Returns:
        Counter: How many were read, and refused, by name.

    Raises:
        AssertionError: If one does anything else; the file is left there.
    """
    sources, counts = _sources(), Counter()
    for name, texts in sources.items():
        Path(name).write_text(texts[0])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while goes_on(sum(counts.values())):
        name = rng.choice(list(sources))
        Path(name).write_bytes(_changed(rng.choice(sources[name]), rng))
        try:
            DOORS[name](Path())
            end = 'read'
        except (UsageError, OSError):  # one line of a tool, both
            end = 'refused'
        except BaseException as error:
            raise AssertionError(f'{os.path.abspath(name)}: {error!r}') from error
        counts[f'{name} {end}'] += 1
        extra = {*os.listdir()} - {*sources, 'config.py'}
        assert not extra, f'{os.path.abspath(name)} made {extra}'
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert used < 300_000, f'{os.path.abspath(name)} took {used} kB'
        Path(name).write_text(sources[name][0])
    return counts


if __name__ == '__main__':
    main_in_folder(fuzz, __doc__)
