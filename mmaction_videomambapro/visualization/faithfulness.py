"""Deletion and insertion curves as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike

import numpy as np
from matplotlib.figure import Figure

from .pictures import save

BASELINE = 'random'


def draw_faithfulness(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    out: str | PathLike,
) -> None:
    """Draw the curves of several methods.

    Args:
        curves (Mapping): Deletion and insertion curve by the name of the method. A
            method called 'random' is drawn as what the others have to beat.
        out (str | PathLike): The picture; its extension selects the format.

    Raises:
        UsageError: If the format does not exist.
        OSError: If the picture cannot be written.
    """
    figure = Figure(figsize=(9, 4.4), layout='constrained')
    panels = figure.subplots(1, 2, sharey=True)
    titles = (
        'deletion, most relevant first: low is good',
        'insertion, most relevant first: high is good',
    )
    for i, (panel, title) in enumerate(zip(panels, titles)):
        for name, pair in curves.items():
            values = np.asarray(pair[i])
            area = (values[1:] + values[:-1]).mean() / 2
            style = dict(color='0.5', linestyle='--') if name == BASELINE else {}
            percent = np.linspace(0, 100, len(values))
            panel.plot(percent, values, label=f'{name} {area:.2f}', **style)
        panel.set_title(title, fontsize=10)
        panel.set(xlim=(0, 100), ylim=(0, 1.02))
        panel.set_xlabel(f'patches {("taken away", "shown")[i]} (%)')
        panel.legend(
            title='area under the curve',
            title_fontsize=9,
            fontsize=9,
            loc='upper center',
            bbox_to_anchor=(0.5, -0.18),
            ncols=3,
        )
    panels[0].set_ylabel('probability of the class')
    save(figure, out)
