"""Datasets that read the published lists themselves, and survive broken files."""

from __future__ import annotations

import csv
import os
import os.path as osp
from collections.abc import Callable

import numpy as np
import torch
from mmaction.datasets.base import BaseActionDataset
from mmaction.registry import DATASETS
from mmengine.logging import print_log

from .lists import BadLine, ListError, Row, read_list
from .sample_files import file_of_info


class ListDataset(BaseActionDataset):
    """Base of the datasets: a list, and what to do about files that are broken.

    A sample whose file is missing or can not be decoded is replaced by another one in
    training. In tests it is scored as wrong: it gets the frames of another sample and
    the label -1, which no prediction equals (none of the labels, for several). Either
    way its file is told once, with the reason, and written to ``broken_log``, which
    ``BrokenFilesHook`` sets to a file in the work directory. (MMAction2's datasets
    stop at the first broken file.)

    Args:
        ann_file (str): The list, see :mod:`lists`.
        pipeline (list): Transforms.
        data_prefix (dict): ``video`` or ``img``: folder in front of every path that
            is not absolute. Defaults to none.
        delimiter (str): Of the list's columns. Defaults to ``'auto'``.
        num_classes (int, optional): Labels have to be below. Defaults to None.
        on_error (str): ``'skip'``, or ``'raise'`` to stop at the first broken file.
            Defaults to ``'skip'``.
        max_broken_ratio (float): With a larger share of broken files a run stops.
            Defaults to 0.5.
        **kwargs: As for MMAction2's datasets: multi_class, test_mode, start_index, ...

    Raises:
        ListError: If lines of the list are no rows, or labels too large; all of them.
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
        **kwargs,
    ) -> None:
        if on_error not in ('skip', 'raise'):
            raise ValueError(f"on_error is {on_error!r}, expected 'skip' or 'raise'")
        self.delimiter, self.on_error = delimiter, on_error
        self.max_broken_ratio = max_broken_ratio
        self.broken_log = None
        super().__init__(
            ann_file,
            pipeline,
            data_prefix={self.prefix: ''} if data_prefix is None else data_prefix,
            num_classes=num_classes,
            **kwargs,
        )
        # in memory that worker processes share
        self._broken = torch.zeros(len(self), dtype=torch.uint8).share_memory_()

    def info(self, row: Row, path: str) -> dict:
        """What decoders need of a row whose path is complete."""
        raise NotImplementedError

    def load_data_list(self) -> list[dict]:
        infos, bad = [], []
        root = self.data_prefix[self.prefix]
        for row in self.rows():
            beyond = [x for x in row.labels if x >= (self.num_classes or np.inf)]
            if beyond:
                reason = f'label {beyond[0]}, but there are {self.num_classes} classes'
                bad.append(BadLine(self.ann_file, row.line, row.path, reason))
            label = list(row.labels) if self.multi_class else row.labels[0]
            infos.append(dict(self.info(row, osp.join(root, row.path)), label=label))
        if bad:
            raise ListError(bad)
        return infos

    def rows(self) -> list[Row]:
        return read_list(self.ann_file, self.form, self.delimiter)

    def count_broken(self) -> int:
        """How many different samples were broken so far, in all worker processes."""
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
        path = info.get('filename') or info['frame_dir']
        last_line = str(error).strip().split('\n')[-1]
        reason = f'{type(error).__name__}: {last_line}'
        if self.on_error == 'raise':
            raise RuntimeError(f'broken sample {path}: {reason}') from error
        self._broken[idx] = 1
        print_log(f'Broken sample {path}: {reason}', 'current')
        if self.broken_log is not None:
            with open(self.broken_log, 'a', newline='') as file:
                csv.writer(file).writerow([idx, path, reason])
        broken = self.count_broken()
        if broken > self.max_broken_ratio * len(self):
            raise RuntimeError(
                f'{broken} of the {len(self)} samples of {self.ann_file} are broken, '
                f'more than max_broken_ratio={self.max_broken_ratio} allows; the last '
                f'one, {path}: {reason}'
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
        raise RuntimeError(f'no sample of {self.ann_file} can be read')


@DATASETS.register_module()
class VideoClsDataset(ListDataset):
    """Videos from a list of ``video_path label`` lines.

    Named as in VideoMAE's and VideoMamba's code. Arguments are those of
    :class:`ListDataset`; stock pipelines for ``VideoDataset`` do.
    """

    form, prefix = 'video', 'video'

    def info(self, row, path):
        return dict(filename=path)


@DATASETS.register_module()
class RawFrameClsDataset(ListDataset):
    """Folders of frames from a list of ``frame_folder_path total_frames label`` lines.

    Stock pipelines for ``RawframeDataset`` do.

    Args:
        filename_tmpl (str): Names of the frames. Defaults to ``'img_{:05}.jpg'``.
        start_index (int): Number of the first one. Defaults to 1.
        **kwargs: As for :class:`ListDataset`.
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

    Where ``ann_file`` is a folder, its subfolders in alphabetical order are the
    classes. Pipelines are those for frames; ``SampleFrames`` repeats the image.

    Args are those of :class:`ListDataset`.
    """

    form, prefix = 'image', 'img'

    def rows(self):
        if not osp.isdir(self.ann_file):
            return super().rows()
        rows = []
        classes = sorted(x.name for x in os.scandir(self.ann_file) if x.is_dir())
        for label, name in enumerate(classes):
            folder = osp.abspath(osp.join(self.ann_file, name))
            files = sorted(x.path for x in os.scandir(folder) if x.is_file())
            rows += [Row(path, (label,)) for path in files]
        if not rows:
            reason = 'the folder has no folders of images, one for each class'
            raise ListError([BadLine(self.ann_file, 1, '', reason)])
        return rows

    def info(self, row, path):
        folder, name = osp.split(path)
        name = name.replace('{', '{{').replace('}', '}}')
        return dict(frame_dir=folder, total_frames=1, filename_tmpl=name)
