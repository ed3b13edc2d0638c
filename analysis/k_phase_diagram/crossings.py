"""Crossings: two axes of a sweep in one table, and whether what one of them does depends on the other.

The effect of an axis is what a response gains from its first value to its last. The interaction of two axes is a
difference of differences: the effect of one at the last value of the other, minus that at its first. It is zero where
effects add, and the same whichever of the two axes is called the one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from analysis.core.matched_loss import at_matched_loss, loss_levels
from analysis.core.phase_diagram import MARKED
from analysis.core.seed_means import seed_means

Pair = tuple[str, str]
INTERACTION = "interaction"
LEAST_SEEDS = 2


class Corners(NamedTuple):
    """The outermost values of two axes, (first, last) of each."""

    first: tuple[float, float]
    second: tuple[float, float]


def everywhere(
    trials: pd.DataFrame, rows: pd.DataFrame, still: pd.Series, column: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return trials and rows in which those that a knob does not touch stand at every value that others have of it.

    A training that a knob cannot change is recorded with one value of it. In a table over that knob it belongs at all.
    Each trial at a further value gets an id of its own.

    Args:
        trials: Trials with `trial_id` and the knob; without the knob they come back as they are.
        rows: Their measurements, with a column of the knob.
        still: Which trials the knob does not touch.
        column: The knob.
    """
    values = np.sort(trials.loc[~still, column].unique()).tolist() if column in trials else []
    if not still.any() or not values:
        return trials, rows
    copied = rows["trial_id"].isin(trials.loc[still, "trial_id"])
    tables: tuple[list[pd.DataFrame], list[pd.DataFrame]] = ([trials[~still]], [rows[~copied]])
    for value in values:
        for table, chosen in zip(tables, (trials[still], rows[copied]), strict=True):
            ids = chosen["trial_id"] if value == values[0] else chosen["trial_id"] + f" at {column} {value}"
            table.append(chosen.assign(**{column: value, "trial_id": ids}))
    return pd.concat(tables[0], ignore_index=True), pd.concat(tables[1], ignore_index=True)


def matched_level(rows: pd.DataFrame, loss: str, share: float) -> float | None:
    """Return the lowest level of the loss that a share of the trials came down to; None where there is none."""
    lowest, trials = rows.groupby("trial_id")[loss].min(), rows["trial_id"].nunique()
    reached = [level for level in loss_levels(rows, loss) if (lowest <= level).sum() >= share * trials]
    return min(reached, default=None)


def matched_ends(trials: pd.DataFrame, rows: pd.DataFrame, loss: str, level: float, response: str) -> pd.DataFrame:
    """Return each trial with its `step` and response when its loss first fell to a level; none where it never did."""
    return trials.merge(at_matched_loss(rows, [level], loss, [response]), on="trial_id", how="left")


def crossed_cells(ends: pd.DataFrame, pair: Pair, response: str) -> pd.DataFrame:
    """Return a row for each combination of the values of two axes, in the columns of `phase_cells`.

    Cells of which only some trials have the response are `marked`: their mean is one of survivors.

    Args:
        ends: One row a trial, with its `outcome`, `seed`, both axes and the response.
        pair: The columns of the axes.
        response: Column to average over the seeds that finished.
    """
    first, second = pair
    finished = ends["outcome"] == "finished"
    values = ends.assign(value=ends[response].where(finished)).groupby([second, first])["value"]
    cells = values.agg(["mean", "min", "max", "count"])
    cells.columns = pd.Index(["mean", "smallest", "largest", "seeds"])
    diverged = (ends["outcome"] == "diverged").groupby([ends[second], ends[first]]).sum()
    every = pd.MultiIndex.from_product(
        [np.sort(ends[name].unique()) for name in (second, first)], names=[second, first]
    )
    table = cells.assign(diverged=diverged, trials=ends.groupby([second, first]).size()).reindex(every).reset_index()
    table = table.fillna({"seeds": 0, "diverged": 0, "trials": 0}).astype({"diverged": int})
    return table.assign(**{MARKED: (table["seeds"] > 0) & (table["seeds"] < table["trials"])}).drop(columns="trials")


def corners(ends: pd.DataFrame, pair: Pair, response: str) -> Corners | None:
    """Return the widest span of both axes at whose four corners two seeds or more have the response.

    None where there is none. Of spans equally wide, that which reaches the last values.
    """
    by_seed = _by_seed(ends, pair, response)
    values = [np.sort(ends[name].unique()).tolist() for name in pair]
    spans = [list(itertools.combinations(range(len(axis)), 2)) for axis in values]
    ordered = sorted(
        itertools.product(*spans), key=lambda span: ((span[0][1] - span[0][0]) * (span[1][1] - span[1][0]), span)
    )
    for span in reversed(ordered):
        found = Corners(*((axis[low], axis[high]) for axis, (low, high) in zip(values, span, strict=True)))
        wanted = list(itertools.product(*found))
        if all(corner in by_seed for corner in wanted) and len(by_seed[wanted].dropna()) >= LEAST_SEEDS:
            return found
    return None


def interactions(ends: pd.DataFrame, pair: Pair, response: str, at: Corners) -> pd.DataFrame:
    """Return the effect of each axis at the ends of the other and their interaction, with intervals over seeds.

    A seed that has all four corners counts, and is compared with itself.

    Args:
        ends: One row a trial, as for `crossed_cells`.
        pair: The columns of the axes.
        response: What the effects are on.
        at: The ends of both axes.

    Returns:
        Columns `effect` (the axis that goes from its first value to its last, or `interaction`), `given` (the value of
        the other axis; not a number for the interaction) and those of `seed_means`, in which `mean` ± `half_width` is
        Student's interval of 95 %.
    """
    (low, high), (least, most) = at
    seeds = _by_seed(ends, pair, response)[list(itertools.product(*at))].dropna()
    effects = {
        (pair[0], least): seeds[high, least] - seeds[low, least],
        (pair[0], most): seeds[high, most] - seeds[low, most],
        (pair[1], low): seeds[low, most] - seeds[low, least],
        (pair[1], high): seeds[high, most] - seeds[high, least],
        (INTERACTION, np.nan): seeds[high, most] - seeds[low, most] - seeds[high, least] + seeds[low, least],
    }
    told = [
        seed_means(pd.DataFrame({"effect": name, response: values}), ["effect"], response).assign(given=given)
        for (name, given), values in effects.items()
    ]
    return pd.concat(told, ignore_index=True)


def filled_share(ends: pd.DataFrame, pair: Pair) -> float:
    """Return the share of the combinations of both axes' values that some trial has."""
    every = ends[pair[0]].nunique() * ends[pair[1]].nunique()
    return len(ends[list(pair)].drop_duplicates()) / max(every, 1)


def varying_pairs(trials: pd.DataFrame, axes: Sequence[str]) -> list[Pair]:
    """Return the pairs of axes of which both have several values."""
    return list(itertools.combinations([name for name in axes if name in trials and trials[name].nunique() > 1], 2))


def _by_seed(ends: pd.DataFrame, pair: Pair, response: str) -> pd.DataFrame:
    """Return the response of the finished trials, a row a seed and a column a combination of both axes' values."""
    finished = ends[ends["outcome"] == "finished"].dropna(subset=[response])
    return finished.pivot_table(index="seed", columns=list(pair), values=response)
