"""The figures of a study: each of its finished trials and their rows, where these carry it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from analysis.core.figures import Drawing, style
from analysis.core.results import Results

TrialsFigure = Callable[[pd.DataFrame, pd.DataFrame], Drawing | None]
"""(finished trials, their rows with knobs) -> the figure; None where they do not carry it."""


def carried_figures(results: Results, study: str, figures: Sequence[TrialsFigure]) -> Sequence[Drawing]:
    """Return those figures that the finished trials of the study's last revision carry."""
    trials = results.trials(study)
    trials = trials[(trials["outcome"] == "finished") & (trials["revision"] == trials["revision"].max())]
    if not len(trials):
        return []
    rows = results.measurements(study, knobs=True)
    rows = rows[rows["trial_id"].isin(trials["trial_id"])]
    with style():
        found = [figure(trials, rows) for figure in figures]
    return [drawing for drawing in found if drawing is not None]
