"""What ends a tool in one line: the base of all refusals."""

from __future__ import annotations


class UsageError(Exception):
    """Something the user has to change, said in one sentence.

    Attributes:
        exit_code (int): With which a tool ends.
    """

    exit_code = 2


class RunStopped(UsageError):
    """A run that had begun and cannot go on."""

    exit_code = 1
