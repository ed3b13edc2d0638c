"""Curves over seeds: a mean line and the band between the smallest and the largest seed."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes


def seed_band(rows: pd.DataFrame, by: str, response: str) -> pd.DataFrame:
    """Return columns `by`, `mean`, `smallest`, `largest`, `seeds` of the response, one row for each value of `by`."""
    band = rows.groupby(by)[response].agg(["mean", "min", "max", "count"])
    band.columns = pd.Index(["mean", "smallest", "largest", "seeds"])
    return band[band["seeds"] > 0].reset_index()


def draw_band(axes: Axes, band: pd.DataFrame, by: str, *, colour: str, label: str) -> None:
    """Draw the table of `seed_band`: points on the means, a band from the smallest to the largest seed.

    A point that lacks seeds which other points have is hollow: its mean is one of survivors.
    """
    whole = band["seeds"] == band["seeds"].max()
    axes.fill_between(band[by], band["smallest"], band["largest"], color=colour, alpha=0.2, linewidth=0)
    axes.plot(band[by], band["mean"], color=colour, linewidth=1.4, label=label, marker="o", markersize=3.5)
    axes.plot(band[by][~whole], band["mean"][~whole], "o", color=colour, markersize=4.5, markerfacecolor="white")
