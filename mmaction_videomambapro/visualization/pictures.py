"""Saves pictures whole, and takes texts in them for texts."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.text import Text

from ..files import replacing
from ..literals import printable


def save(figure: Figure, out: str | PathLike) -> None:
    """Write a figure; names in it may hold dollars and line breaks.

    Args:
        figure (Figure): What to write.
        out (str | PathLike): The picture; the ending tells its format, PNG without.

    Raises:
        ValueError: If there is no such format.
        OSError: If the picture cannot be written.
    """
    for text in figure.findobj(Text):
        text.set_text(printable(text.get_text()))
        text.set_parse_math(False)  # '$' begins a formula otherwise
    form = Path(out).suffix.removeprefix('.').lower() or 'png'
    known = figure.canvas.get_supported_filetypes()
    if form not in known:
        raise ValueError(f'{out}: no pictures of this kind, only {", ".join(known)}')
    with replacing(out, 'wb') as file:
        figure.savefig(file, format=form, dpi=120)
