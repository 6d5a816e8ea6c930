"""Turn a folder with one folder of videos per class into lists and a config."""

from __future__ import annotations

import os
import os.path as osp
import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from ..errors import UsageError
from ..files import is_empty, making_folder, replacing
from .classes import classes_text
from .lists import ListError, Row, row_line
from .media import VIDEOS, are_splits, find_files, folders_in, split_of
from .own_config import own_config
from .rows import quote


class Plan(NamedTuple):
    """The split of each video.

    Attributes:
        classes (list[str]): Names in label order.
        rows (dict[str, list[Row]]): Rows of ``'train'``, ``'val'`` and, if there is
            one, ``'test'``; paths are relative to the source.
        left_out (dict[str, list[str]]): Other files, by kind.
        notes (list[str]): Further remarks, as sentences.
    """

    classes: list[str]
    rows: dict[str, list[Row]]
    left_out: dict[str, list[str]]
    notes: list[str]


def plan_folder(
    source: str,
    val_share: float = 0.2,
    seed: int = 0,
    group: str | None = None,
    without: frozenset[str] = frozenset(),
) -> Plan:
    """Decide which videos of a folder are for training, validation and test.

    If the folder or its class folders are already divided, for example into ``train``
    and ``val``, that is kept. If there is a test split but no validation split, the
    latter is chosen from the training videos. Hidden files and folders without videos
    are left out.

    Args:
        source (str): The folder.
        val_share (float): Share of each class for validation, at least one video.
            Defaults to 0.2.
        seed (int): Seed of that choice. Defaults to 0.
        group (str, optional): Regular expression for what the paths of one recording
            have in common: the text of its groups, or else the whole match. Videos
            where this is equal stay in one split. Defaults to None.
        without (frozenset[str]): Videos to leave out. Defaults to none.

    Raises:
        ListError: If classes have too few videos, differ between splits, or cannot be
            divided; if folders could be both splits and classes.
        OSError: If a folder cannot be read.
    """
    files, left_out = find_files(source, VIDEOS)
    broken = [path for path in files if path in without]
    outside = [path for path in files if os.sep not in path and path not in without]
    left_out = {
        **left_out,
        **({'broken': broken} if broken else {}),
        **({'outside of the class folders': outside} if outside else {}),
    }
    files = [path for path in files if os.sep in path and path not in without]
    splits = _splits(source, files)
    if 'train' not in splits:
        raise ListError.of(source, 'it has no folders of videos, one per class')
    classes = sorted(splits['train'])
    notes = _empty_folders(source, files)
    notes += _compare_classes(source, splits)
    if len(classes) < 2:
        raise ListError.of(
            source,
            f'only one folder has videos, {classes[0]!r}, but there must be one per '
            'class and at least two classes',
        )
    keys = None if group is None else _groups(source, files, group)
    if 'val' not in splits:
        if 'test' in splits:
            notes.append('There is no validation split: one is taken from train.')
        splits['val'] = _choose_val(source, splits['train'], val_share, seed, keys)
        for name, chosen in splits['val'].items():
            splits['train'][name] = sorted(set(splits['train'][name]) - set(chosen))
    if keys is not None:
        _check_groups(source, splits, keys)
    rows = {
        split: [
            Row(path, (label,))
            for label, name in enumerate(classes)
            for path in sorted(splits[split].get(name, ()))
        ]
        for split in ('train', 'val', 'test')
        if split in splits
    }
    return Plan(classes, rows, left_out, notes)


def write_lists(
    plan: Plan, source: str, destination: str, config: str | None = None
) -> None:
    """Write the lists of a plan, ``classes.txt`` and ``config.py``.

    Args:
        plan (Plan): From :func:`plan_folder`.
        source (str): The folder that was planned.
        destination (str): A folder that does not exist yet or is empty.
        config (str, optional): Config that ``config.py`` inherits from.
            Defaults to None (no ``config.py``).

    Raises:
        UsageError: If the config does not read videos with labels, or the destination
            holds something.
        OSError: If it cannot be written.
    """
    refuse_full(destination)
    files = {
        f'{split}.txt': ''.join(f'{row_line(row)}\n' for row in rows)
        for split, rows in plan.rows.items()
    }
    files['classes.txt'] = classes_text(plan.classes)
    if config is not None:
        test = 'test.txt' if 'test' in plan.rows else 'val.txt'
        files['config.py'] = own_config(config, source, destination, plan.classes, test)
    with making_folder(destination) as folder:
        for name, text in files.items():
            with replacing(osp.join(folder, name)) as file:
                file.write(text)


def refuse_full(folder: str) -> None:
    """Make sure that a folder is new or empty.

    Raises:
        UsageError: If it is not empty.
    """
    if osp.isdir(folder) and not is_empty(folder):
        raise UsageError(f'{folder} is not empty: choose another folder')


def _splits(source, files):
    """Group videos by split and class; all are ``'train'`` if there are no splits."""
    places = [path.split(os.sep) for path in files]
    outer = {place[0]: split_of(place[0]) for place in places}
    inner = {x[1]: split_of(x[1]) for x in places if len(x) > 2}
    if _check_splits(source, outer):
        places = [[x[0], *x[1:]] for x in places]
    elif any(
        are_splits({split_of(x[1]) for x in places if x[0] == name and len(x) > 2})
        for name in outer
    ):
        _check_splits(source, inner)
        places = [[x[1], x[0], *x[2:]] if len(x) > 2 else [*x] for x in places]
    else:
        places = [['train', *x] for x in places]
    splits = defaultdict(lambda: defaultdict(list))
    for place, path in zip(places, files):
        split = split_of(place[0])
        if split is None or len(place) < 3:
            raise ListError.of(
                source,
                f'it is divided into splits, but {path!r} is not in a folder for one '
                'class and one split, such as train/CLASS/video.mp4',
            )
        splits[split][place[1]].append(path)
    return {split: dict(found) for split, found in splits.items()}


