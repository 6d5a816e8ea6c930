"""Saves pictures completely or not at all, and treats text in them as plain text."""

from __future__ import annotations

import logging
from os import PathLike
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

from ..errors import UsageError
from ..files import replacing
from ..literals import printable

# Fonts with Chinese, Japanese and Korean; matplotlib's own has none of these scripts.
CJK_FONTS = (
    'Noto Sans CJK SC', 'Noto Sans CJK JP', 'Source Han Sans SC', 'PingFang SC',
    'Hiragino Sans', 'Microsoft YaHei', 'SimHei', 'WenQuanYi Zen Hei',
    'WenQuanYi Micro Hei', 'Droid Sans Fallback', 'Arial Unicode MS', 'Unifont',
)  # fmt: skip


# Otherwise a font with only one weight is reported for every piece of text.
logging.getLogger('matplotlib.font_manager').setLevel(logging.ERROR)


def save(figure: Figure, out: str | PathLike) -> None:
    """Write a figure; names in it may contain dollar signs and line breaks.

    Args:
        figure (Figure): What to write.
        out (str | PathLike): The picture; its extension selects the format, or PNG.

    Raises:
        UsageError: If the format does not exist.
        OSError: If the picture cannot be written.
    """
    for text in figure.findobj(Text):
        text.set_text(printable(text.get_text()))
        text.set_parse_math(False)  # otherwise '$' begins a formula
        if not text.get_text().isascii():
            text.set_fontfamily(families())
    form = Path(out).suffix.removeprefix('.').lower() or 'png'
    known = figure.canvas.get_supported_filetypes()
    if form not in known:
        raise UsageError(f'{out}: no pictures of this kind, only {", ".join(known)}')
    with replacing(out, 'wb') as file:
        figure.savefig(file, format=form, dpi=120)


def families() -> list[str]:
    """Matplotlib's own font, then those installed for other scripts."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    others = [name for name in CJK_FONTS if name in installed]
    return [*matplotlib.rcParams['font.family'], *others]
