"""The stability ratio: learning rate times the largest curvature over 2, above which a step overshoots."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

from analysis.core.curves import diverged_entries, draw_paths
from analysis.core.figures import Drawing, Look, ordered_looks, present
from analysis.core.pages import page_of_panels
from analysis.core.panels import panels, subject
from analysis.k_phase_diagram.interval_axes import interval_entries
from analysis.k_phase_diagram.intervals import INTERVAL

RATE, RATIO = "learning_rate", "lr_stability_ratio"
# Curvature grows over rounds, and training loses accuracy before the ratio has reached 1.
WARNING_BAND = (0.5, 1.0)
_SUBJECT = ("data_name", "network", "optimizer", RATE)
_LABEL = "learning rate × curvature / 2\n(shaded: warning; above 1: unstable)"


def stability(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return the stability ratio of each row's round, that of its linearisation, against the step, one line a trial."""
    if not present(rows, RATIO):
        return None
    found = panels(trials, rows, inside=(INTERVAL, "seed", "steps"), across=[RATE], several=INTERVAL, wraps=True)
    looks = ordered_looks(trials[INTERVAL])
    figure, numbers = page_of_panels(
        found,
        lambda axes, panel: _draw(axes, panel.rows, INTERVAL, looks=looks),
        title=subject(trials, found, _SUBJECT, "one line a trial"),
        across="step",
        up=_LABEL,
        legend=[*interval_entries(trials, looks), *diverged_entries(trials["outcome"])],
    )
    return Drawing(figure, numbers, "stability")


def _draw(axes: Axes, rows: pd.DataFrame, by: str, *, looks: Mapping[float, Look]) -> pd.DataFrame:
    """Draw the ratio of each trial against the step over the warning band, and return it."""
    measured = rows.dropna(subset=[RATIO])
    axes.axhspan(*WARNING_BAND, color="#CCBB44", alpha=0.3, linewidth=0)
    axes.axhline(WARNING_BAND[1], color="#555555", linewidth=0.8)
    draw_paths(axes, measured, "step", RATIO, by, looks=looks)
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)
    axes.set_xlim(-0.2, 1.2 * max([1, *measured["step"]]))
    axes.set_yscale("log")
    return measured[["trial_id", "seed", "outcome", by, "step", RATIO]]
