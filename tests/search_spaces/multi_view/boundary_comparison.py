"""The boundary of a phase diagram, found in several ways from the same trials, beside what further seeds say."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from analysis.core.boundary_lines import label_values
from analysis.core.figures import Drawing
from analysis.core.pages import axes_grid
from analysis.core.phase_diagram import cell_edges, common_range, draw_phase_diagram, legend_entries

_SIZE = (4.9, 3.6)  # inches
_LINE, _WRONG = "white", "#EE6677"


def draw_comparison(
    ways: Mapping[str, pd.DataFrame], across: str, up: str, names: Mapping[str, str], title: str
) -> Drawing:
    """Return a diagram for each way of finding a boundary, with the trials that it took and the cells it has wrong.

    Args:
        ways: Name -> the cells of `phase_cells`, with columns `above`, which side of the boundary the way says that a
            cell is on, and `truth`, which side it is on.
        across: Column on the horizontal axis.
        up: Column on the vertical axis.
        names: Name and unit of both columns, and of `mean`.
        title: What the ways have in common, and where the truth is from.
    """
    figure, grid = axes_grid(1, len(ways), size=_SIZE, title=title)
    shown = common_range(list(ways.values()))
    for axes, (name, cells) in zip(grid[0], ways.items(), strict=True):
        mesh = draw_phase_diagram(axes, cells, across, up, shown=shown, labels={})
        axes.add_collection(LineCollection(_sides_apart(cells, across, up), colors="black", linewidths=2.6))
        axes.add_collection(LineCollection(_sides_apart(cells, across, up), colors=_LINE, linewidths=1.3))
        wrong = cells[cells["above"] != cells["truth"]]
        axes.plot(wrong[across], wrong[up], "x", color=_WRONG, markersize=5, markeredgewidth=1.6)
        axes.set_title(
            f"{name}: {cells['seeds'].sum():,.0f} trials, {_share_wrong(cells):.1%} of {len(cells)} cells wrong"
        )
        _label(axes, cells, across, up, names)
    figure.colorbar(mesh, ax=grid, label=names["mean"], aspect=30, pad=0.01)
    line = Line2D([], [], color=_LINE, linewidth=1.3, label="true boundary")
    wrong_entry = Line2D([], [], color=_WRONG, marker="x", linestyle="none", label="cell on the wrong side")
    entries = [line, wrong_entry, *legend_entries(pd.concat(ways.values()), missing="not run")]
    figure.legend(handles=entries, loc="outside lower left", ncols=len(entries), facecolor="#BBBBBB", frameon=True)
    parts = [cells.assign(way=name) for name, cells in ways.items()]
    return Drawing(figure, pd.concat(parts, ignore_index=True), "comparison")


def _share_wrong(cells: pd.DataFrame) -> float:
    return float((cells["above"] != cells["truth"]).mean())


def _label(axes: Axes, cells: pd.DataFrame, across: str, up: str, names: Mapping[str, str]) -> None:
    label_values(axes, "x", cells[across])
    label_values(axes, "y", cells[up])
    axes.set(xlabel=names[across], ylabel=names[up])


def _sides_apart(cells: pd.DataFrame, across: str, up: str) -> list[list[tuple[float, float]]]:
    """Return the sides that cells of different truth have in common."""
    truth = cells.pivot(index=up, columns=across, values="truth").to_numpy(bool)
    x, y = (cell_edges(np.sort(cells[name].unique())) for name in (across, up))
    upright = [[(x[j + 1], y[i]), (x[j + 1], y[i + 1])] for i, j in np.argwhere(truth[:, 1:] != truth[:, :-1])]
    level = [[(x[j], y[i + 1]), (x[j + 1], y[i + 1])] for i, j in np.argwhere(truth[1:] != truth[:-1])]
    return upright + level
