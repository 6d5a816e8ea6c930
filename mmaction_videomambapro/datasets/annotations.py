"""Official annotation files of datasets, read unchanged.

============  ===========================================================
``kinetics``  CSV with the columns ``label``, ``youtube_id``,
              ``time_start`` and ``time_end``, or the JSON files
``ssv2``      JSON of Something-Something V2, or ``id;label`` lines
``ucf101``    ``trainlist01.txt``, ``testlist01.txt``
``hmdb51``    a folder of ``CLASS_test_split1.txt`` files, or one of these
``table``     CSV with a header such as ``path,label``
============  ===========================================================
"""

from __future__ import annotations

import csv
import json
import os
import os.path as osp
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .classes import label_numbers
from .media import MEDIA, split_of
from .rows import BadLine, ListError, Row, open_text

FORMATS = 'kinetics', 'ssv2', 'ucf101', 'hmdb51', 'table'

_HEAD = 1 << 16  # characters of a file that are read to detect its format
_NUMBER = re.compile('[0-9]{1,9}')
_UCF101 = re.compile(r'(?:.*/)?([^/\s]+)/v_\1_g\d\d_c\d\d\.avi', re.IGNORECASE)
_HMDB51 = re.compile(r'(.+)_test_split([1-9])\.txt')
_FLAGGED = re.compile(r'([^/]+\.avi) +([012])', re.IGNORECASE)
_SSV2 = re.compile(r'([0-9]+);(.*\S)')
_SSV2_CLASSES = 'something-something-v2-labels.json', 'labels.json'

# Names of columns, in order of preference
_PATHS = (
    *('path', 'video_path', 'file_path', 'filepath', 'filename', 'file_name', 'file'),
    *('clip_path', 'image_path', 'frame_folder_path', 'frame_dir', 'video', 'videos'),
    *('clip', 'image', 'video_name', 'clip_name', 'folder', 'name'),
)
_LABELS = (
    *('label_id', 'class_id', 'label_idx', 'class_idx', 'class_index', 'label_index'),
    *('target', 'label', 'labels', 'class', 'category', 'action', 'class_name'),
    *('label_name', 'action_name'),
)
_FRAMES = 'total_frames', 'num_frames', 'n_frames', 'frame_count', 'frames'
_SUBSETS = 'split', 'subset', 'partition', 'set'
_PARTS = {
    *('start', 'end', 'start_time', 'end_time', 'time_start', 'time_end', 'segment'),
    *('start_frame', 'end_frame', 'frame_start', 'frame_end', 'clip_start', 'clip_end'),
}  # of a video


class Sample(NamedTuple):
    """A sample as an annotation file describes it.

    Attributes:
        line (int): Number of the line or entry, counted on across several files.
        path (str): Path of the video, image or folder.
        label (int | str, optional): A number, or the name of the class.
        subset (str, optional): Such as ``'train'``.
        frames (int, optional): Number of frames of a folder of frames.
        number (int, optional): The label if the class names are not known.
    """

    line: int
    path: str
    label: int | str | None
    subset: str | None = None
    frames: int | None = None
    number: int | None = None


def find_official(path: str) -> str | None:
    """The format of an official file, or None if that is not certain.

    Raises:
        OSError: If the file cannot be read.
    """
    if osp.isdir(path):
        return 'hmdb51' if _hmdb51_files(path, None) else None
    try:
        with open_text(path) as file:
            head = file.read(_HEAD)
    except ListError:
        return None  # reported where lines are read
    if re.match(r'\s*\[\s*\{\s*"', head):
        return 'ssv2'
    if re.match(r'\s*\{\s*"[^"]*"\s*:\s*\{', head):
        return 'kinetics'
    lines = [x.strip() for x in head.split('\n')[: None if len(head) < _HEAD else -1]]
    lines = [x for x in lines if x and not x.startswith('#')]
    if not lines:
        return None
    if _HMDB51.fullmatch(osp.basename(path)) and all(map(_FLAGGED.fullmatch, lines)):
        return 'hmdb51'
    columns, _ = _header(lines[0])
    if columns:
        return 'kinetics' if 'youtube_id' in columns else 'table'
    if _is_ucf101(path, lines):
        return 'ucf101'
    if all(map(_SSV2.fullmatch, lines)) and _beside(path, _SSV2_CLASSES):
        return 'ssv2'
    return None


def read_official(
    path: str,
    form: str,
    classes: str | os.PathLike | Sequence[str] | None = None,
    subset: str | None = None,
    fold: int = 1,
) -> Iterator[Row | BadLine]:
    """Read an official file row by row.

    Args:
        path (str): The file.
        form (str): One of FORMATS.
        classes (str | PathLike | Sequence[str], optional): Class names in label order,
            or a file of them. Defaults to None (a file next to the list, such as
            ``classInd.txt``, if there is one).
        subset (str, optional): Read only the rows of this split, such as ``'train'``.
            Defaults to None (all rows).
        fold (int): Fold of HMDB51, 1 to 3. Defaults to 1.

    Yields:
        Row | BadLine: One for each entry.

    Raises:
        ListError: If the file or its class names cannot be used at all.
    """
    if classes is None:
        classes = _classes_beside(path, form, fold)
    numbers = {} if classes is None else label_numbers(classes)
    wanted, first = subset and _subset(subset), None
    for item in _READERS[form](path, fold):
        if isinstance(item, BadLine):
            yield item
            continue
        first = first or item.subset
        if wanted is None and item.subset not in (None, first):
            raise ListError.of(
                path,
                f'it has rows of {first!r} and of {item.subset!r}: choose one with '
                f'--subset, or with subset={first!r} in the dataset',
            )
        if wanted is not None and item.subset is None:
            raise ListError.of(path, f'it does not say which rows are in {subset!r}')
        if wanted in (None, item.subset):
            yield _row(path, item, numbers)


