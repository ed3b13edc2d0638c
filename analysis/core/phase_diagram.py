"""The phase diagram: a response over two logarithmic axes, with diverged and missing cells told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize
from matplotlib.patches import Patch, Rectangle

COLOUR_MAP = "viridis"
_DIVERGED: dict[str, Any] = {"facecolor": "#8C8C8C", "edgecolor": "#FFFFFF", "hatch": "////"}
_MISSING: dict[str, Any] = {"facecolor": "#FFFFFF", "edgecolor": "#BBBBBB", "hatch": "...."}


def phase_cells(
    rows: pd.DataFrame, outcomes: pd.DataFrame, horizontal: str, vertical: str, response: str
) -> pd.DataFrame:
    """Return one row for each cell of the diagram.

    A trial that diverged has no rows after its divergence: its later cells count as diverged, not as missing.

    Args:
        rows: Measurements with columns `trial_id`, `horizontal`, `vertical` and `response`.
        outcomes: Trials with columns `trial_id`, `outcome` and `vertical`.
        horizontal: Column on the horizontal axis.
        vertical: Column on the vertical axis.
        response: Column to average over the seeds.

    Returns:
        Columns `horizontal`, `vertical`, `mean`, `smallest`, `largest`, `seeds` (trials with a value) and `diverged`
        (trials that have none because they diverged).
    """
    measured = rows.groupby([vertical, horizontal])[response].agg(["mean", "min", "max", "count"])
    measured.columns = pd.Index(["mean", "smallest", "largest", "seeds"])
    every = pd.MultiIndex.from_product(
        [sorted(outcomes[vertical].unique()), sorted(rows[horizontal].unique())], names=[vertical, horizontal]
    )
    cells = measured.reindex(every).reset_index().fillna({"seeds": 0})
    diverged = outcomes[outcomes["outcome"] == "diverged"][["trial_id", vertical]]
    last = rows.groupby("trial_id")[horizontal].max()
    ends = diverged.assign(last=diverged["trial_id"].map(last).fillna(-np.inf))
    cells["diverged"] = [
        int(((ends[vertical] == row) & (ends["last"] < column)).sum())
        for row, column in zip(cells[vertical], cells[horizontal], strict=True)
    ]
    return cells


def draw_phase_diagram(
    axes: Axes, cells: pd.DataFrame, horizontal: str, vertical: str, *, shown: Normalize, labels: dict[float, str]
) -> QuadMesh:
    """Draw the cells of `phase_cells` over two logarithmic axes.

    A cell in which at least half of the seeds diverged is hatched grey, one without any trial is dotted white.

    Args:
        axes: Where to draw.
        cells: Table of `phase_cells`; values on both axes are above 0.
        horizontal: Column on the horizontal axis.
        vertical: Column on the vertical axis.
        shown: Range of the colours.
        labels: Text of a vertical value where it is not the number itself.
    """
    columns, rows = (np.sort(cells[name].unique()).astype(float) for name in (horizontal, vertical))
    means = cells.pivot(index=vertical, columns=horizontal, values="mean").to_numpy(float)
    lost = cells.pivot(index=vertical, columns=horizontal, values="diverged").to_numpy(float)
    seeds = cells.pivot(index=vertical, columns=horizontal, values="seeds").to_numpy(float)
    unstable = lost >= np.maximum(seeds, 1)
    across, up = cell_edges(columns), cell_edges(rows)
    mesh = axes.pcolormesh(
        across, up, np.ma.masked_where(unstable | np.isnan(means), means), cmap=COLOUR_MAP, norm=shown
    )
    _mark(axes, across, up, unstable, _DIVERGED)
    _mark(axes, across, up, np.isnan(means) & ~unstable, _MISSING)
    axes.set(xscale="log", yscale="log", xlim=(across[0], across[-1]), ylim=(up[0], up[-1]))
    axes.set_yticks(rows, [labels.get(value, f"{value:g}") for value in rows])
    axes.minorticks_off()
    return mesh


def cell_edges(centres: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the edges of cells around ascending positive centres, half-way between them in the logarithm."""
    logarithms = np.log(np.asarray(centres, dtype=float))
    if len(logarithms) == 1:
        return np.exp(logarithms[0] + np.array([-0.5, 0.5]))
    middles = (logarithms[1:] + logarithms[:-1]) / 2
    first, last = 2 * logarithms[0] - middles[0], 2 * logarithms[-1] - middles[-1]
    return np.exp(np.concatenate([[first], middles, [last]]))


def legend_patches(cells: pd.DataFrame) -> list[Patch]:
    """Return the legend's entries for the kinds of cells without a colour that occur."""
    entries = []
    if (cells["diverged"] >= cells["seeds"].clip(lower=1)).any():
        entries.append(Patch(**_DIVERGED, label="diverged"))
    if ((cells["seeds"] == 0) & (cells["diverged"] == 0)).any():
        entries.append(Patch(**_MISSING, label="missing"))
    return entries


def _mark(axes: Axes, across: np.ndarray, up: np.ndarray, where: np.ndarray, style: dict[str, Any]) -> None:
    for row, column in zip(*np.nonzero(where), strict=True):
        width, height = across[column + 1] - across[column], up[row + 1] - up[row]
        axes.add_patch(Rectangle((across[column], up[row]), width, height, linewidth=0, **style))
