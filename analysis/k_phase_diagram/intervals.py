"""Trials apart by an interval between updates: which of them are the same training, and at which times all compare.

A trial of T steps whose interval is T or more never updates. It is recorded with an interval of T, and equals every
other such trial as far as both go.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.core.matched_loss import at_matched_loss
from analysis.core.phase_diagram import MARKED, phase_cells

INTERVAL = "feature_update_interval"
_OTHERS = ("steps", INTERVAL)
_ROUNDS = "measured_rounds"


def distinct_trainings(
    trials: pd.DataFrame, rows: pd.DataFrame, knobs: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return trials and rows with one trial for each training: of trials that differ in length only, the longest.

    Trials that differ in the rounds whose ends have a row are one training as well, that with the most rows stays, and
    the knob that says so is left out: it makes no other panels.

    An interval that no trial lives to see the end of becomes the largest number of steps of all trials, so that one
    value means infinite whatever the lengths.

    Args:
        trials: Trials with columns `trial_id`, `outcome`, `seed`, `steps`, the interval and the other knobs.
        rows: Their measurements, with a column of the interval.
        knobs: All knobs.
    """
    endless = trials[INTERVAL] >= trials["steps"]
    renamed = trials.assign(**{INTERVAL: trials[INTERVAL].mask(endless, trials["steps"].max())})
    same = ["seed", INTERVAL, *(name for name in knobs if name not in ("seed", *_OTHERS, _ROUNDS))]
    # One that was stopped may have come less far than a shorter one that finished.
    ranks = {"stopped": True, "steps": False, **({_ROUNDS: False} if _ROUNDS in knobs else {})}
    ranked = renamed.assign(stopped=renamed["outcome"] == "stopped").sort_values(
        list(ranks), ascending=list(ranks.values()), kind="stable"
    )
    kept = renamed.loc[ranked.drop_duplicates(same).index.sort_values()].drop(columns=_ROUNDS, errors="ignore")
    intervals = kept.set_index("trial_id")[INTERVAL]
    rows = rows[rows["trial_id"].isin(intervals.index)]
    return kept, rows.assign(**{INTERVAL: rows["trial_id"].map(intervals)})


def shared_steps(rows: pd.DataFrame) -> list[int]:
    """Return the steps above 0 that every trial has a row at which came that far."""
    ends = np.sort(rows.groupby("trial_id")["step"].max().to_numpy())
    measured = rows[rows["step"] > 0].groupby("step")["trial_id"].nunique()
    steps = measured.index.to_numpy()
    return steps[measured.to_numpy() == len(ends) - np.searchsorted(ends, steps)].tolist()


def filled(rows: pd.DataFrame, intervals: Sequence[int]) -> pd.DataFrame:
    """Return rows with those added that another interval measured in the same training.

    At step T every interval of T or more has been the same training of the same seed, so one measurement serves all.
    An interval's own row goes before another's.

    Args:
        rows: Measurements with columns `step`, `seed` and the interval.
        intervals: The intervals to fill.
    """
    before_any_update = rows[rows["step"] <= rows[INTERVAL]].drop_duplicates(["seed", "step"])
    every = before_any_update.drop(columns=INTERVAL).merge(
        pd.DataFrame({INTERVAL: sorted(set(intervals))}), how="cross"
    )
    lent = every[every["step"] <= every[INTERVAL]]
    return pd.concat([rows, lent], ignore_index=True).drop_duplicates([INTERVAL, "seed", "step"])


def at_the_end(trials: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the last row of every trial as long as the longest, unless it was stopped.

    A trial that diverged is there too, as its `outcome` says: with its last row before.
    """
    whole = trials[trials["outcome"].isin(["finished", "diverged"]) & (trials["steps"] == trials["steps"].max())]
    return rows[rows["trial_id"].isin(whole["trial_id"])].groupby("trial_id", as_index=False).tail(1)


def interval_cells(
    trials: pd.DataFrame, rows: pd.DataFrame, steps: Sequence[int], response: str, beside: str
) -> pd.DataFrame:
    """Return the cells of `phase_cells` over interval and step, those before the first update filled from each other.

    Args:
        trials: The trials of one panel.
        rows: Their measurements.
        steps: The steps to show.
        response: Column to average over the seeds.
        beside: Another column, whose mean stands under its own name.
    """
    compared = filled(rows[rows["step"].isin(steps)], trials[INTERVAL].tolist())
    cells = phase_cells(compared, trials, "step", INTERVAL, response, columns=steps)
    means = compared.groupby([INTERVAL, "step"])[beside].mean()
    return cells.join(means, on=[INTERVAL, "step"])


def by_rounds(cells: pd.DataFrame) -> pd.DataFrame:
    """Return cells over interval and step as cells over the number of rounds, `rounds`, and step.

    All intervals of T or more are one round. Otherwise the number of rounds is T/K, the last of them unfinished.
    """
    rounds = (cells["step"] / cells[INTERVAL]).clip(lower=1.0)
    best_known = cells.assign(rounds=rounds).sort_values("seeds", ascending=False, kind="stable")
    return best_known.drop_duplicates(["rounds", "step"]).sort_index()


def matched_cells(
    trials: pd.DataFrame, rows: pd.DataFrame, levels: Sequence[float], loss: str, response: str
) -> pd.DataFrame:
    """Return the cells of `phase_cells` over interval and loss, and the mean `step` at which the loss was reached.

    Cells that only some seeds reached are `marked`.

    Args:
        trials: The trials of one panel.
        rows: Their measurements, at steps that all share: one measured more often would reach every level earlier.
        levels: Losses, the column `level`.
        loss: Column of the loss.
        response: Column to average over the seeds.
    """
    matched = at_matched_loss(rows, levels, loss, [response])
    matched[INTERVAL] = matched["trial_id"].map(trials.set_index("trial_id")[INTERVAL])
    cells = phase_cells(matched, trials, "level", INTERVAL, response, columns=levels)
    cells = cells.join(matched.groupby([INTERVAL, "level"])["step"].mean(), on=[INTERVAL, "level"])
    trained = cells[INTERVAL].map(trials[INTERVAL].value_counts())
    return cells.assign(**{MARKED: (cells["seeds"] > 0) & (cells["seeds"] < trained)})