def class_names(path: str, form: str | None = None) -> list[str]:
    """The class names in an official file, in alphabetical order.

    Args:
        path (str): The file.
        form (str, optional): One of FORMATS. Defaults to None (detected).

    Raises:
        ListError: If the labels are numbers.
        OSError: If the file cannot be read.
    """
    form = form or find_official(path)
    items = _READERS[form](path, 1) if form else ()
    names = {x.label for x in items if isinstance(x, Sample)}
    names = {name for name in names if isinstance(name, str)}
    if not names:
        raise ListError.of(path, 'its labels are not class names')
    return sorted(names)


def _row(path, sample, numbers):
    label = sample.label
    if isinstance(label, str) and sample.number is not None and not numbers:
        label = sample.number
    if isinstance(label, str):
        if not numbers:
            raise ListError.of(
                path,
                f'its labels are class names, such as {label!r}: pass a file with all '
                "class names by --classes, or by metainfo=dict(classes='FILE') of the "
                'dataset; convert_list.py --make-classes writes such a file',
            )
        if label not in numbers:
            reason = f'{label!r} is not a known class name'
            return BadLine(path, sample.line, sample.path, reason)
        label = numbers[label]
    try:
        os.fsencode(sample.path)
    except UnicodeEncodeError:
        return BadLine(path, sample.line, sample.path, 'this cannot name a file')
    labels = () if label is None else (label,)
    return Row(sample.path, labels, sample.frames, sample.line)


def _subset(name):
    return split_of(name) or name.strip().lower()


def _beside(path, names):
    """The first of these names that exists next to a file, or None."""
    found = [osp.join(osp.dirname(path), name) for name in names]
    return next(filter(osp.isfile, found), None)


def _classes_beside(path, form, fold):
    if form == 'ucf101':
        return _beside(path, ('classInd.txt',))
    if form == 'ssv2':
        return _beside(path, _SSV2_CLASSES)
    if form == 'hmdb51':
        folder, number = path, fold
        if not osp.isdir(path):
            folder = osp.dirname(path) or '.'
            number = int(_hmdb51_name(path)[2])
        return [name for name, _ in _hmdb51_files(folder, number)]
    return None


def _header(line):
    """Names of columns and their delimiter; no names if it is not a header."""
    for delimiter in ',;\t ':
        names = [x.strip('"\'\t ').lower() for x in line.split(delimiter)]
        if any(_NUMBER.fullmatch(x) or MEDIA.search(x) for x in names):
            continue
        if {'youtube_id', 'time_start', 'time_end'} <= set(names):
            return names, delimiter
        if _column(names, _PATHS) is not None and _column(names, _LABELS) is not None:
            return names, delimiter
    return [], ','


def _column(names, known):
    return next((names.index(x) for x in known if x in names), None)


def _table(path, _):
    number = 0

    def rows(file):
        nonlocal number
        for line in file:
            number += 1
            if line.strip() and not line.startswith('#'):
                yield line

    with open_text(path, newline='') as file:
        lines = rows(file)
        names, delimiter = _header(next(lines, '').strip())
        if not names:
            raise ListError.of(path, 'its first line does not name columns')
        parts = [] if 'youtube_id' in names else sorted(_PARTS & set(names))
        if parts:
            reason = 'but only whole videos can be read: cut the videos first'
            raise ListError.of(path, f'it has a column {parts[0]!r}, {reason}')
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        columns = [_column(names, x) for x in (_PATHS, _LABELS, _FRAMES, _SUBSETS)]
        try:
            for fields in reader:
                yield _table_row(path, number, fields, names, columns)
        except csv.Error as error:
            yield BadLine(path, number, '', f'line {number} is not valid CSV: {error}')


def _table_row(path, number, fields, names, columns):
    text = ','.join(fields)
    if len(fields) != len(names):
        reason = f'{len(fields)} columns, but the first line names {len(names)}'
        return BadLine(path, number, text, reason)
    name, label, frames, subset = (None if x is None else fields[x] for x in columns)
    label = label and label.strip()
    if 'youtube_id' in names:
        times = [fields[names.index(x)] for x in ('time_start', 'time_end')]
        name = _kinetics_name(fields[names.index('youtube_id')].strip(), times)
    if not name or '\0' in name:
        return BadLine(path, number, text, 'the path is missing')
    if frames is not None and not re.fullmatch('0*[1-9][0-9]{,8}', frames.strip()):
        return BadLine(path, number, text, f'{frames!r} is not a number of frames')
    if label is not None and _NUMBER.fullmatch(label) and 'youtube_id' not in names:
        label = int(label)
    elif label == '':
        return BadLine(path, number, text, 'the label is missing')
    in_folder = frames is not None and not MEDIA.search(name)
    frames = int(frames) if in_folder else None
    return Sample(number, name, label, subset and _subset(subset), frames)