def _check_splits(source, names: Mapping[str, str | None]) -> bool:
    """Whether the names of folders are splits and not classes."""
    found = defaultdict(list)
    for name, split in names.items():
        found[split].append(name)
    others = found.pop(None, [])
    if not are_splits(found):
        if others or len(names) < 2:
            return False
        raise ListError.of(
            source,
            f'{_join(names)} look like splits, but train and one of val and test are '
            'needed; rename them if they are classes',
        )
    twice = [x for x in found.values() if len(x) > 1]
    if others or twice:
        raise ListError.of(
            source,
            f'it has the splits {_join(x[0] for x in found.values())}, but also '
            f'{_join(others or twice[0][1:])}: move these elsewhere',
        )
    return True


def _empty_folders(source, files):
    """A note on folders that are in the place of classes but have no videos."""
    used = {path.split(os.sep)[0] for path in files}
    empty = [name for name in folders_in(source) if name not in used]
    for name in used:
        if split_of(name):
            inside = {x.split(os.sep)[1] for x in files if x.startswith(name + os.sep)}
            folders = folders_in(osp.join(source, name))
            empty += [osp.join(name, x) for x in folders if x not in inside]
    few = ', '.join(map(quote, empty[:10])) + (' ...' if len(empty) > 10 else '')
    return [f'Folders without videos are not classes: {few}.'] if empty else []


def _compare_classes(source, splits):
    """Notes on classes that other splits lack; refuses classes that train lacks."""
    train, notes, wrong = set(splits['train']), [], []
    for split in sorted(set(splits) - {'train'}, reverse=True):
        lacking = sorted(train - set(splits[split]))
        unknown = sorted(set(splits[split]) - train)
        if lacking:
            notes.append(f'Classes without videos in {split}: {_join(lacking)}.')
        if unknown:
            wrong.append(f'train lacks {_join(unknown)} of {split}')
            wrong += [f'{split} lacks {_join(lacking)} of train'] * bool(lacking)
    if wrong:
        raise ListError.of(source, f'the classes differ: {", ".join(wrong)}')
    return notes


def _groups(source, files, group):
    """The group of each video: what it shares with others of the same recording."""
    try:
        pattern = re.compile(group)
    except (re.error, RecursionError, OverflowError) as error:
        raise ListError.of(
            source, f'{group!r} is not a regular expression: {error}'
        ) from error
    keys = {}
    for path in files:
        match = pattern.search(path)
        found = match and (match.groups() if pattern.groups else (match[0],))
        if not found or not any(found):
            raise ListError.of(source, f'{group!r} finds no group in {path!r}')
        keys[path] = found
    return keys


def _choose_val(source, videos, share, seed, keys):
    """Choose each class's videos for validation."""
    few = [name for name, paths in videos.items() if len(paths) < 2]
    if few:
        raise ListError.of(
            source,
            f'only one video in {_join(sorted(few))}, but a class needs two, one for '
            'training and one for validation',
        )
    wanted = {
        name: min(max(1, round(share * len(paths))), len(paths) - 1)
        for name, paths in videos.items()
    }
    if keys is not None:
        return _choose_groups(source, videos, wanted, seed, keys)
    chosen = {}
    for name, paths in videos.items():
        paths = sorted(paths)
        random.Random(os.fsencode(f'{seed} {name}')).shuffle(paths)
        chosen[name] = paths[: wanted[name]]
    return chosen


def _choose_groups(source, videos, wanted, seed, keys):
    """Choose whole groups, at least one per class, close to the wanted counts."""
    groups, val = defaultdict(Counter), Counter()
    for name, paths in videos.items():
        for path in paths:
            groups[keys[path]][name] += 1
    order = sorted(groups, key=str)
    random.Random(seed).shuffle(order)
    chosen = set()

    def fits(key):
        counts = groups[key].items()
        return key not in chosen and all(
            val[name] + n < len(videos[name]) for name, n in counts
        )

    def gain(key):
        return sum(
            abs(wanted[name] - val[name]) - abs(wanted[name] - val[name] - n)
            for name, n in groups[key].items()
        )

    def choose(key):
        chosen.add(key)
        val.update(groups[key])

    number = Counter(name for counts in groups.values() for name in counts)
    for name in sorted(videos, key=lambda x: (number[x], x)):
        options = [key for key in order if name in groups[key] and fits(key)]
        if not val[name] and not options:
            raise ListError.of(
                source,
                f'its groups cannot be divided so that class {name!r}, which has '
                f'{number[name]} of them, is in both train and val',
            )
        if not val[name]:
            choose(max(options, key=gain))
    for key in order:
        if fits(key) and gain(key) > 0:
            choose(key)
    return {
        name: [path for path in paths if keys[path] in chosen]
        for name, paths in videos.items()
    }


def _check_groups(source, splits, keys):
    where = {}
    for split, videos in splits.items():
        for path in (path for paths in videos.values() for path in paths):
            first = where.setdefault(keys[path], split)
            if first != split:
                name = ' '.join(x or '' for x in keys[path])
                raise ListError.of(
                    source, f'group {name!r} is in both {first} and {split}'
                )


def _join(names):
    names = [repr(name) for name in names]
    return ', '.join(names[:10]) + (' ...' if len(names) > 10 else '')
