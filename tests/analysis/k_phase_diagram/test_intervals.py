"""Trials apart by an interval: one trial a training, cells filled from the training they are, times that compare."""

import numpy as np
import pytest

from analysis.core.panels import knob_names
from analysis.k_phase_diagram.interval_axes import interval_names
from analysis.k_phase_diagram.intervals import (
    INTERVAL,
    at_the_end,
    by_rounds,
    distinct_trainings,
    filled,
    interval_cells,
    matched_cells,
    shared_steps,
)
from tests.analysis.training_frames import STEPS, accuracy, trained


def endless(**setting: object) -> dict[str, object]:
    return {INTERVAL: setting.get("steps", 100), **setting}


def test_of_trials_that_differ_in_length_the_longest_stays() -> None:
    trials, rows = trained([endless(steps=10), endless(), {INTERVAL: 5, "steps": 20}, {INTERVAL: 5}, {INTERVAL: 10}])
    kept, its_rows = distinct_trainings(trials, rows, knob_names(trials))
    assert kept["trial_id"].tolist() == ["t1", "t3", "t4"]
    assert kept[INTERVAL].tolist() == [100, 5, 10]
    assert set(its_rows["trial_id"]) == {"t1", "t3", "t4"}


def test_an_infinite_interval_has_one_value_whatever_the_length() -> None:
    trials, rows = trained([endless(steps=20, learning_rate=0.5), endless()])
    kept, its_rows = distinct_trainings(trials, rows, knob_names(trials))
    assert kept[INTERVAL].tolist() == [100, 100]
    assert its_rows[INTERVAL].unique().tolist() == [100]
    for of_length in (20, 100):
        assert interval_names(kept[kept["steps"] == of_length]) == {100: "∞"}


def test_a_stopped_trial_gives_way_to_a_shorter_one_that_finished() -> None:
    trials, rows = trained([{"outcome": "stopped", "ends": 5}, {"steps": 50}])
    kept, _ = distinct_trainings(trials, rows, knob_names(trials))
    assert kept["trial_id"].tolist() == ["t1"]


def test_of_trials_that_differ_in_their_rows_only_that_with_the_most_stays() -> None:
    settings = [{INTERVAL: 10, "measured_rounds": rounds} for rounds in (0, 300, 40)]
    trials, rows = trained([*settings, {INTERVAL: 1, "measured_rounds": 0}])
    kept, its_rows = distinct_trainings(trials, rows, knob_names(trials))
    assert kept["trial_id"].tolist() == ["t1", "t3"]
    assert set(its_rows["trial_id"]) == {"t1", "t3"}
    assert "measured_rounds" not in kept


def test_shared_steps_are_those_of_all_that_came_that_far() -> None:
    every_round = {5: (0, 1, 5, 10, 15, 20, 25, 100), 10: (0, 1, 5, 10, 20, 30, 100)}
    _, rows = trained([{INTERVAL: 5}, {INTERVAL: 10}], at=lambda knobs: every_round[knobs[INTERVAL]])
    assert shared_steps(rows) == [1, 5, 10, 20, 100]
    _, rows = trained([{INTERVAL: 5, "outcome": "diverged", "ends": 10}, {INTERVAL: 10}])
    assert shared_steps(rows) == list(STEPS[1:])


def test_cells_before_the_first_update_come_from_any_trial_of_the_seed() -> None:
    trials, rows = trained([endless(), {INTERVAL: 10, "outcome": "stopped", "ends": 2}])
    cells = interval_cells(trials, rows, STEPS[1:], "test_acc_lin", "train_acc_lin").set_index([INTERVAL, "step"])
    for step in (1, 2, 5, 10):
        assert cells.loc[(10, step), "seeds"] == 1
        assert cells.loc[(10, step), "mean"] == pytest.approx(accuracy({INTERVAL: 10 if step <= 2 else 100}, step))
    assert cells.loc[(10, slice(20, None)), "seeds"].eq(0).all()


def test_an_intervals_own_row_goes_before_anothers_and_none_crosses_seeds() -> None:
    _, rows = trained([endless(), {INTERVAL: 10}, {INTERVAL: 10, "seed": 1}])
    complete = filled(rows, [10, 100])
    assert not complete.duplicated([INTERVAL, "seed", "step"]).any()
    own = complete[complete[INTERVAL] == 10]
    assert set(own["trial_id"]) == {"t1", "t2"}
    assert complete[(complete[INTERVAL] == 100) & (complete["seed"] == 1)]["step"].max() == 10


def test_a_diverged_trial_leaves_diverged_cells_but_for_steps_it_has_not_come_to() -> None:
    trials, rows = trained([endless(), {INTERVAL: 10, "outcome": "diverged", "ends": 20}])
    cells = interval_cells(trials, rows, STEPS[1:], "test_acc_lin", "train_acc_lin").set_index([INTERVAL, "step"])
    assert cells.loc[10, "diverged"].tolist() == [int(step > 20) for step in STEPS[1:]]
    assert not cells.loc[100, "diverged"].any()


def test_cells_by_rounds_are_the_same_cells() -> None:
    trials, rows = trained([{INTERVAL: interval} for interval in (1, 5, 20, 100)])
    cells = interval_cells(trials, rows, STEPS[1:], "test_acc_lin", "train_acc_lin")
    rounds = by_rounds(cells)
    for cell in rounds.itertuples():
        assert cell.rounds == max(1.0, cell.step / getattr(cell, INTERVAL))
    for step, column in rounds.groupby("step"):
        assert len(column) == len({max(1, step / interval) for interval in (1, 5, 20, 100)})
    assert rounds.loc[rounds["step"] == 1, "rounds"].tolist() == [1.0]


def test_accuracy_that_follows_the_loss_is_the_same_for_every_interval_at_matched_loss() -> None:
    trials, rows = trained([{INTERVAL: interval, "seed": seed} for interval in (1, 16, 81) for seed in range(2)])
    cells = matched_cells(trials, rows, [1.0, 0.5, 0.1, 1e-7], "train_loss_lin", "test_acc_lin")
    reached = cells[cells["seeds"] > 0]
    np.testing.assert_allclose(reached["mean"], 0.2 - 0.05 * np.log(reached["level"]))
    at_same_time = rows.groupby("step")["test_acc_lin"].nunique()
    assert at_same_time.loc[50] == 3
    assert cells.loc[cells["level"] == 1e-7, "seeds"].eq(0).all()


def test_cells_that_some_seeds_reached_are_marked() -> None:
    trials, rows = trained([{}, {"seed": 1, "outcome": "diverged", "ends": 1}])
    cells = matched_cells(trials, rows, [1.9, 0.5, 1e-9], "train_loss_lin", "test_acc_lin")
    cells = cells.set_index("level")
    assert cells["marked"].to_dict() == {1.9: False, 0.5: True, 1e-9: False}
    assert cells["diverged"].to_dict() == {1.9: 0, 0.5: 1, 1e-9: 1}


def test_the_end_is_the_last_row_of_trials_of_full_length_whether_or_not_it_has_every_value() -> None:
    settings = [{}, {"steps": 50}, {"outcome": "stopped", "ends": 20}, {"outcome": "diverged", "ends": 10}]
    measured = {"ntk_distance": lambda knobs, step: step / 100 if step <= 50 else float("nan")}
    ends = at_the_end(*trained(settings, measured))
    assert ends["trial_id"].tolist() == ["t0", "t3"]
    np.testing.assert_equal(ends["ntk_distance"].tolist(), [np.nan, 0.1])
    assert ends["outcome"].tolist() == ["finished", "diverged"]
