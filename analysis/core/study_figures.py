"""The figures of a study: each of its finished trials and their rows, where these carry it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from analysis.core.figures import Drawing, style
from analysis.store.results import Results

TrialsFigure = Callable[[pd.DataFrame, pd.DataFrame], Drawing | None]
"""(finished trials, their rows with knobs) -> the figure; None where they do not carry it."""


def carried_figures(results: Results, study: str, figures: Sequence[TrialsFigure]) -> Sequence[Drawing]:
    """Return those figures that the finished trials of the study's last revision and their rows carry."""
    trials = finished_trials(results, study)
    if not len(trials):
        return []
    rows = results.measurements(study, knobs=True)
    return carried(figures, trials, rows[rows["trial_id"].isin(trials["trial_id"])])


def finished_trials(results: Results, study: str) -> pd.DataFrame:
    """Return the finished trials of the study's last revision."""
    trials = results.trials(study)
    return trials[(trials["outcome"] == "finished") & (trials["revision"] == trials["revision"].max())]


def carried(figures: Sequence[Callable[..., Drawing | None]], *tables: pd.DataFrame) -> Sequence[Drawing]:
    """Return those of the figures that the tables carry, each a function of all; none where the first is empty."""
    if not len(tables[0]):
        return []
    with style():
        found = [figure(*tables) for figure in figures]
    return [drawing for drawing in found if drawing is not None]
