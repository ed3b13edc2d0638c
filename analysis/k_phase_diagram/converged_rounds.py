"""Rounds that are solved until their gradient is small, beside plain training."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd
from matplotlib.axes import Axes

from analysis.core.curves import diverged_entries, draw_paths, line_entry
from analysis.core.figures import Drawing, Look, looks
from analysis.core.numbers import shown_number
from analysis.core.pages import page_of_measurements
from analysis.core.panels import Panel, panels, subject
from analysis.k_phase_diagram.intervals import INTERVAL

ARM, TOLERANCE, OPTIMIZER, RATE = "arm", "round_tolerance", "optimizer", "learning_rate"
ERROR, _ONE_PERCENT = "test_err_lin", 0.01
_ARM_KNOBS = (OPTIMIZER, RATE, TOLERANCE, INTERVAL)
_MEASURED: Mapping[str, str] = MappingProxyType(
    {
        ERROR: "test error (linearised)",
        "train_loss_lin": "training loss (linearised)",
        "num_feature_updates": "number of feature updates",
    }
)
_SUBJECT = ("data_name", "network")


def converged_rounds(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return test error, loss and feature updates against the step where rounds are solved, one line a trial.

    Plain training of each optimizer is drawn as a trajectory, and the error it ends with as a level.
    """
    if TOLERANCE not in trials or not (trials[TOLERANCE] > 0).any():
        return None
    trials = trials[(trials[TOLERANCE] > 0) | (trials[INTERVAL] == 1)]
    rows = rows.assign(**{ERROR: 1 - rows["test_acc_lin"]})
    found = panels(trials, rows, inside=(*_ARM_KNOBS, "seed", "steps"), across=[], several=TOLERANCE)
    arms = _arms(trials)
    look_of: dict[float, Look] = dict(enumerate(looks(arms).values()))
    numbered = {name: number for number, name in enumerate(arms)}

    def draw_one(axes: Axes, panel: Panel, column: str) -> pd.DataFrame:
        names = panel.trials.set_index("trial_id").apply(_arm, axis=1)
        shown = panel.rows.assign(**{ARM: panel.rows["trial_id"].map(names)})
        draw_paths(axes, shown.assign(number=shown[ARM].map(numbered)), "step", column, "number", looks=look_of)
        axes.set_xscale("symlog", linthresh=1, linscale=0.5)
        if column == ERROR:
            # The errors that are compared are of some percent, and some are 0.
            axes.set_yscale("symlog", linthresh=_ONE_PERCENT, linscale=0.5)
            ends = shown[shown[INTERVAL] == 1].groupby("trial_id").tail(1)
            for name, error in ends.groupby(ARM)[column].mean().items():
                colour, marker = look_of[numbered[str(name)]]
                axes.axhline(error, color=colour, linewidth=0.9, linestyle=":", marker=marker, markevery=[1])
        elif column == "train_loss_lin":
            axes.set_yscale("log")
        else:
            axes.set_yscale("symlog", linthresh=1)
        return shown[["trial_id", "seed", "outcome", ARM, "step", column]].rename(columns={column: "value"})

    legend = [line_entry(look_of[number], name) for name, number in numbered.items()]
    figure, numbers = page_of_measurements(
        found,
        _MEASURED,
        draw_one,
        title=subject(trials, found, _SUBJECT, "one line a trial", "dotted: where K = 1 ends"),
        across="step",
        legend=[*legend, *diverged_entries(trials["outcome"])],
    )
    return Drawing(figure, numbers, "converged")


def _arms(trials: pd.DataFrame) -> list[str]:
    """Return the names of what is compared: plain training first, then the rounds, coarse before fine."""
    distinct = trials.drop_duplicates(list(_ARM_KNOBS))
    ordered = distinct.sort_values([OPTIMIZER, TOLERANCE, RATE], ascending=[False, False, True])
    plain = ordered[TOLERANCE] == 0
    ordered = pd.concat([ordered[plain], ordered[~plain]])
    return list(dict.fromkeys(ordered.apply(_arm, axis=1)))


def _arm(trial: pd.Series) -> str:
    rounds = f"rounds to {shown_number(trial[TOLERANCE])}" if trial[TOLERANCE] > 0 else "K = 1"
    return f"{trial[OPTIMIZER]} {shown_number(trial[RATE])}\n{rounds}"
