"""What a fixed transform of an image is worth where features are updated every K steps."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.core.augmentation_worth import ACCURACY, ARM, RATIO, worth
from analysis.core.figures import Drawing, ordered_looks
from analysis.core.numbers import shown_number
from analysis.core.pages import axes_grid
from analysis.core.panels import panels, subject
from analysis.k_phase_diagram.intervals import INTERVAL

_NAMES = {"rows_ratio": RATIO, "rows_augmentation": ARM, "final_test_acc_lin": ACCURACY}
_SUBJECT = ("data_name", "network", "learning_rate", "steps")


def worth_by_interval(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return test accuracy and the augmentation efficiency against K, a line each ratio; None of several settings."""
    if not set(_NAMES) <= set(trials) or trials["rows_augmentation"].nunique() < 2 or trials[INTERVAL].nunique() < 2:
        return None
    found = panels(trials, trials, inside=(*_NAMES, INTERVAL, "seed"), across=[])
    if len(found.shown) > 1:
        return None
    finished = trials[trials["outcome"] == "finished"].rename(columns=_NAMES)
    tables = [_worth(own).assign(**{INTERVAL: interval}) for interval, own in finished.groupby(INTERVAL)]
    table = pd.concat(tables, ignore_index=True)
    if not len(table):
        return None
    figure, grid = axes_grid(
        1, 2, size=(4.0, 3.0), title=subject(trials, found, _SUBJECT, "dashed: copies; bars: 95 % bootstrap intervals")
    )
    left, right = grid[0]
    for ratio, (colour, marker) in ordered_looks(table[RATIO]).items():
        own = table[table[RATIO] == ratio]
        left.plot(own[INTERVAL], own["acc_copies"], f"{marker}--", color=colour, markersize=3.5, linewidth=1)
        left.plot(
            own[INTERVAL],
            own["acc_arm"],
            f"{marker}-",
            color=colour,
            markersize=3.5,
            label=f"p = {shown_number(ratio)}",
        )
        ends = own[["aug_efficiency_low", "aug_efficiency_high"]].to_numpy(float)
        lengths = np.abs(ends.T - own["aug_efficiency"].to_numpy(float))
        right.errorbar(
            own[INTERVAL], own["aug_efficiency"], lengths, color=colour, marker=marker, markersize=3.5, capsize=2
        )
    for axes, label in ((left, "test accuracy (linearised)"), (right, "augmentation efficiency e(p)")):
        axes.set(xscale="log", xlabel="K: steps between feature updates", ylabel=label)
    left.legend()
    return Drawing(figure, table, "worth")


def _worth(trials: pd.DataFrame) -> pd.DataFrame:
    """Return what a fixed transform is worth; with all images distinct it is the copies' training."""
    ends = trials[(trials[RATIO] == 1) & (trials[ARM] == "copies")].assign(**{ARM: "fixed_aug"})
    return worth(pd.concat([trials, ends], ignore_index=True), "fixed_aug")
