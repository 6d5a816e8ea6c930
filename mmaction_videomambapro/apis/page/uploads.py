"""Videos that visitors of the page sent, for a short time."""

from __future__ import annotations

import os
import os.path as osp
import secrets
import shutil
import time
from collections.abc import AsyncIterable
from typing import Any

from ...errors import UsageError

MINUTES = 10  # that a video stays after its last use
MOST = 8  # videos at a time; the one that was not used for longest makes room


class TooLarge(UsageError):
    """A video above the limit."""


class Upload:
    """A video and what was found in it.

    Attributes:
        name (str): What the visitor calls it. Nothing on disk is called so.
        path (str): Where it is.
        answers (dict[int, dict]): By the number of the model.
    """

    def __init__(self, name: str, folder: str) -> None:
        self.name, self.folder = name, folder
        self.path = osp.join(folder, 'video')
        self.answers: dict[int, dict[str, Any]] = {}
        self.used = time.monotonic()

    def copy(self, model: int | None) -> str:
        """Path of the video as browsers play it, with a model's answers or without."""
        name = 'plain' if model is None else f'annotated-{model}'
        return osp.join(self.folder, f'{name}.mp4')

    def picture(self, model: int) -> str:
        """Path of the picture that says why a model answers so."""
        return osp.join(self.folder, f'why-{model}.png')


class Uploads:
    """All videos of the page, each in a folder of its own under an unguessable key.

    Args:
        folder (str): Where their folders are made.
        limit (int): Bytes that a video may have.
    """

    def __init__(self, folder: str, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._uploads: dict[str, Upload] = {}

    async def add(self, name: str, chunks: AsyncIterable[bytes]) -> str:
        """Write a video as it arrives.

        Returns:
            str: Its key.

        Raises:
            TooLarge: As soon as it exceeds the limit; nothing of it stays.
        """
        key = secrets.token_urlsafe(16)
        upload = Upload(name, osp.join(self.folder, key))
        os.mkdir(upload.folder)
        self._uploads[key] = upload
        try:
            size = 0
            with open(upload.path, 'wb') as file:
                async for chunk in chunks:
                    size += len(chunk)
                    self.check(size)
                    file.write(chunk)
        except BaseException:  # also if the visitor has left
            self.remove(key)
            raise
        upload.used = time.monotonic()
        for old in sorted(self._uploads, key=lambda k: self._uploads[k].used)[:-MOST]:
            self.remove(old)
        return key

    def check(self, size: int) -> None:
        """Refuse a size in bytes that is above the limit."""
        if size > self.limit:
            raise TooLarge(
                f'The video is larger than {self.limit / 1e6:g} MB, '
                'which is the most that this page takes.'
            )

    def find(self, key: str) -> Upload:
        """A video by its key.

        Raises:
            KeyError: If it is not there, or no longer.
        """
        upload = self._uploads[key]
        upload.used = time.monotonic()
        return upload

    def remove(self, key: str) -> None:
        """Forget a video, if it is there."""
        if key in self._uploads:
            shutil.rmtree(self._uploads.pop(key).folder, ignore_errors=True)

    def remove_old(self) -> None:
        """Forget what was not used for a while."""
        oldest = time.monotonic() - 60 * MINUTES
        for key in [k for k, u in self._uploads.items() if u.used < oldest]:
            self.remove(key)
