"""Phase diagrams over values that are categories or few: a coloured cell each, with its mean written in it."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from analysis.core.numbers import shown_value
from analysis.core.phase_diagram import COLOUR_MAP

_DARK_BELOW = 0.6  # of the range of colours, where white text reads better than black


def draw_cells(axes: Axes, cells: pd.DataFrame, across: str, up: str, shown: Normalize) -> ScalarMappable:
    """Draw the column `mean` over two columns whose values are evenly spaced, whatever they are.

    Cells without any trial stay white.

    Args:
        axes: Where to draw.
        cells: One row a cell.
        across: Column on the horizontal axis.
        up: Column on the vertical axis.
        shown: Range of the colours.
    """
    table = cells.pivot(index=up, columns=across, values="mean").sort_index()
    image = axes.imshow(table.to_numpy(), origin="lower", aspect="auto", cmap=COLOUR_MAP, norm=shown)
    for row, values in enumerate(table.to_numpy()):
        for column, value in enumerate(values):
            if pd.notna(value):
                colour = "white" if shown(value) < _DARK_BELOW else "black"
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(table.shape[1]), [shown_value(value) for value in table.columns])
    axes.set_yticks(range(table.shape[0]), [shown_value(value) for value in table.index])
    return image
