"""Arms of augmentation at equal training loss: transformed rows are harder, and arms end at different losses."""

from __future__ import annotations

import pandas as pd

from analysis.core.augmentation_worth import ARM
from analysis.core.matched_loss import at_matched_loss
from analysis.core.panels import knob_names

TRAIN_LOSS = "train_loss"
EQUAL_LOSS, EQUAL_ACCURACY = "equal_train_loss", "test_acc_at_equal_loss"


def at_equal_loss(trials: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the trials that have companions of other arms, each as it was at a training loss that all of them reach.

    Companions differ in their arm alone. The loss is that of an epoch's batches as they were shown, and the lowest that
    the one among them reaches that fits its rows least: mostly fresh transforms. Columns `equal_train_loss` and
    `test_acc_at_equal_loss`, between two epochs interpolated linearly in the logarithm of the loss.

    Args:
        trials: Trials of the augmentation ratio.
        rows: Their measurements, with columns `trial_id`, `step`, `train_loss` and `test_acc`.
    """
    rows = rows.dropna(subset=[TRAIN_LOSS, "test_acc"])
    least = trials["trial_id"].map(rows.groupby("trial_id")[TRAIN_LOSS].min())
    known = trials.assign(**{EQUAL_LOSS: least}).dropna(subset=[EQUAL_LOSS])
    companions = known.groupby([name for name in ("seed", *knob_names(trials)) if name != ARM], dropna=False)
    known[EQUAL_LOSS] = companions[EQUAL_LOSS].transform("max")
    known = known[companions[ARM].transform("nunique") > 1]
    levels = known[["trial_id", EQUAL_LOSS]].drop_duplicates().groupby("trial_id")[EQUAL_LOSS].agg(list)
    crossed = [
        at_matched_loss(of_trial, levels[trial_id], TRAIN_LOSS, ["test_acc"])
        for trial_id, of_trial in rows[rows["trial_id"].isin(levels.index)].groupby("trial_id")
    ]
    found = pd.concat(crossed or [pd.DataFrame(columns=["trial_id", "level", "test_acc"])], ignore_index=True)
    named = found.rename(columns={"level": EQUAL_LOSS, "test_acc": EQUAL_ACCURACY})
    return known.merge(named[["trial_id", EQUAL_LOSS, EQUAL_ACCURACY]], on=["trial_id", EQUAL_LOSS])
