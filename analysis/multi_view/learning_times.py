"""Learning times of features: gradient descent against the closed form of each feature alone."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.core.figures import ordered_looks
from analysis.multi_view.feature_scores import EXPONENT, NOISE

_SHAPES: Mapping[str, str] = MappingProxyType({"view": "o", "noise": "s"})
_FACES: Mapping[bool, str] = MappingProxyType({True: "", False: "none"})  # by whether it was learned first
_COLUMNS = ["trial_id", EXPONENT, NOISE, "seed", "feature", "view", "first", "measured", "predicted"]


def learned_points(last: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each view that was learned and one for the median noise: times measured and predicted.

    Args:
        last: The last rows of each trial, one a view.
    """
    views = last.assign(feature="view", measured=last["time_view_half"], predicted=last["time_view_half_pred"])
    noise = last[last["view"] == 1].assign(feature="noise", view=0)
    noise = noise.assign(measured=noise["time_noise_half_median"], predicted=noise["time_noise_half_median_pred"])
    points = pd.concat([views, noise], ignore_index=True)
    points = points[np.isfinite(points["measured"]) & (points[["measured", "predicted"]] > 0).all(axis=1)]
    first = points.groupby("trial_id")["measured"].transform("min")
    return points.assign(first=points["measured"] == first)[_COLUMNS]


def draw_learning_times(axes: Axes, points: pd.DataFrame) -> None:
    """Draw the table of `learned_points` with the identity; what was learned first in its trial is filled."""
    colours = {value: look.colour for value, look in ordered_looks(points[EXPONENT]).items()}
    for (exponent, colour), (feature, shape), first in itertools.product(colours.items(), _SHAPES.items(), _FACES):
        part = points[(points[EXPONENT] == exponent) & (points["feature"] == feature) & (points["first"] == first)]
        look: dict[str, Any] = {"marker": shape, "color": colour, "linestyle": "none", "markersize": 5}
        axes.plot(part["predicted"], part["measured"], markerfacecolor=_FACES[first] or colour, **look)
    times = points[["measured", "predicted"]].to_numpy()
    axes.plot([times.min(), times.max()], [times.min(), times.max()], color="#555555", linewidth=0.8)
    axes.set(xscale="log", yscale="log", xlabel="predicted time", ylabel="measured time")
    axes.legend(handles=_entries(colours), fontsize=8)


def _entries(colours: Mapping[float, str]) -> list[Artist]:
    kinds: list[Artist] = [
        Line2D([], [], color="#555555", linestyle="none", marker="o", label="view, learned first"),
        Line2D([], [], color="#555555", linestyle="none", marker="o", markerfacecolor="none", label="view, later"),
        Line2D([], [], color="#555555", linestyle="none", marker="s", label="noise, median of samples"),
        Line2D([], [], color="#555555", linewidth=0.8, label="identity"),
    ]
    return kinds + [Line2D([], [], color=colour, linewidth=3, label=f"q = {q}") for q, colour in colours.items()]
