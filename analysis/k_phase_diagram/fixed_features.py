"""Trials beside the one whose features never change, at the training loss with which that one ends.

At equal time fixed features are often undertrained, and what they have not learned yet looks like what they cannot.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from analysis.core.figures import Drawing
from analysis.core.matched_loss import at_matched_loss
from analysis.core.panels import knob_names, panels, subject
from analysis.k_phase_diagram.fits import page_of_ends
from analysis.k_phase_diagram.interval_axes import draw_interval_axis
from analysis.k_phase_diagram.intervals import INTERVAL, at_the_end

MATCHED, RESPONSE, LOSS, RATE = "test_acc_beside_fixed_features", "test_acc_lin", "train_loss_lin", "learning_rate"
_MEASURED: Mapping[str, str] = MappingProxyType(
    {
        RESPONSE: "test accuracy (linearised)\nat the end",
        MATCHED: "test accuracy (linearised)\nat the training loss where K = ∞ ends",
        "train_acc_lin": "training accuracy (linearised)\nat the end",
    }
)
_SUBJECT = ("data_name", "network", "optimizer", RATE)


def fixed_features(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return accuracy against K at the end, and at the training loss with which K = ∞ ends, of the same seed."""
    ends = beside_fixed_features(trials, rows)
    if ends[MATCHED].notna().sum() == 0 or ends.loc[ends[MATCHED].notna(), INTERVAL].nunique() < 2:
        return None
    found = panels(trials, ends, inside=(INTERVAL, "seed", "steps", RATE), across=[], several=INTERVAL)
    title = subject(trials, found, _SUBJECT, f"after {trials['steps'].max()} steps", "mean and range of seeds")
    label = "K: steps between feature updates"
    figure, numbers = page_of_ends(found, _MEASURED, INTERVAL, RATE, axis=draw_interval_axis, title=title, label=label)
    return Drawing(figure, numbers, "fixed_features")


def beside_fixed_features(trials: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the last row of every trial as long as the longest, with its accuracy at the loss of fixed features.

    Column `test_acc_beside_fixed_features` is the test accuracy when the training loss first fell to that with which
    the training of the same other knobs ends whose features never change, interpolated in the logarithm of the loss;
    null where it never did, or where there is no such training.
    """
    ends = at_the_end(trials, rows)
    alike = ["seed", *(name for name in knob_names(trials) if name != INTERVAL and trials[name].nunique() > 1)]
    shown = ends.columns.difference(alike, sort=False)
    ends = ends[shown].merge(trials[["trial_id", *alike]], on="trial_id")
    endless = ends[(ends[INTERVAL] == trials["steps"].max()) & (ends["outcome"] == "finished")]
    found = []
    for _, level in endless.iterrows():
        same = ends.loc[(ends[alike] == level[alike]).all(axis=1), "trial_id"]
        of_same = rows[rows["trial_id"].isin(same) & (rows["step"] <= level["step"])]
        found.append(at_matched_loss(of_same, [level[LOSS]], LOSS, [RESPONSE]))
    table = pd.concat(found) if found else pd.DataFrame(columns=["trial_id", RESPONSE])
    return ends.assign(**{MATCHED: ends["trial_id"].map(table.set_index("trial_id")[RESPONSE]).astype(float)})
