"""Curves over seeds: a line of means and a band, of the seeds' range or of the mean's interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.core.figures import Look
from analysis.core.panels import spread

DIVERGED_MARKER: Mapping[str, Any] = {"marker": "x", "markersize": 6, "markeredgewidth": 1.6, "linestyle": "none"}
_POINT: Mapping[str, Any] = MappingProxyType({"markersize": 3.5})
_POINTS_OF_A_LINE = 8
Interval = tuple[float, float]
EVERYWHERE: Interval = (-math.inf, math.inf)
SHARE: Interval = (0.0, 1.0)
"""Values that accuracies can have."""
_MOST_ENTRIES = 14


def seed_band(rows: pd.DataFrame, by: str, response: str) -> pd.DataFrame:
    """Return columns `by`, `mean`, `smallest`, `largest`, `seeds` of the response, one row for each value of `by`."""
    band = rows.groupby(by)[response].agg(["mean", "min", "max", "count"])
    band.columns = pd.Index(["mean", "smallest", "largest", "seeds"])
    return band.reset_index()


def draw_band(
    axes: Axes,
    band: pd.DataFrame,
    by: str,
    *,
    look: Look,
    label: str | None = None,
    linestyle: Any = "-",
    point: Mapping[str, Any] = _POINT,
) -> None:
    """Draw the table of `seed_band`: points on the means, a band from the smallest to the largest seed.

    A point that lacks seeds which other points have is hollow: its mean is one of survivors.

    Args:
        axes: Where to draw.
        band: Table of `seed_band`.
        by: Its column on the horizontal axis.
        look: Its colour and the marker of its points.
        label: What the legend calls it, None for nothing.
        linestyle: How the line between the points looks; "none" leaves the points.
        point: What else points look like, in matplotlib's words.
    """
    axes.fill_between(band[by], band["smallest"], band["largest"], color=look.colour, alpha=0.2, linewidth=0)
    _draw_means(axes, band, by, look, {"linestyle": linestyle, "label": label, **point})


def draw_interval_band(
    axes: Axes,
    means: pd.DataFrame,
    by: str,
    *,
    look: Look,
    label: str | None = None,
    linestyle: Any = "-",
    within: Interval = EVERYWHERE,
) -> None:
    """Draw a table of `seed_means`: points on the means, a band over the intervals of three seeds and more.

    A point that lacks seeds which other points have is hollow: its mean is one of survivors.

    Args:
        axes: Where to draw.
        means: Table of `seed_means`.
        by: Its column on the horizontal axis.
        look: Its colour and the marker of its points.
        label: What the legend calls it, None for nothing.
        linestyle: How the line between the points looks.
        within: Values that there can be, where intervals end: `SHARE` for accuracies.
    """
    # Two seeds have intervals many times as wide as the figure.
    half = means["half_width"].where(means["seeds"] > 2)
    low, high = ((means["mean"] + side * half).clip(*within) for side in (-1, 1))
    axes.fill_between(means[by], low, high, color=look.colour, alpha=0.2, linewidth=0)
    _draw_means(axes, means, by, look, {"linestyle": linestyle, "label": label, **_POINT})


def interval_lengths(means: pd.DataFrame, within: Interval = EVERYWHERE) -> np.ndarray:
    """Return how far the intervals of a table of `seed_means` reach below and above the means, shape (2, rows).

    They end at the values that there can be.
    """
    low, high = ((means["mean"] + side * means["half_width"]).clip(*within) for side in (-1, 1))
    return np.stack([means["mean"] - low, high - means["mean"]]).clip(min=0)


def _draw_means(axes: Axes, means: pd.DataFrame, by: str, look: Look, line: Mapping[str, Any]) -> None:
    """Draw a line through the means, hollow where seeds are missing."""
    part = means[means["seeds"] < means["seeds"].max()]
    axes.plot(means[by], means["mean"], **{"color": look.colour, "marker": look.marker, "linewidth": 1.4, **line})
    axes.plot(part[by], part["mean"], look.marker, color=look.colour, markersize=4.5, markerfacecolor="white")


def draw_lines(
    axes: Axes,
    cells: pd.DataFrame,
    across: str,
    by: str,
    *,
    looks: Mapping[float, Look],
    linestyle: Any = "-",
    ceiling: float = math.inf,
) -> None:
    """Draw the means of a table of `phase_cells` as one line for each value of `by`.

    A line ends where half of its seeds have diverged, with a cross.

    Args:
        axes: Where to draw.
        cells: Table of `phase_cells` with columns `across` and `by`.
        across: Column on the horizontal axis.
        by: Column that tells the lines apart.
        looks: Look of each line.
        linestyle: How the lines look.
        ceiling: Means above it are drawn at it, so that a line about to diverge does not set the scale.
    """
    clipped = cells.assign(mean=cells["mean"].clip(upper=ceiling))
    for value in clipped[by].unique():
        of_line = clipped[clipped[by] == value]
        alive = of_line[of_line["seeds"] > of_line["diverged"]]
        draw_marked(axes, alive[across], alive["mean"], looks[value], linewidth=1.2, linestyle=linestyle)
        if len(alive) and (of_line["diverged"] >= of_line["seeds"].clip(lower=1)).any():
            axes.plot(alive[across].iloc[-1], alive["mean"].iloc[-1], color=looks[value].colour, **DIVERGED_MARKER)


def draw_marked(axes: Axes, across: pd.Series, up: pd.Series, look: Look, **line: Any) -> None:
    """Draw a line with markers on some of its points."""
    every = max(1, len(across) // _POINTS_OF_A_LINE)
    axes.plot(across, up, color=look.colour, marker=look.marker, markersize=3, markevery=every, **line)


def line_entries(looks: Mapping[float, Look], labels: Mapping[float, str]) -> list[Line2D]:
    """Return the legend's entries of lines; of many, evenly spread ones: the colours between are in order."""
    values = spread(list(looks), _MOST_ENTRIES)
    return [line_entry(looks[value], labels[value]) for value in values]


def line_entry(look: Look, label: str, **line: Any) -> Line2D:
    """Return the legend's entry of one line."""
    return Line2D([], [], color=look.colour, label=label, **{"marker": look.marker, "markersize": 3.5, **line})


def diverged_entries(outcomes: pd.Series) -> list[Line2D]:
    """Return the legend's entry of the cross that ends a line, none where no trial diverged."""
    cross = Line2D([], [], color="#555555", label="diverged", **DIVERGED_MARKER)
    return [cross] if outcomes.eq("diverged").any() else []


def draw_paths(
    axes: Axes, rows: pd.DataFrame, across: str, response: str, by: str, *, looks: Mapping[float, Look]
) -> None:
    """Draw each trial as a line of its own, a cross at the end of one that diverged.

    Args:
        axes: Where to draw.
        rows: Measurements with columns `trial_id`, `outcome`, `across`, `response` and `by`.
        across: Column on the horizontal axis.
        response: Column on the vertical axis.
        by: Column that decides the look.
        looks: Look of each value of `by`.
    """
    for _, path in rows.groupby("trial_id"):
        last = path.iloc[-1]
        draw_marked(axes, path[across], path[response], looks[last[by]], linewidth=1.0)
        if last["outcome"] == "diverged":
            axes.plot(last[across], last[response], color=looks[last[by]].colour, **DIVERGED_MARKER)
