"""Find the file that a sample comes from, for messages and results."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterator
from typing import Any

from mmengine.structures import BaseDataElement

from ..compat import patch
from ..compat.helpers import replace

KEYS = 'file', 'img_path'  # ours, and mmpretrain's


def file_of_info(info: dict) -> str | None:
    """The video, image or folder of a dataset's entry, if it has one."""
    if 'filename' in info:
        return str(info['filename'])
    folder = info.get('frame_dir')
    if folder is not None and info.get('total_frames') == 1:  # an image
        return osp.join(folder, info['filename_tmpl'].format(0))
    return folder


def file_of(sample: Any) -> str | None:
    """The file of a packed sample or its dictionary, if it is recorded."""
    return next((str(sample.get(key)) for key in KEYS if key in sample), None)


def files_of_batch(batch: Any) -> Iterator[str]:
    """Yield the files of a data loader's batch, however it is nested."""
    if isinstance(batch, dict):
        yield from files_of_batch(batch.get('data_samples'))
    elif isinstance(batch, (list, tuple)):
        for part in batch:
            yield from files_of_batch(part)
    elif isinstance(batch, BaseDataElement) and (file := file_of(batch)):
        yield file


@patch(
    'mmaction.datasets.transforms.formatting',
    symptom='nothing after PackActionInputs knows which file a sample is of',
    until='PackActionInputs keeps the file name by default',
)
def _samples_without_file(formatting):
    @replace(formatting.PackActionInputs, 'transform')
    def transform(original, self, results):
        packed = original(self, results)
        file = file_of_info(results)
        if file is not None:
            packed['data_samples'].set_metainfo(dict(file=file))
        return packed
