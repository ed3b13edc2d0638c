"""Several phase diagrams on one page, with one range of colours and one legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.core.pages import axes_grid, label_outside, legend_below, titled
from analysis.core.panels import Panels
from analysis.core.phase_diagram import MARKED, common_range, draw_phase_diagram, legend_entries, mark_cells

_SIZE = (4.9, 3.6)  # inches


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The words of a page of phase diagrams.

    Attributes:
        title: What all panels have in common.
        across: Name and unit of the horizontal axis.
        up: Name and unit of the vertical axis.
        colour: Name and unit of the response.
        rows: Text of a vertical value where it is not the number itself.
        missing: What a cell without any trial means.
        dot: What a dot means.
    """

    title: str
    across: str
    up: str
    colour: str
    rows: Mapping[float, str]
    missing: str = "missing"
    dot: str = ""


def draw_diagrams(
    panels: Panels, tables: Sequence[pd.DataFrame], horizontal: str, vertical: str, labels: Labels, aligned: bool = True
) -> tuple[Figure, np.ndarray]:
    """Return a figure of one phase diagram a panel, and its axes in rows and columns.

    Args:
        panels: The panels.
        tables: The cells of each panel, as `phase_cells` returns them; those whose column `marked` is true get a dot.
        horizontal: Column on the horizontal axis.
        vertical: Column on the vertical axis.
        labels: The words.
        aligned: Whether the vertical values are the same in every column of a diagram.
    """
    figure, grid = axes_grid(*panels.shape, size=_SIZE, title=labels.title)
    shown = common_range(tables)
    for (_, axes), cells in zip(titled(panels, grid), tables, strict=True):
        mesh = draw_phase_diagram(axes, cells, horizontal, vertical, shown=shown, labels=labels.rows, aligned=aligned)
        mark_cells(axes, cells[cells[MARKED]], horizontal, vertical)
    label_outside(grid, labels.across, labels.up)
    every = pd.concat(tables)
    figure.colorbar(mesh, ax=grid, label=labels.colour, aspect=30, pad=0.01)
    entries = legend_entries(every, missing=labels.missing, dot=labels.dot if every[MARKED].any() else "")
    legend_below(figure, entries)
    return figure, grid
