"""``python -m mmaction_videomambapro``: one page to paste into a bug report."""

from .diagnosis import page

print(page())
