"""Change lists at random: each gives rows that survive a round trip, or errors.

For longer than in the suite: python -m tests.fuzz.lists --minutes 20 --seed 1
"""

from __future__ import annotations

import gzip
import os
import random
from collections import Counter
from pathlib import Path

from mmaction_videomambapro.datasets.classes import classes_text, read_classes
from mmaction_videomambapro.datasets.lists import (
    FORMATS,
    BadLine,
    ListError,
    parse_list,
    read_list,
    row_line,
)
from tests.fuzz.harness import main_in_folder

SOURCES = {
    'list': [
        'a.mp4 3\nb c.mp4 4\n"d,e.mp4",5\n',
        'v/1 120 5\nv/2 80 0\n',
        'a.jpg,0\nb.png,1\n',
        "$'a\\nb.mp4' 1\n$'\\xff.mp4' 0\n",
        'path,label\na.mp4,pour\nb.mp4,stir\n',
        'label,youtube_id,time_start,time_end,split\npour,aaaaaaaaaaa,1,11,train\n',
        '[{"id": "1", "label": "pour", "template": "[something]"}]',
        '{"aaaaaaaaaaa": {"annotations": {"label": "pour", "segment": [1, 11]}, '
        '"subset": "train"}}',
        '1;pour\n2;stir\n',
    ],
    'trainlist01.txt': ['pour/a.avi 1\nstir/b.avi 2\n'],
    'classInd.txt': ['1 pour\n2 stir\n'],
    'pour_test_split1.txt': ['a.avi 1\nb.avi 2\n'],
    'classes.txt': ["pour\nstir\n$'a\\nb'\n", '["pour", "stir"]', 'id,name\n0,pour\n'],
}
PIECES = [
    *(
        '"',
        "'",
        "$'",
        "\\'",
        '\\x',
        '\\xff',
        '\\',
        '#',
        ' ',
        '\t',
        ',',
        ';',
        '\n',
        '\r',
    ),
    *('\0', '\x85', '\u2028', '\ufeff', '\ud800', '[', '{', ']', '}', ':', '-1', '0'),
    *('1', '9' * 9, '9' * 5000, '1e9', 'nan', '.mp4', '.jpg', 'path', 'label', '../'),
    *('[' * 5000, '{"a":' * 5000, 'x' * 5000, '٣', 'train', 'null', 'true'),
]


def _changed(text: str, rng: random.Random) -> bytes:
    for _ in range(rng.choice([1, 1, 2, 5])):
        lines = text.split('\n')
        at, i = rng.randrange(len(text) + 1), rng.randrange(len(lines))
        kind = rng.randrange(5)
        if kind == 0:
            lines.insert(i, rng.choice(lines))
            text = '\n'.join(lines)
        elif kind == 1:
            text = text[:at]
        elif kind == 2:
            text = text[:at] + text[at + rng.randrange(1, 4) :]
        else:
            text = text[:at] + rng.choice(PIECES) + text[at:]
    data = bytearray(text.encode('utf-8', 'surrogatepass'))
    if data and rng.random() < 0.1:
        data[rng.randrange(len(data))] = rng.randrange(256)
    if rng.random() < 0.05:
        data = bytearray(gzip.compress(data))
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def _try(name: str, rng: random.Random) -> str:
    if name == 'classes.txt':
        names = read_classes(name)
        Path('again').write_text(classes_text(names), 'utf-8')
        assert read_classes('again') == names
        return 'read'
    form = rng.choice(['auto', 'auto', *FORMATS])
    classes = rng.choice([None, ['pour', 'stir'], 'classes.txt'])
    rows, end = [], 'read'
    for item in parse_list(name, form, classes=classes, subset=rng.choice([None, 'x'])):
        if isinstance(item, BadLine):
            assert item.reason
            assert '\n' not in str(item)
            end = 'refused'
        else:
            rows.append(item)
    for row in rows:
        Path('again').write_text(row_line(row) + '\n', 'utf-8')
        kind = 'rawframes' if row.total_frames else 'video' if row.labels else 'vjepa'
        (again,) = read_list('again', kind, ' ')
        assert again == row._replace(line=1, counted=None)
    return end


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
    counts = Counter()
    for name, texts in SOURCES.items():
        Path(name).write_text(texts[0])
    while goes_on(sum(counts.values())):
        name = rng.choice(list(SOURCES))
        Path(name).write_bytes(_changed(rng.choice(SOURCES[name]), rng))
        try:
            end = _try(name if name != 'classInd.txt' else 'trainlist01.txt', rng)
        except ListError:
            end = 'refused'
        except BaseException as error:
            raise AssertionError(f'{os.path.abspath(name)}: {error!r}') from error
        counts[f'{name} {end}'] += 1
        Path(name).write_text(SOURCES[name][0])
    return counts


if __name__ == '__main__':
    main_in_folder(fuzz, __doc__)
