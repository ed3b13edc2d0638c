"""Panels: every combination of what varies, no trial in two, too many cut down and said so."""

import numpy as np
import pytest

from analysis.core.panels import MOST_SHOWN, MOST_WRAPPED, WIDEST, panels, spread, subject
from tests.analysis.training_frames import trained

INTERVAL = "feature_update_interval"
INSIDE = (INTERVAL, "seed", "steps")


def test_rates_stand_side_by_side_and_other_knobs_below() -> None:
    settings = [
        {"learning_rate": rate, "width": width, INTERVAL: interval}
        for rate in (0.1, 0.2, 0.3)
        for width in (8, 16)
        for interval in (1, 10)
    ]
    trials, rows = trained(settings)
    found = panels(trials, rows, inside=INSIDE, across=["learning_rate"])
    assert found.shape == (2, 3)
    assert [(panel.row, panel.column) for panel in found.shown] == [
        (row, column) for row in (0, 1) for column in range(3)
    ]
    assert found.shown[4].setting == {"width": 16, "learning_rate": 0.2}
    assert found.shown[4].title == "width 16, learning rate 0.2"
    assert sorted(name for panel in found.shown for name in panel.trials["trial_id"]) == sorted(trials["trial_id"])
    for panel in found.shown:
        assert set(panel.rows["trial_id"]) == set(panel.trials["trial_id"])
    assert found.omitted == ""


def test_knobs_that_do_not_vary_make_one_panel() -> None:
    found = panels(*trained([{INTERVAL: 1}, {INTERVAL: 10, "seed": 1}]), inside=INSIDE, across=[])
    assert [(panel.setting, panel.title) for panel in found.shown] == [({}, "")]


def test_a_knob_that_some_trials_lack_still_finds_its_panel() -> None:
    found = panels(*trained([{"width": 8.0}, {"width": np.nan}]), inside=INSIDE, across=[])
    assert [len(panel.trials) for panel in found.shown] == [1, 1]


def test_too_many_values_are_cut_to_evenly_spread_ones_and_the_title_says_so() -> None:
    trials, rows = trained([{"learning_rate": 0.1 * number} for number in range(1, 14)])
    found = panels(trials, rows, inside=INSIDE, across=["learning_rate"])
    rates = [panel.setting["learning_rate"] for panel in found.shown]
    assert len(rates) == MOST_SHOWN
    assert (rates[0], rates[-1]) == pytest.approx((0.1, 1.3))
    assert (
        subject(trials, found, ["network", "loss"]) == "mlp, cross_entropy; shown are 6 of 13 values of learning_rate"
    )


def test_a_long_row_wraps_into_rows_of_about_one_length_where_it_may() -> None:
    def shape(rates: int, widths: int = 1) -> tuple[tuple[int, int], int, str]:
        settings = [{"learning_rate": 0.1 * rate, "width": width} for rate in range(rates) for width in range(widths)]
        found = panels(*trained(settings), inside=INSIDE, across=["learning_rate"], wraps=True)
        places = [(panel.row, panel.column) for panel in found.shown]
        assert places == sorted(set(places)), "in reading order, each place once"
        return found.shape, len(found.shown), found.omitted

    assert shape(WIDEST) == ((1, WIDEST), WIDEST, "")
    assert shape(5) == ((2, 3), 5, "")
    assert shape(7) == ((2, 4), 7, "")
    assert shape(13) == ((3, 4), MOST_WRAPPED, "12 of 13 values of learning_rate")
    assert shape(7, widths=2) == ((2, MOST_SHOWN), 2 * MOST_SHOWN, "6 of 7 values of learning_rate")


def test_knobs_that_make_no_full_grid_leave_no_row_or_column_empty() -> None:
    random = np.random.default_rng(0)
    trials, rows = trained([{"learning_rate": rate, "width": width} for rate, width in random.uniform(size=(40, 2))])
    found = panels(trials, rows, inside=INSIDE, across=["learning_rate"])
    assert {panel.row for panel in found.shown} == set(range(found.shape[0]))
    assert {panel.column for panel in found.shown} == set(range(found.shape[1]))
    assert "of 40 values of width" in found.omitted


def test_panels_with_one_value_give_way_to_those_with_several() -> None:
    trials, rows = trained([{INTERVAL: 1}, {INTERVAL: 10}, {INTERVAL: 10, "warm_steps": 5}])
    trials["warm_steps"] = trials["warm_steps"].fillna(0)
    found = panels(trials, rows, inside=INSIDE, across=[], several=INTERVAL)
    assert [panel.trials["trial_id"].tolist() for panel in found.shown] == [["t0", "t1"]]
    alone = trials[trials[INTERVAL] == 10]
    assert len(panels(alone, rows, inside=INSIDE, across=[], several=INTERVAL).shown) == 2


def test_spread_keeps_both_ends() -> None:
    assert spread(range(3), 6) == range(3)
    assert spread(range(101), 3) == [0, 50, 100]
