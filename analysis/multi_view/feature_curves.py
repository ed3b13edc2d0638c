"""Curves of the patch model's accuracies, means over seeds with their intervals, and what tells arms apart."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from analysis.core.curves import SHARE, draw_band, interval_lengths
from analysis.core.figures import looks
from analysis.core.seed_means import seed_means
from analysis.multi_view.feature_scores import ARM, DRAWS, EXPONENT, LABELS, NOISE


def draw_means(axes: Axes, trials: pd.DataFrame, across: str, response: str, by: str) -> pd.DataFrame:
    """Draw the mean of a response with its interval, a line each value of `by`, and return the table of both."""
    drawn = []
    for value, look in looks(sorted(trials[by].unique())).items():
        band = seed_means(trials[trials[by] == value], [across], response)
        below, above = interval_lengths(band, SHARE)
        drawn_band = band.assign(smallest=band["mean"] - below, largest=band["mean"] + above)
        draw_band(axes, drawn_band, across, look=look, label=str(value).replace("_", " "))
        drawn.append(band.rename(columns={across: "value"}).assign(across=across, response=response, line=str(value)))
    axes.set(xlabel=LABELS[across], ylabel=LABELS[response], ylim=(-0.03, 1.03))
    return pd.concat(drawn, ignore_index=True)


def told_apart(trials: pd.DataFrame) -> pd.DataFrame:
    """Return trials whose arm says so where each step draws its copies."""
    online = trials[DRAWS] == "every_step"
    return trials.assign(**{ARM: trials[ARM].where(~online, trials[ARM] + ", online")})


def noise_of_balance(trials: pd.DataFrame, rows: pd.DataFrame, view: int | None) -> float:
    """Return the noise at which the importance ratio of a view, by default of the last, is 1."""
    one = trials.iloc[0]
    own = rows[rows["trial_id"] == one["trial_id"]]
    ratio = own.loc[own["view"] == (view or own["view"].max()), "importance_ratio"].iloc[-1]
    return float(one[NOISE] * ratio ** (1 / one[EXPONENT]))
