"""Figures of SAM on easy and difficult features: how both are learned, and what is left of SAM where features rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.core.curves import draw_band, seed_band
from analysis.core.figures import Drawing, ordered_looks, style
from analysis.store.results import Results

STUDY = "useful_sam"
RHO, INTERVAL = "sam_rho", "feature_update_interval"
MATCHED = 1.0
"""The alignment with the easy feature at which trials are compared."""
_PANEL_WIDTH, _PANEL_HEIGHT = 4.6, 3.4


def draw(results: Results) -> Sequence[Drawing]:
    """Return the alignments over training, and what SAM changes over K where trials that learn the easy one differ."""
    rows = results.measurements(STUDY, knobs=True)
    if not (rows["step"] > 0).any():  # each trial diverged in its first step
        return []
    drawings, learned = [alignments(rows)], matched(rows)
    if learned[INTERVAL].nunique() > 1 and (learned[RHO] > 0).any() and (learned[RHO] == 0).any():
        drawings.append(over_intervals(learned))
    return drawings


def alignments(rows: pd.DataFrame) -> Drawing:
    """Return both alignments against steps at the smallest interval, a curve for each distance up the slope."""
    rows = rows[rows["step"] > 0]
    rows = rows[rows[INTERVAL] == rows[INTERVAL].min()]
    looks, numbers = ordered_looks(rows[RHO].unique()), []
    with style():
        figure = Figure(figsize=(2 * _PANEL_WIDTH, _PANEL_HEIGHT), layout="constrained")
        panels = figure.subplots(1, 2)
        for axes, feature, title in zip(panels, ("easy", "hard"), ("easy", "difficult"), strict=True):
            for rho, look in looks.items():
                band = seed_band(rows[rows[RHO] == rho], "step", f"align_{feature}")
                draw_band(axes, band, "step", look=look, label=_named(rho))
                numbers.append(band.assign(feature=feature, **{RHO: rho}))
            axes.set(xscale="log", xlabel="steps", ylabel="largest projection of a unit", title=f"{title} feature")
            axes.legend(loc="best")
    return Drawing(figure, pd.concat(numbers, ignore_index=True))


def matched(rows: pd.DataFrame) -> pd.DataFrame:
    """Return for each trial when its alignment with the easy feature reaches `MATCHED`, and the other one's then.

    Args:
        rows: Measurements with knobs.

    Returns:
        A row for each trial that reaches it, with columns of its knobs, `reached` (steps; between rows along straight
        lines) and `ratio`, the alignment with the difficult feature over that with the easy one.
    """
    found = []
    for _, path in rows.sort_values("step").groupby("trial_id"):
        easy, hard, steps = (path[name].to_numpy(float) for name in ("align_easy", "align_hard", "step"))
        after = int(np.argmax(easy >= MATCHED))
        if easy[after] >= MATCHED and after > 0:
            pair = slice(after - 1, after + 1)
            reached, of_hard = (float(np.interp(MATCHED, easy[pair], values[pair])) for values in (steps, hard))
            knobs = {name: path[name].iloc[0] for name in ("seed", RHO, INTERVAL)}
            found.append({**knobs, "reached": reached, "ratio": of_hard / MATCHED})
    return pd.DataFrame(found, columns=["seed", RHO, INTERVAL, "reached", "ratio"])


def over_intervals(trials: pd.DataFrame) -> Drawing:
    """Return against K how long the easy feature takes, and SAM's ratio of alignments over that of gradient descent.

    Ratios are of trials with the same seed and interval, where both reach the alignment at which they are compared.

    Args:
        trials: Those of `matched`.
    """
    plain = trials[trials[RHO] == 0].set_index(["seed", INTERVAL])["ratio"]
    keys = pd.MultiIndex.from_frame(trials[["seed", INTERVAL]])
    trials = trials.assign(gain=trials["ratio"].to_numpy() / plain.reindex(keys).to_numpy())
    looks, numbers = ordered_looks(trials[RHO].unique()), []
    with style():
        figure = Figure(figsize=(2 * _PANEL_WIDTH, _PANEL_HEIGHT), layout="constrained")
        left, right = figure.subplots(1, 2)
        for rho, look in looks.items():
            for axes, quantity in ((left, "reached"), (right, "gain")):
                band = seed_band(trials[trials[RHO] == rho].dropna(subset=[quantity]), INTERVAL, quantity)
                draw_band(axes, band, INTERVAL, look=look, label=_named(rho))
                numbers.append(band.assign(quantity=quantity, **{RHO: rho}))
        left.set(
            ylim=(0, None), ylabel=f"steps to an easy alignment of {MATCHED:g}", title="when the easy one is there"
        )
        right.ticklabel_format(axis="y", useOffset=False)
        right.set(ylabel="difficult alignment, SAM over descent", title="how much of the difficult one by then")
        for axes in (left, right):
            axes.set(xscale="log", xlabel="K, steps between feature updates")
            axes.set_xticks(sorted(trials[INTERVAL].unique()), labels=sorted(trials[INTERVAL].unique()), minor=False)
            axes.legend(loc="best")
    return Drawing(figure, pd.concat(numbers, ignore_index=True), name="over_k")


def _named(rho: float) -> str:
    return "gradient descent" if rho == 0 else f"SAM, rho = {rho:g}"
