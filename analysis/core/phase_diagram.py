"""The phase diagram: a response over two axes, with diverged and missing cells told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.core.numbers import shown_numbers

AxisScale = Literal["linear", "log"]
COLOUR_MAP = "viridis"
MARKED = "marked"
_DIVERGED: Mapping[str, Any] = {"facecolor": "#8C8C8C", "edgecolor": "#FFFFFF", "hatch": "////"}
_MISSING: Mapping[str, Any] = {"facecolor": "#FFFFFF", "edgecolor": "#BBBBBB", "hatch": "...."}
_DOT: Mapping[str, Any] = {"marker": "o", "markersize": 2.4, "color": "white", "markeredgecolor": "black"}
_SOME: Mapping[str, Any] = {"marker": "x", "markersize": 5, "color": "#EE6677", "linestyle": "none"}
_DOT_EDGE = 0.4  # points
_FLOOR = 1.5


def phase_cells(
    rows: pd.DataFrame,
    outcomes: pd.DataFrame,
    horizontal: str,
    vertical: str,
    response: str,
    columns: Sequence[float] | None = None,
) -> pd.DataFrame:
    """Return one row for each cell of the diagram.

    A trial that diverged has no rows after its divergence: its later cells count as diverged, not as missing. Where
    both axes are knobs it counts in its own cell alone.

    Args:
        rows: Measurements with columns `trial_id`, `horizontal`, `vertical` and `response`.
        outcomes: Trials with columns `trial_id`, `outcome` and `vertical`, and `horizontal` if that is a knob.
        horizontal: Column on the horizontal axis.
        vertical: Column on the vertical axis.
        response: Column to average over the seeds.
        columns: Values on the horizontal axis; those of `rows` by default.

    Returns:
        Columns `vertical`, `horizontal`, `mean`, `smallest`, `largest`, `seeds` (trials with a value) and `diverged`
        (trials that have none because they diverged).
    """
    rows = rows.dropna(subset=[response])
    places = rows.groupby([vertical, horizontal])
    measured = places[response].agg(["mean", "min", "max", "count"])
    measured.columns = pd.Index(["mean", "smallest", "largest", "seeds"])
    every = pd.MultiIndex.from_product(
        [sorted(outcomes[vertical].unique()), sorted(rows[horizontal].unique() if columns is None else columns)],
        names=[vertical, horizontal],
    )
    lost = outcomes[outcomes["outcome"] == "diverged"]
    alive = rows[rows["trial_id"].isin(lost["trial_id"])].groupby([vertical, horizontal])["trial_id"].nunique()
    cells = measured.reindex(every).reset_index().fillna({"seeds": 0})
    at = [vertical, horizontal] if horizontal in outcomes else [vertical]
    diverging = lost.groupby(at)["trial_id"].nunique().rename("diverged").reset_index()
    cells = cells.merge(diverging, on=at, how="left")
    left = cells["diverged"].fillna(0) - alive.reindex(every, fill_value=0).to_numpy()
    return cells.assign(diverged=left.astype(int))


def common_range(tables: Sequence[pd.DataFrame]) -> Normalize:
    """Return the range of colours that holds the means of all tables of `phase_cells`."""
    means = pd.concat([table["mean"] for table in tables]).dropna()
    return Normalize(means.min(), means.max()) if len(means) else Normalize(0, 1)


def draw_phase_diagram(
    axes: Axes,
    cells: pd.DataFrame,
    horizontal: str,
    vertical: str,
    *,
    shown: Normalize,
    labels: Mapping[float, str],
    aligned: bool = True,
    scales: tuple[AxisScale, AxisScale] = ("log", "log"),
) -> ScalarMappable:
    """Draw the cells of `phase_cells`.

    A cell in which at least half of the seeds diverged is hatched grey, one without any trial is dotted white.
    A cross marks the mean of those that are left where fewer diverged.

    Args:
        axes: Where to draw.
        cells: Table of `phase_cells`; values on logarithmic axes are above 0.
        horizontal: Column on the horizontal axis.
        vertical: Column on the vertical axis.
        shown: Range of the colours.
        labels: Text of a vertical value where it is not the number itself.
        aligned: Whether the vertical values are the same in every column, and are then the ticks.
        scales: Those of the horizontal and of the vertical axis.
    """
    corners = _corners(cells, horizontal, vertical, aligned, scales)
    unstable, missing = _unstable(cells).to_numpy(), _missing(cells).to_numpy()
    coloured = ~unstable & ~missing
    mesh = PolyCollection(
        corners[coloured], array=cells["mean"].to_numpy()[coloured], cmap=COLOUR_MAP, norm=shown, antialiased=False
    )
    axes.add_collection(mesh, autolim=False)
    for kind, appearance in ((unstable, _DIVERGED), (missing, _MISSING)):
        axes.add_collection(PolyCollection(corners[kind], linewidth=0, **appearance), autolim=False)
    some = cells[_partly_unstable(cells)]
    if len(some):
        axes.plot(some[horizontal], some[vertical], **_SOME)
    across, up = corners[..., 0], corners[..., 1]
    limits = {"xlim": (across.min(), across.max()), "ylim": (up.min(), up.max())}
    axes.set(xscale=scales[0], yscale=scales[1], **limits)
    if aligned:
        rows = np.sort(cells[vertical].unique())
        names = {**shown_numbers(rows), **labels}
        axes.set_yticks(rows, [names[value] for value in rows])
    axes.minorticks_off()
    return mesh


def cell_edges(centres: Sequence[float] | np.ndarray, scale: AxisScale = "log") -> np.ndarray:
    """Return the edges of cells around ascending centres, half-way between them on their scale."""
    if scale == "log":
        return np.exp(cell_edges(np.log(centres), "linear"))
    places = np.asarray(centres, dtype=float)
    if len(places) == 1:
        return places[0] + np.array([-0.5, 0.5])
    middles = (places[1:] + places[:-1]) / 2
    first, last = 2 * places[0] - middles[0], 2 * places[-1] - middles[-1]
    return np.concatenate([[first], middles, [last]])


def mark_cells(axes: Axes, cells: pd.DataFrame, horizontal: str, vertical: str) -> None:
    """Put a dot on every cell of a table that has a colour in the diagram."""
    dotted = cells[~_unstable(cells) & ~_missing(cells)]
    axes.plot(dotted[horizontal], dotted[vertical], linestyle="none", markeredgewidth=_DOT_EDGE, **_DOT)


def legend_entries(cells: pd.DataFrame, *, missing: str = "missing", dot: str = "") -> list[Artist]:
    """Return the legend's entries for the kinds of cells without a colour that occur, and for the dots.

    Args:
        cells: Every cell drawn.
        missing: What a cell without any trial means.
        dot: What a dot means; empty where there are none.
    """
    entries: list[Artist] = []
    if _unstable(cells).any():
        entries.append(Patch(**_DIVERGED, label="diverged (half the seeds or more)"))
    if _partly_unstable(cells).any():
        entries.append(Line2D([], [], **_SOME, label="diverged (some seeds; mean of the others)"))
    if _missing(cells).any():
        entries.append(Patch(**_MISSING, label=missing))
    if dot:
        entries.append(Line2D([], [], linestyle="none", markeredgewidth=_DOT_EDGE, **_DOT, label=dot))
    return entries


def _unstable(cells: pd.DataFrame) -> pd.Series:
    return cells["diverged"] >= cells["seeds"].clip(lower=1)


def _partly_unstable(cells: pd.DataFrame) -> pd.Series:
    return (cells["diverged"] > 0) & ~_unstable(cells)


def _missing(cells: pd.DataFrame) -> pd.Series:
    return (cells["seeds"] == 0) & (cells["diverged"] == 0)


def _corners(
    cells: pd.DataFrame, horizontal: str, vertical: str, aligned: bool, scales: tuple[AxisScale, AxisScale]
) -> np.ndarray:
    """Return the corners of every cell, one row a cell: shape (cells, 4, 2)."""
    left, right = _sides(cells[horizontal], scales[0])
    if aligned:
        low, high = _sides(cells[vertical], scales[1])
    else:
        sides = pd.DataFrame(index=cells.index, columns=["low", "high"], dtype=float)
        for _, column in cells.groupby(horizontal):
            sides.loc[column.index] = np.column_stack(_sides(column[vertical], scales[1]))
        lowest = cells[vertical] == cells[vertical].min()
        sides.loc[lowest, "low"] = cells.loc[lowest, vertical] / _FLOOR  # a common floor for the row that all have
        low, high = sides.to_numpy().T
    return np.stack([np.stack([left, right, right, left], axis=1), np.stack([low, low, high, high], axis=1)], axis=-1)


def _sides(values: pd.Series, scale: AxisScale) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper edge of each value's cells."""
    centres = np.sort(values.unique())
    edges, places = cell_edges(centres, scale), np.searchsorted(centres, values)
    return edges[places], edges[places + 1]
