"""Crossings of two axes: cells, corners, effects and interactions, against tables made by hand and SciPy."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.core.panels import panels
from analysis.k_phase_diagram.crossing_figures import CrossedAxis, Reading, draw_crossing, draw_effects
from analysis.k_phase_diagram.crossings import (
    INTERACTION,
    Corners,
    corners,
    crossed_cells,
    everywhere,
    filled_share,
    interactions,
    matched_ends,
    matched_level,
    varying_pairs,
)

PAIR = ("width", "rate")
# (width, rate) -> accuracy of seeds 0, 1, 2
ACCURACY = {
    (1, 0.0): (0.50, 0.52, 0.54),
    (1, 0.1): (0.60, 0.61, 0.65),
    (8, 0.0): (0.70, 0.75, 0.71),
    (8, 0.1): (0.70, 0.70, 0.76),
}


def table(told: dict[tuple[float, float], tuple[float, ...]] = ACCURACY, **columns: Any) -> pd.DataFrame:
    """Return the trials of a table by hand, as the store returns trials with their last row."""
    settings = [(width, rate, seed, acc) for (width, rate), seeds in told.items() for seed, acc in enumerate(seeds)]
    ends = pd.DataFrame(settings, columns=[*PAIR, "seed", "acc"])
    ends.insert(0, "knobs_json", "{}")
    return ends.assign(trial_id=[f"t{n}" for n in range(len(ends))], outcome="finished", **columns)


def test_effects_and_interaction_are_those_of_the_table() -> None:
    told = interactions(table(), PAIR, "acc", Corners((1, 8), (0.0, 0.1)))
    effects = told.set_index(["effect", "given"])["mean"]
    assert effects["width", 0.0] == pytest.approx((0.20 + 0.23 + 0.17) / 3)
    assert effects["width", 0.1] == pytest.approx((0.10 + 0.09 + 0.11) / 3)
    assert effects["rate", 1.0] == pytest.approx((0.10 + 0.09 + 0.11) / 3)
    assert effects["rate", 8.0] == pytest.approx((0.0 - 0.05 + 0.05) / 3)
    both = told[told["effect"] == INTERACTION].iloc[0]
    assert both["mean"] == pytest.approx((-0.10 - 0.14 - 0.06) / 3)
    assert both["seeds"] == 3


def test_the_interval_is_scipys_over_seeds_paired_with_themselves() -> None:
    told = interactions(table(), PAIR, "acc", Corners((1, 8), (0.0, 0.1)))
    both = told[told["effect"] == INTERACTION].iloc[0]
    low, high = stats.t.interval(0.95, 2, *(f([-0.10, -0.14, -0.06]) for f in (np.mean, stats.sem)))
    assert (both["mean"] - both["half_width"], both["mean"] + both["half_width"]) == pytest.approx((low, high))
    # What a seed adds to all four corners is no part of an effect.
    shifted = table({cell: tuple(acc + 10 * n for n, acc in enumerate(seeds)) for cell, seeds in ACCURACY.items()})
    again = interactions(shifted, PAIR, "acc", Corners((1, 8), (0.0, 0.1)))
    np.testing.assert_allclose(again["half_width"], told["half_width"])


def test_either_axis_may_be_called_the_first_and_axes_that_add_do_not_interact() -> None:
    swapped = interactions(table(), PAIR[::-1], "acc", Corners((0.0, 0.1), (1, 8)))
    told = interactions(table(), PAIR, "acc", Corners((1, 8), (0.0, 0.1)))
    numbers = ["mean", "half_width"]
    np.testing.assert_allclose(swapped[numbers].iloc[-1], told[numbers].iloc[-1])
    sums = {(width, rate): tuple(width + rate + 0.1 * seed for seed in range(3)) for width, rate in ACCURACY}
    both = interactions(table(sums), PAIR, "acc", Corners((1, 8), (0.0, 0.1))).iloc[-1]
    assert both[numbers].tolist() == pytest.approx([0, 0], abs=1e-12)


def test_a_seed_without_all_four_corners_does_not_count() -> None:
    ends = table()
    lost = (ends["width"] == 8) & (ends["rate"] == 0.1) & (ends["seed"] == 1)
    for missing in (ends[~lost], ends.assign(outcome=ends["outcome"].mask(lost, "diverged"))):
        both = interactions(missing, PAIR, "acc", Corners((1, 8), (0.0, 0.1))).iloc[-1]
        assert both["seeds"] == 2
        assert both["mean"] == pytest.approx((-0.10 - 0.06) / 2)


def test_corners_are_the_outermost_that_two_seeds_have() -> None:
    whole = dict.fromkeys(itertools.product((1, 2, 4), (0.0, 0.1, 0.2)), (0.1, 0.2))
    assert corners(table(whole), PAIR, "acc") == Corners((1, 4), (0.0, 0.2))
    holed = {cell: (np.nan, 0.2) if cell == (4, 0.2) else acc for cell, acc in whole.items()}
    assert corners(table(holed), PAIR, "acc") == Corners((1, 4), (0.0, 0.1))
    assert corners(table({(1, 0.0): (0.1, 0.2), (2, 0.1): (0.1, 0.2)}), PAIR, "acc") is None


def test_cells_are_of_the_seeds_that_finished_and_none_is_left_out() -> None:
    told = {**ACCURACY, (4, 0.1): (0.3, 0.4)}
    ends = table(told)
    ends["outcome"] = ends["outcome"].mask((ends["width"] == 4) & (ends["seed"] == 1), "diverged")
    cells = crossed_cells(ends, PAIR, "acc").set_index(["width", "rate"])
    assert len(cells) == 6
    assert cells.loc[(4, 0.1), ["mean", "seeds", "diverged", "marked"]].tolist() == [0.3, 1, 1, True]
    assert cells["marked"].sum() == 1
    assert cells.loc[(4, 0.0), ["seeds", "diverged"]].tolist() == [0, 0]
    assert cells.loc[(1, 0.1), ["mean", "smallest", "largest"]].tolist() == pytest.approx([0.62, 0.60, 0.65])
    assert filled_share(ends, PAIR) == pytest.approx(5 / 6)


def test_what_a_knob_does_not_touch_stands_at_every_value_of_it() -> None:
    ends = table({(1, 0.0): (0.5,), (8, 0.0): (0.7,), (8, 0.1): (0.8,)})
    trials, rows = everywhere(ends, ends, ends["width"] == 1, "rate")
    for told in (trials, rows):
        assert told.set_index(["width", "rate"])["acc"].to_dict() == {
            (1, 0.0): 0.5,
            (1, 0.1): 0.5,
            (8, 0.0): 0.7,
            (8, 0.1): 0.8,
        }
    assert trials["trial_id"].is_unique
    assert set(trials["trial_id"]) == set(rows["trial_id"])
    only = ends[ends["width"] == 1]
    assert everywhere(only, only, only["width"] == 1, "rate")[0] is only
    assert everywhere(ends, ends, ends["width"] == 1, "other")[0] is ends


def test_trials_are_compared_at_the_lowest_loss_that_enough_of_them_reach() -> None:
    lasts = {"a": 0.001, "b": 0.06, "c": 0.3}
    rows = pd.DataFrame(
        [
            {"trial_id": name, "step": step, "loss": loss, "acc": 1 - loss}
            for name, last in lasts.items()
            for step, loss in ((0, 1.0), (10, last))
        ]
    )
    assert matched_level(rows, "loss", 2 / 3) == pytest.approx(0.1)
    assert matched_level(rows, "loss", 1.0) == pytest.approx(0.5)
    assert matched_level(rows[rows["step"] == 0], "loss", 1.0) is None
    ends = matched_ends(pd.DataFrame({"trial_id": list(lasts)}), rows, "loss", 0.1, "acc").set_index("trial_id")
    assert ends["acc"].notna().to_dict() == {"a": True, "b": True, "c": False}


def test_pairs_are_of_axes_that_vary() -> None:
    assert varying_pairs(table(depth=1), ["width", "depth", "rate", "none"]) == [PAIR]


def test_figures_have_a_row_a_panel_and_the_effects_of_each() -> None:
    wide = pd.concat([table(depth=1), table(depth=2)], ignore_index=True)
    trials = wide.assign(trial_id=[f"t{n}" for n in range(len(wide))])
    found = panels(trials, trials, inside=(*PAIR, "seed", "acc", "trial_id", "outcome"), across=[])
    axes = (
        CrossedAxis(column="width", name="width", label="width (units)", names={8: "∞"}),
        CrossedAxis(column="rate", name="rate", label="rate"),
    )
    reading = Reading(label="at the end", ends=trials, response="acc", name="accuracy")
    diagram = draw_crossing(found, [reading], axes, title="by hand", name="width_by_rate")
    effects = draw_effects(found, [reading], axes, title="by hand", name="width_by_rate")
    assert effects is not None
    assert (diagram.name, effects.name) == ("width_by_rate", "width_by_rate_effects")
    assert diagram.numbers.groupby("depth").size().to_dict() == {1: 4, 2: 4}
    assert effects.numbers.groupby("depth").size().to_dict() == {1: 5, 2: 5}
    written = {text.get_text() for axes_ in diagram.figure.axes for text in axes_.texts}
    assert written == {"0.520", "0.620", "0.720"}
    forest = [label.get_text() for label in effects.figure.axes[2].get_yticklabels()]
    assert forest == [
        "width 1 → ∞,\nrate 0",
        "width 1 → ∞,\nrate 0.1",
        "rate 0 → 0.1,\nwidth 1",
        "rate 0 → 0.1,\nwidth ∞",
        "interaction",
    ]
    alone = trials[trials["seed"] == 0]
    assert (
        draw_effects(found, [Reading(label="", ends=alone, response="acc", name="")], axes, title="", name="") is None
    )
