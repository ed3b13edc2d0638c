"""How figures show intervals between updates: their axis, their legend and the number of updates they leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.core.curves import draw_band, line_entries, seed_band
from analysis.core.figures import Look, looks
from analysis.k_phase_diagram.fits import draw_ends
from analysis.k_phase_diagram.intervals import INTERVAL

_TIMES_SHOWN = 3
_PLAIN: Mapping[str, Any] = {"color": "black", "linewidth": 0.9, "linestyle": ":"}


def interval_names(trials: pd.DataFrame) -> dict[float, str]:
    """Return each interval as it stands in legends and on axes, `distinct_trainings`' infinite one as infinity."""
    endless = set(trials.loc[trials[INTERVAL] >= trials["steps"], INTERVAL])
    return {value: "∞" if value in endless else f"{value:g}" for value in np.sort(trials[INTERVAL].unique())}


def draw_interval_axis(axes: Axes, trials: pd.DataFrame) -> None:
    """Make the horizontal axis one of intervals: powers of ten, and infinity where a trial has it."""
    names = interval_names(trials)
    endless = [value for value, name in names.items() if name == "∞"]
    room = endless[0] / 3 if endless else max(names)
    ticks = [10.0**exponent for exponent in range(int(np.log10(room)) + 1)]
    axes.set_xscale("log")
    axes.set_xticks([*ticks, *endless], [f"{tick:g}" for tick in ticks] + ["∞"] * len(endless))
    axes.minorticks_off()


def interval_entries(trials: pd.DataFrame, looks: Mapping[float, Look]) -> list[Line2D]:
    """Return the legend's entries of the intervals."""
    names = interval_names(trials)
    return line_entries(looks, {value: f"K = {names[value]}" for value in looks})


def draw_diagonal(axes: Axes, name: str) -> None:
    """Draw the line on which both axes are equal, unless the diagram has one row only."""
    if len(axes.get_yticks()) < 2:
        return
    axes.axline((1, 1), (10, 10), color="white", linewidth=1.0, linestyle="--")
    axes.annotate(name, (3, 3), color="white", xytext=(-5, 3), textcoords="offset points", fontsize=8, ha="right")


def draw_updates(axes: Axes, rows: pd.DataFrame, response: str) -> pd.DataFrame:
    """Draw a response against the number of updates so far, one curve a training time, and return its means.

    Args:
        axes: Where to draw.
        rows: Measurements at steps that all trials share, with columns `num_feature_updates`, `step`, `seed` and
            `response`.
        response: Column on the vertical axis.
    """
    bands = [pd.DataFrame()]
    for step, look in looks(_times(rows)).items():
        # Every interval of T or more is the same training: one of them stands for all.
        distinct = rows[rows["step"] == step].drop_duplicates(["num_feature_updates", "seed"])
        band = seed_band(distinct, "num_feature_updates", response)
        draw_band(axes, band, "num_feature_updates", look=look, label=f"T = {step}")
        bands.append(band.assign(step=step))
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)
    axes.set_xlim(-0.2, None)
    if axes.has_data():
        axes.legend(title="after")
    return pd.concat(bands, ignore_index=True)


def draw_warmed_ends(
    axes: Axes, ends: pd.DataFrame, column: str, warm: str, *, looks: Mapping[float, Look]
) -> pd.DataFrame:
    """Draw a fit at the end of training against the plain steps it began with, plain training as a level.

    Args:
        axes: Where to draw.
        ends: One row a trial, with its `outcome`.
        column: One of `FITS`.
        warm: Knob: the number of plain steps.
        looks: Look of each interval drawn.
    """
    plain = ends.loc[(ends[INTERVAL] == 1) & (ends["outcome"] == "finished"), f"{column}_lin"]
    if len(plain):
        axes.axhline(plain.mean(), **_PLAIN)
    axes.set_xscale("symlog", linthresh=10, linscale=0.5)
    return draw_ends(axes, ends[ends[INTERVAL].isin(looks)], column, warm, INTERVAL, looks=looks)


def plain_entry() -> Line2D:
    """Return the legend's entry of plain training."""
    return Line2D([], [], label="plain SGD (K = 1)", **_PLAIN)


def draw_logarithmic_axis(axes: Axes, trials: pd.DataFrame) -> None:
    """Make the horizontal axis logarithmic, whatever the trials."""
    axes.set_xscale("log")


def _times(rows: pd.DataFrame) -> list[int]:
    """Return the last shared step and earlier ones, about half a decade apart."""
    steps = np.sort(rows["step"].unique())
    if not len(steps):
        return []
    wanted = steps[-1] / np.sqrt(10) ** np.arange(_TIMES_SHOWN)
    return sorted({int(steps[np.argmin(np.abs(np.log(steps / time)))]) for time in wanted}, reverse=True)