def _kinetics_name(youtube_id, times):
    try:
        start, end = (int(float(x)) for x in times)
    except (ValueError, OverflowError, TypeError):
        return None
    return youtube_id and f'{youtube_id}_{start:06d}_{end:06d}.mp4'


def _load_json(path, kind):
    try:
        with open_text(path) as file:
            content = json.load(file)
    except ListError:
        raise
    except (ValueError, RecursionError) as error:
        raise ListError.of(path, f'the JSON file is damaged ({error})') from error
    if not isinstance(content, kind):
        raise ListError.of(path, 'the JSON file does not have the expected content')
    return content


def _is_json(path):
    with open_text(path) as file:
        return file.read(_HEAD).lstrip()[:1] in ('[', '{')


def _kinetics(path, fold):
    if not _is_json(path):
        yield from _table(path, fold)
        return
    for number, (name, entry) in enumerate(_load_json(path, dict).items(), 1):
        annotation = entry.get('annotations') if isinstance(entry, dict) else None
        if not isinstance(annotation, dict):
            yield BadLine(path, number, name, 'it has no annotations')
            continue
        times, label = annotation.get('segment'), annotation.get('label')
        video = _kinetics_name(name, times if isinstance(times, list) else ())
        if video is None or not isinstance(label, str | None):
            yield BadLine(path, number, name, 'it has no segment of two times')
            continue
        subset = entry.get('subset')
        yield Sample(number, video, label, subset and _subset(str(subset)))


def _ssv2(path, _):
    if _is_json(path):
        for number, entry in enumerate(_load_json(path, list), 1):
            name = entry.get('id') if isinstance(entry, dict) else None
            if not isinstance(name, (str, int)):
                yield BadLine(path, number, str(entry), 'it has no id')
                continue
            label = entry.get('template', entry.get('label'))
            if label is not None:
                label = str(label).replace('[', '').replace(']', '')
            yield Sample(number, f'{name}.webm', label)
        return
    for number, line in _lines(path):
        match = _SSV2.fullmatch(line)
        if match:
            yield Sample(number, f'{match[1]}.webm', match[2])
        else:
            yield BadLine(path, number, line, "expected 'id;label'")


def _lines(path):
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, line.strip()


def _is_ucf101(path, lines):
    """Whether labels count from 1: by file name, by the first class, or no labels."""
    columns = [line.split() for line in lines]
    if not all(x and len(x) <= 2 and _UCF101.fullmatch(x[0]) for x in columns):
        return False
    if any(x[1:] == ['0'] for x in columns):
        return False
    return bool(
        re.fullmatch(r'(train|test)list0[1-3]\.txt', osp.basename(path))
        or all(len(x) == 1 for x in columns)
        or any('ApplyEyeMakeup/' in x[0] and x[1:] == ['1'] for x in columns)
    )


def _ucf101(path, _):
    for number, line in _lines(path):
        name, *label = line.split()
        match = _UCF101.fullmatch(name)
        if not match or not re.fullmatch('([1-9][0-9]{,8})?', ' '.join(label)):
            yield BadLine(path, number, line, "expected 'Class/v_Class_g01_c01.avi 1'")
        else:
            label = int(label[0]) - 1 if label else None
            yield Sample(number, name, match[1], number=label)


def _hmdb51_name(path):
    match = _HMDB51.fullmatch(osp.basename(path))
    if not match:
        raise ListError.of(path, "expected a folder of 'CLASS_test_split1.txt' files")
    return match


def _hmdb51_files(folder, fold):
    """Classes and files of one fold, or of all folds."""
    found = [(_HMDB51.fullmatch(x), x) for x in sorted(os.listdir(folder))]
    return sorted(
        (match[1], osp.join(folder, name))
        for match, name in found
        if match and fold in (None, int(match[2]))
    )


def _hmdb51(path, fold):
    if osp.isdir(path):
        files = _hmdb51_files(path, fold)
        if not files:
            raise ListError.of(path, f'it has no CLASS_test_split{fold}.txt files')
    else:
        files = [(_hmdb51_name(path)[1], path)]
    before = number = 0
    for name, file in files:
        for number, line in _lines(file):
            match = _FLAGGED.fullmatch(line)
            if not match:
                yield BadLine(file, number, line, "expected 'video.avi' and 0, 1 or 2")
            elif match[2] != '0':
                subset = 'train' if match[2] == '1' else 'test'
                yield Sample(before + number, f'{name}/{match[1]}', name, subset)
        before += number


_READERS = dict(
    kinetics=_kinetics, ssv2=_ssv2, ucf101=_ucf101, hmdb51=_hmdb51, table=_table
)
