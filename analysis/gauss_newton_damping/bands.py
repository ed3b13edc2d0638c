"""Bands of curves in panels: one band of seeds for each arm of a sweep, over a logarithmic axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.core.curves import draw_band, seed_band
from analysis.core.figures import looks

_PANEL = (4.6, 3.6)  # inches
_BEST = {"max": np.argmax, "min": np.argmin}

Kinds = Mapping[str, Mapping[str, Any]]
"""Name of a curve -> how it is drawn, in the words of `draw_band`; a curve without an entry is a plain line."""
PLAIN: Kinds = MappingProxyType({})


def panels_of(panels: int, columns: int) -> tuple[Figure, list[Axes]]:
    """Return a figure with a number of panels, in rows of at most `columns`."""
    rows = -(-panels // columns)
    figure = Figure(figsize=(_PANEL[0] * columns, _PANEL[1] * rows), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for empty in grid[panels:]:
        empty.set_axis_off()
    return figure, grid[:panels]


def draw_bands(
    axes: Axes, rows: pd.DataFrame, across: str, response: str, *, by: str, best: str = "", kinds: Kinds = PLAIN
) -> pd.DataFrame:
    """Draw one band of seeds for each value of `by`, and return the numbers of all of them.

    Values of `across` at which no trial has the response get a cross at the foot of the panel. A curve that is the only
    one has no name in the legend.

    Args:
        axes: Where to draw.
        rows: One row a trial, or one a trial and value of `across`; a response that is not finite is missing.
        across: Column on the horizontal axis, at least 0; it is logarithmic, with 0 at its left end.
        response: Column on the vertical axis.
        by: Column whose values tell the curves apart.
        best: `max` or `min` puts a star on the best mean of each curve; empty marks none.
        kinds: How the curves are drawn.
    """
    numbers = []
    several = rows[by].nunique() > 1
    for (value, shown), look in zip(
        rows.groupby(by, sort=True), looks(sorted(rows[by].unique())).values(), strict=True
    ):
        band = seed_band(shown[np.isfinite(shown[response].astype(float))], across, response)
        if not len(band):
            continue
        name = str(value) if several else None
        draw_band(axes, band, across, look=look, label=name, **kinds.get(str(value), {}))
        if best:
            at = int(_BEST[best](band["mean"].to_numpy(float)))
            axes.plot(band[across].iloc[at], band["mean"].iloc[at], "*", color=look.colour, mec="black", markersize=12)
        numbers.append(band.assign(**{by: value}))
    if numbers:
        values = rows[across].unique()
        axes.set_xscale("symlog", linthresh=min(values[values > 0], default=1.0))
        _mark_missing(axes, sorted(set(values) - set(pd.concat(numbers)[across])))
    return joined(numbers)


def name_curves(axes: Axes, title: str = "") -> None:
    """Say what the curves and crosses are that have a name."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(title=title, fontsize=7)


def joined(numbers: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return tables below one another; none make an empty one."""
    return pd.concat(numbers, ignore_index=True) if numbers else pd.DataFrame()


def _mark_missing(axes: Axes, values: Sequence[float]) -> None:
    if values:
        foot = axes.get_xaxis_transform()  # given to plot itself, so that the crosses do not stretch the panel
        axes.plot(values, np.full(len(values), 0.02), "x", color="#8C8C8C", label="not reached", transform=foot)
