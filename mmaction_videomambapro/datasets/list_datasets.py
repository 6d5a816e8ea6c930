"""Datasets that read the published lists directly and tolerate broken files."""

from __future__ import annotations

import csv
import os
import os.path as osp
from collections.abc import Callable, Sequence
from itertools import islice

import torch
from mmaction.datasets.base import BaseActionDataset
from mmaction.registry import DATASETS
from mmengine.logging import print_log

from ..literals import csv_cell
from .classes import is_published, read_classes
from .lists import BadLine, ListError, Row, read_list, without_prefix
from .media import IMAGES, are_splits, find_files, folders_in, split_of
from .rows import quote
from .sample_files import file_of_info


class BrokenSamples(ListError, RuntimeError):
    """Too many files are broken; the message is one sentence.

    Args:
        text (str): The sentence; PyTorch prepends the traceback of a worker process.
    """

    def __init__(self, text: str) -> None:
        self.bad = []
        last = text.strip().split('\n')[-1]
        Exception.__init__(self, last.split('BrokenSamples: ')[-1])


class ListDataset(BaseActionDataset):
    """Base class of the datasets: reads a list and handles broken files.

    In training, a sample whose file is missing or cannot be decoded is replaced by
    another one. At test time it counts as wrong: it gets the frames of another sample
    and the label -1, which no prediction equals (or no labels, with ``multi_class``).
    Either way its file is reported once, with the reason, and written to
    ``broken_log``, which ``BrokenFilesHook`` sets to a file in the work directory.
    (MMAction2's datasets stop at the first broken file.)

    Args:
        ann_file (str): The list, see :mod:`lists`.
        pipeline (list): Transforms.
        data_prefix (dict): ``video`` or ``img``: folder in front of every path that
            is not absolute. Defaults to None (no folder).
        delimiter (str): Delimiter of the list's columns. Defaults to ``'auto'``.
        num_classes (int, optional): Number of classes; labels must be less than this.
            Defaults to None (not checked).
        on_error (str): ``'skip'``, or ``'raise'`` to stop at the first broken file.
            Defaults to ``'skip'``.
        max_broken_ratio (float): The run stops if a larger share of the files is
            broken. Defaults to 0.5.
        strip_prefix (str): Leading folders to remove from the paths, such as the
            ``your_path`` of published lists. Defaults to ''.
        subset (str, optional): Read only the rows of this split, such as ``'train'``,
            from an official annotation file. Defaults to None (all rows).
        fold (int): Fold of HMDB51's files. Defaults to 1.
        metainfo (dict, optional): ``classes``: class names in label order, a file of
            them, or the name of a published dataset, see :func:`classes.read_classes`.
            They are saved in checkpoints. Those of a published dataset are left out if
            they are not ``num_classes``: a config for other data has inherited them.
            Defaults to None.
        **kwargs: Arguments of MMAction2's datasets: multi_class, test_mode,
            start_index, ...

    Raises:
        ListError: If lines of the list are not rows, labels are too large, class names
            do not match ``num_classes``, or none of the files exists.
    """

    form: str
    prefix: str

    def __init__(
        self,
        ann_file: str,
        pipeline: list[dict | Callable],
        data_prefix: dict | None = None,
        delimiter: str = 'auto',
        num_classes: int | None = None,
        on_error: str = 'skip',
        max_broken_ratio: float = 0.5,
        strip_prefix: str = '',
        subset: str | None = None,
        fold: int = 1,
        metainfo: dict | None = None,
        **kwargs,
    ) -> None:
        if on_error not in ('skip', 'raise'):
            raise ValueError(f"on_error is {on_error!r}, expected 'skip' or 'raise'")
        if num_classes is not None and num_classes < 1:
            raise ListError.of(ann_file, f'num_classes is {num_classes}')
        if kwargs.get('multi_class') and num_classes is None:
            raise ListError.of(ann_file, 'several labels need num_classes')
        self.strip_prefix, self.delimiter = strip_prefix, delimiter
        self.subset, self.fold, self.on_error = subset, fold, on_error
        self.max_broken_ratio = max_broken_ratio
        self.broken_log = None
        super().__init__(
            ann_file,
            pipeline,
            data_prefix={self.prefix: ''} if data_prefix is None else data_prefix,
            num_classes=num_classes,
            metainfo=_with_names(metainfo, num_classes),
            **kwargs,
        )
        # in memory that worker processes share
        self._broken = torch.zeros(len(self), dtype=torch.uint8).share_memory_()

    def info(self, row: Row, path: str) -> dict:
        """The keys that decoders need, for a row and its full path."""
        raise NotImplementedError

    @property
    def classes(self) -> Sequence[str] | None:
        """Class names, if they are known."""
        return self._metainfo.get('classes')

    def load_data_list(self) -> list[dict]:
        try:
            rows = self.rows()
        except OSError as error:
            reason = f'it cannot be read: {error.strerror or error}'
            raise ListError.of(self.ann_file, reason) from error
        rows = self._without_prefix(rows)
        known = [x for x in (self.num_classes, len(self.classes or ())) if x]
        self._check_rows(rows, min(known, default=None))
        root = self.data_prefix[self.prefix]
        infos = []
        for row in rows:
            label = list(row.labels) if self.multi_class else row.labels[0]
            infos.append(dict(self.info(row, osp.join(root, row.path)), label=label))
        if self.pipeline.transforms and self.max_broken_ratio < 1:
            self._check_paths(infos)
        return infos

    def rows(self) -> list[Row]:
        options = dict(classes=self.classes, subset=self.subset, fold=self.fold)
        return read_list(self.ann_file, self.form, self.delimiter, **options)

    def _without_prefix(self, rows):
        if not self.strip_prefix:
            return rows
        stripped = [without_prefix(row.path, self.strip_prefix) for row in rows]
        if all(path == row.path for path, row in zip(stripped, rows)):
            reason = f'no path begins with strip_prefix={self.strip_prefix!r}'
            raise ListError.of(
                self.ann_file, f'{reason}, the first is {rows[0].path!r}'
            )
        return [row._replace(path=path) for path, row in zip(stripped, rows)]

    def _check_rows(self, rows, num_classes):
        bad = []
        for row in rows:
            beyond = [x for x in row.labels if num_classes and x >= num_classes]
            if beyond:
                reason = f'label {beyond[0]}, but there are {num_classes} classes'
            elif not row.labels:
                reason = 'it has no label'
            elif len(row.labels) > 1 and not self.multi_class:
                reason = (
                    f'{len(row.labels)} labels: set multi_class=True and num_classes'
                )
            elif self.form == 'rawframes' and row.total_frames is None:
                reason = 'the number of frames is missing'
            else:
                continue
            bad.append(BadLine(self.ann_file, row.line, row.path, reason))
        if bad:
            raise ListError(bad)

    def _check_paths(self, infos):
        """Report a wrong prefix at once instead of sample by sample."""
        few = [file_of_info(x) for x in islice(infos, 0, None, max(1, len(infos) // 8))]
        if not any('://' in path or osp.exists(path) for path in few):
            raise ListError.of(
                self.ann_file,
                f'none of its files exists, for example {few[0]!r}: check '
                f'data_prefix.{self.prefix}, or strip_prefix for paths such as '
                "'your_path/...'",
            )

    def count_broken(self) -> int:
        """Count the samples found broken so far, in all worker processes."""
        return int(self._broken.sum())

    def prepare_data(self, idx: int):
        try:
            return super().prepare_data(idx)
        except Exception as error:  # decoders raise whatever they like
            self._report(idx, error)
        return self._stand_in(idx) if self.test_mode else None

    def _report(self, idx, error):
        if self._broken[idx]:
            return
        info = self.get_data_info(idx)
        path = quote(file_of_info(info))
        last_line = str(error).strip().split('\n')[-1]
        reason = f'{type(error).__name__}: {last_line}'
        if self.on_error == 'raise':
            raise BrokenSamples(f'broken sample {path}: {reason}') from error
        self._broken[idx] = 1
        print_log(f'Broken sample {path}: {reason}', 'current')
        if self.broken_log is not None:
            utf8 = dict(encoding='utf-8', errors='surrogateescape')
            with open(self.broken_log, 'a', newline='', **utf8) as file:
                csv.writer(file).writerow(map(csv_cell, [idx, path, reason]))
        broken = self.count_broken()
        if broken > self.max_broken_ratio * len(self):
            raise BrokenSamples(
                f'{broken} of the {len(self)} samples of {self.ann_file} are broken, '
                f'more than max_broken_ratio={self.max_broken_ratio} allows; the last '
                f'one is {path}: {reason}'
            ) from error

    def _stand_in(self, idx):
        """Another sample, with a label that no prediction equals."""
        for step in range(1, len(self)):
            other = (idx + step) % len(self)
            if self._broken[other]:
                continue
            info = self.get_data_info(other)
            label = info['label']
            info['label'] = label * 0 if self.multi_class else -1
            try:
                data = self.pipeline(info)
                file = file_of_info(self.get_data_info(idx))
                data['data_samples'].set_metainfo(dict(file=file))
                return data
            except Exception as error:
                self._report(other, error)
        raise BrokenSamples(f'no sample of {self.ann_file} can be read')


@DATASETS.register_module()
class VideoClsDataset(ListDataset):
    """Videos from a list of ``video_path label`` lines.

    The name is that of VideoMAE's and VideoMamba's code. Takes the arguments of
    :class:`ListDataset`; stock pipelines for ``VideoDataset`` work.
    """

    form, prefix = 'video', 'video'

    def rows(self):
        rows = super().rows()
        columns = {len(row.labels) for row in rows}
        if self.multi_class or columns != {2} or not all(x.labels[0] for x in rows):
            return rows
        print_log(
            f'{quote(self.ann_file)} is read as video_path total_frames label; for two '
            'labels set multi_class=True and num_classes',
            'current',
        )
        return [row._replace(labels=row.labels[1:]) for row in rows]

    def info(self, row, path):
        return dict(filename=path)


@DATASETS.register_module()
class RawFrameClsDataset(ListDataset):
    """Folders of frames from a list of ``frame_folder_path total_frames label`` lines.

    Stock pipelines for ``RawframeDataset`` work.

    Args:
        filename_tmpl (str): Template of the frames' file names.
            Defaults to ``'img_{:05}.jpg'``.
        start_index (int): Number of the first frame. Defaults to 1.
        **kwargs: Further arguments of :class:`ListDataset`.
    """

    form, prefix = 'rawframes', 'img'

    def __init__(
        self,
        *args,
        filename_tmpl: str = 'img_{:05}.jpg',
        start_index: int = 1,
        **kwargs,
    ) -> None:
        self.filename_tmpl = filename_tmpl
        super().__init__(*args, start_index=start_index, **kwargs)

    def info(self, row, path):
        return dict(
            frame_dir=path,
            total_frames=row.total_frames,
            filename_tmpl=self.filename_tmpl,
        )


@DATASETS.register_module()
class ImageListDataset(ListDataset):
    """Images as clips of one frame, from a list of ``image_path label`` lines.

    If ``ann_file`` is a folder, its subfolders are the classes, in alphabetical order
    or in that of ``metainfo=dict(classes=...)``. Hidden files and files that are not
    images are left out. Pipelines are those for frames; ``SampleFrames`` repeats the
    image. Takes the arguments of :class:`ListDataset`.
    """

    form, prefix = 'image', 'img'

    def rows(self):
        if not osp.isdir(self.ann_file):
            return super().rows()
        found, left_out = {}, 0
        for name in folders_in(self.ann_file):
            folder = osp.abspath(osp.join(self.ann_file, name))
            files, others = find_files(folder, IMAGES)
            left_out += sum(map(len, others.values()))
            if files:
                found[name] = [osp.join(folder, x) for x in files]
            else:
                print_log(
                    f'{quote(folder)} has no images and is not a class', 'current'
                )
        if left_out:
            reason = 'files that are hidden or not images were left out'
            print_log(f'{quote(self.ann_file)}: {left_out} {reason}', 'current')
        if not found:
            reason = 'it has no folders of images; there must be one per class'
            raise ListError.of(self.ann_file, reason)
        if are_splits({split_of(name) for name in found}):
            reason = 'its folders are splits, not classes: set ann_file to one of them'
            raise ListError.of(self.ann_file, f'{reason}, {", ".join(found)}')
        names = self.classes or list(found)
        unknown = [name for name in found if name not in names]
        if unknown:
            reason = f'folder {unknown[0]!r} is not one of the {len(names)} classes'
            raise ListError.of(self.ann_file, reason)
        if self.num_classes and len(names) != self.num_classes:
            reason = f'{len(names)} folders of images, but {self.num_classes} classes'
            raise ListError.of(self.ann_file, reason)
        self._metainfo.setdefault('classes', tuple(names))
        numbers = {name: i for i, name in enumerate(names)}
        return [Row(x, (numbers[name],)) for name in found for x in found[name]]

    def info(self, row, path):
        folder, name = osp.split(path)
        name = name.replace('{', '{{').replace('}', '}}')
        return dict(frame_dir=folder, total_frames=1, filename_tmpl=name)


def _with_names(metainfo, num_classes):
    """Replace a file of class names in the metainfo by the names."""
    if not metainfo or metainfo.get('classes') is None:
        return metainfo
    names = metainfo['classes']
    source = 'metainfo.classes'
    if isinstance(names, (str, os.PathLike)):
        source = os.fspath(names)
        names = read_classes(source)
    names = tuple(names)
    if not all(isinstance(name, str) for name in names):
        raise ListError.of(source, 'class names must be strings')
    if num_classes is not None and len(names) != num_classes:
        reason = f'{len(names)} class names, but num_classes is {num_classes}'
        if not is_published(source):
            raise ListError.of(source, reason)
        print_log(
            f'Classes have numbers instead of names: {source} has {reason}. For names, '
            'set metainfo.classes to a list or file of them',
            'current',
        )
        return {key: value for key, value in metainfo.items() if key != 'classes'}
    return dict(metainfo, classes=names)
