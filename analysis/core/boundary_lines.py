"""Boundaries in a phase diagram: where a measured response crosses a level, and where a formula says that it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.core.numbers import shown_numbers
from analysis.core.panels import spread
from analysis.core.phase_diagram import AxisScale

_MESH = 200
_TICKS = 7
MEASURED_BOUNDARY: Mapping[str, Any] = {
    "marker": "D",
    "markersize": 4,
    "color": "white",
    "markeredgecolor": "black",
    "markeredgewidth": 0.5,
    "linewidth": 0.8,
}


class PowerLaw(NamedTuple):
    """y = factor x^power."""

    power: float
    factor: float


def crossings(cells: pd.DataFrame, across: str, along: str, level: float, scale: AxisScale = "log") -> pd.DataFrame:
    """Return where the mean first crosses a level, up or down, as `across` grows: columns `along` and `across`.

    Between cells the mean is taken to be linear on the scale of `across`. Values of `along` without a crossing are
    left out.

    Args:
        cells: Table with columns `across`, `along` and `mean`.
        across: Column in which the response falls or rises.
        along: Column each of whose values has a crossing.
        level: The level.
        scale: Scale of `across`.
    """
    to, back = (np.log, np.exp) if scale == "log" else (np.asarray, np.asarray)
    found = []
    for value, row in cells.dropna(subset=["mean"]).groupby(along):
        ordered = row.sort_values(across)
        places, means = to(ordered[across].to_numpy()), ordered["mean"].to_numpy()
        changes = np.flatnonzero(np.diff(means >= level))
        if len(changes):
            first = changes[0]
            share = (means[first] - level) / (means[first] - means[first + 1])
            found.append((value, float(back(places[first] + share * (places[first + 1] - places[first])))))
    return pd.DataFrame(found, columns=[along, across])


def power_law(x: pd.Series, y: pd.Series) -> PowerLaw | None:
    """Return the power law through positive points by least squares of the logarithms; None of fewer than three."""
    if len(x) < 3 or x.nunique() < 2:
        return None
    power, logarithm = np.polyfit(np.log(x), np.log(y), 1)
    return PowerLaw(float(power), float(np.exp(logarithm)))


def label_values(axes: Axes, direction: Literal["x", "y"], values: pd.Series) -> None:
    """Make an axis logarithmic, with plain numbers as ticks: some of the values."""
    axes.set(**{f"{direction}scale": "log"})
    axis = {"x": axes.xaxis, "y": axes.yaxis}[direction]
    shown = spread(sorted(values.unique()), _TICKS)
    names = shown_numbers(shown)
    axis.set_ticks(shown, [names[value] for value in shown])
    axis.set_ticks([], minor=True)


def draw_measured_boundary(axes: Axes, points: pd.DataFrame, across: str, along: str) -> None:
    """Draw the crossings, `across` on the horizontal axis."""
    if not len(points):
        return  # an empty line that is not clipped takes room on the page
    axes.plot(points[across], points[along], clip_on=False, **MEASURED_BOUNDARY)


def draw_predicted_boundary(
    axes: Axes, ratio: Callable[[pd.DataFrame], pd.Series], horizontal: str, vertical: str, **line: Any
) -> None:
    """Draw where a ratio of two scores is 1, within the limits of two logarithmic axes.

    Args:
        axes: Where to draw.
        ratio: Values of both columns -> the ratio.
        horizontal: Column on the horizontal axis.
        vertical: Column on the vertical axis.
        line: Colours and line styles of the contour.
    """
    x, y = (np.geomspace(*limits, _MESH) for limits in (axes.get_xlim(), axes.get_ylim()))
    places = pd.DataFrame({horizontal: np.tile(x, _MESH), vertical: np.repeat(y, _MESH)})
    # As an array: a ratio that depends on one axis alone, or on neither, is as good.
    logarithms = np.log(np.broadcast_to(np.asarray(ratio(places), dtype=float), len(places))).reshape(_MESH, _MESH)
    if logarithms.min() < 0 < logarithms.max():
        axes.contour(x, y, logarithms, levels=[0.0], **line)
