"""The figures of the K phase diagram: what is drawn of which trials, and what is left out."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.core.figures import Drawing
from analysis.core.panels import knob_names
from analysis.k_phase_diagram import figures
from analysis.k_phase_diagram.intervals import INTERVAL, distinct_trainings
from tests.analysis.training_frames import STEPS, Measure, accuracy, trained

INTERVALS = (1, 10, 100)
NEWER: dict[str, Measure] = {
    "ntk_distance": lambda knobs, step: step / (100.0 * knobs[INTERVAL]),
    "lr_stability_ratio": lambda knobs, step: knobs["learning_rate"] * (1 + step) if step % 10 == 0 else np.nan,
}


class Store:
    """Results of two tables."""

    def __init__(self, trials: pd.DataFrame, rows: pd.DataFrame) -> None:
        self._trials, self._rows = trials, rows

    def trials(self, study: str) -> pd.DataFrame:
        return self._trials

    def measurements(self, study: str, knobs: bool) -> pd.DataFrame:
        return self._rows


def grid(**setting: Any) -> list[dict[str, Any]]:
    return [{INTERVAL: interval, "seed": seed, **setting} for interval in INTERVALS for seed in range(2)]


def drawn(settings: list[dict[str, Any]], measures: dict[str, Measure] | None = None) -> dict[str, Drawing]:
    """Return all drawings by name."""
    drawings = figures.draw(Store(*trained(settings, measures)))  # type: ignore[arg-type]
    assert all(len(drawing.numbers) for drawing in drawings)
    names = [drawing.name for drawing in drawings]
    assert len(set(names)) == len(names)
    return dict(zip(names, drawings, strict=True))


def titles(drawing: Drawing) -> list[str]:
    return [axes.get_title(loc="left") for axes in drawing.figure.axes if axes.get_title(loc="left")]


def test_the_main_figure_has_every_cell_and_no_name() -> None:
    main = drawn(grid())[""].numbers
    expected = main.apply(lambda cell: accuracy({INTERVAL: cell[INTERVAL]}, cell["step"]), axis=1)
    after_an_update = main["step"] > main[INTERVAL]
    np.testing.assert_allclose(main["mean"][after_an_update], expected[after_an_update])
    assert len(main) == len(INTERVALS) * 7
    assert main["seeds"].eq(2).all()
    assert (main["marked"] == (main["train_acc_lin"] < figures.FITTED)).all()


def test_old_trials_draw_without_the_newer_columns_and_new_ones_with_them() -> None:
    without = drawn(grid())
    assert set(without) == {"", "rounds", "updates", "matched_loss", "trajectories", "damping", "fixed_features"}
    assert set(drawn(grid(), NEWER)) - set(without) == {"movement", "stability"}
    empty: dict[str, Measure] = {name: lambda knobs, step: np.nan for name in NEWER}
    assert set(drawn(grid(), empty)) == set(without)


def test_rates_and_other_knobs_have_panels_of_their_own() -> None:
    drawings = drawn(
        [cell for rate in (0.1, 0.2) for width in (8, 16) for cell in grid(learning_rate=rate, width=width)]
    )
    for name in ("", "rounds", "updates", "matched_loss"):
        assert titles(drawings[name]) == [
            f"width {width}, learning rate {rate}" for width in (8, 16) for rate in (0.1, 0.2)
        ]
    assert titles(drawings["damping"]) == ["width 8", "width 16"]


def test_movement_is_that_at_the_end_for_each_interval() -> None:
    numbers = drawn(grid(), NEWER)["movement"].numbers
    assert numbers[[INTERVAL, "mean"]].to_numpy().tolist() == [[1, 1.0], [10, 0.1], [100, 0.01]]


def test_an_interval_whose_rounds_have_no_rows_stands_beside_the_others() -> None:
    cells = [{**cell, "measured_rounds": 0 if cell[INTERVAL] == 1 else 300} for cell in grid()]
    drawings, usual = drawn(cells, NEWER), drawn(grid(), NEWER)
    assert drawings.keys() == usual.keys()
    for name, drawing in drawings.items():
        pd.testing.assert_frame_equal(drawing.numbers, usual[name].numbers)


def test_what_only_one_interval_measured_has_no_panel() -> None:
    once: dict[str, Measure] = {"rep_change": lambda knobs, step: 1.0 if knobs[INTERVAL] == 10 else np.nan}
    assert set(drawn(grid(), {**NEWER, **once})["movement"].numbers["measurement"]) == {"ntk_distance"}


def test_rounds_that_are_solved_stand_beside_plain_training() -> None:
    def of(optimizer: str, **setting: Any) -> list[dict[str, Any]]:
        return [{"optimizer": optimizer, "seed": seed, **setting} for seed in range(2)]

    plain = [*of("sgd", round_tolerance=0.0), *of("adam", round_tolerance=0.0)]
    assert "converged" not in drawn(plain)
    others = of("sgd", round_tolerance=0.0, **{INTERVAL: 10})
    numbers = drawn([*plain, *others, *of("adam", round_tolerance=0.01, **{INTERVAL: 100})])["converged"].numbers
    assert list(numbers["arm"].unique()) == ["sgd 0.1\nK = 1", "adam 0.1\nK = 1", "adam 0.1\nrounds to 0.01"]
    solved = numbers[numbers["arm"].str.endswith("0.01") & (numbers["measurement"] == "test_err_lin")]
    expected = [1 - accuracy({INTERVAL: 100}, step) for step in STEPS]
    assert sorted(solved["value"].unique(), reverse=True) == pytest.approx(expected)


def test_a_mean_of_diverged_trials_is_none() -> None:
    settings = [*grid(), {INTERVAL: 50, "outcome": "diverged", "ends": 20}]
    numbers = drawn(settings, NEWER)["movement"].numbers.set_index(INTERVAL)
    assert numbers.loc[50, "seeds"] == 0
    assert np.isnan(numbers.loc[50, "mean"])


def test_damping_is_the_inverse_of_rate_times_interval() -> None:
    numbers = drawn(grid(learning_rate=0.5))["damping"].numbers
    assert sorted(numbers["effective_damping"].unique()) == pytest.approx([0.02, 0.2, 2.0])


def test_beside_fixed_features_all_are_read_at_the_loss_with_which_these_end_in_the_same_seed() -> None:
    """The accuracy is a line in the logarithm of the loss, so at one loss all are equal, whatever K."""

    def by_seed(knobs: dict[str, Any], step: int) -> float:
        return accuracy(knobs, step) + (0.1 if knobs["width"] == 16 else 0.0)

    settings = [setting for width in (8, 16) for setting in grid(width=width)]
    numbers = drawn(settings, {"test_acc_lin": by_seed})["fixed_features"].numbers
    beside = numbers[numbers["measurement"] == "test_acc_beside_fixed_features"]
    for width, above in ((8, 0.0), (16, 0.1)):
        expected = accuracy({INTERVAL: 100}, 100) + above
        assert beside.loc[beside["width"] == width, "mean"].tolist() == pytest.approx([expected] * len(INTERVALS))
    ends = numbers[(numbers["measurement"] == "test_acc_lin") & (numbers["width"] == 8)].set_index(INTERVAL)["mean"]
    assert ends[1] > ends[10] > ends[100]
    assert "fixed_features" not in drawn([setting for setting in grid() if setting[INTERVAL] < 100])


def test_one_shot_shows_what_was_warmed_up_and_rounds_do_not() -> None:
    warmed = [{INTERVAL: 100, "seed": seed, "warm_steps": steps} for seed in range(2) for steps in (10, 50)]
    by_warmth: dict[str, Measure] = {"test_acc_lin": lambda knobs, step: knobs["warm_steps"] / 100}
    drawings = drawn([*grid(warm_steps=0), *warmed], by_warmth)
    numbers = drawings["one_shot"].numbers
    of_trained = numbers[numbers["response"] == "test_acc_lin"]
    assert of_trained[["warm_steps", "mean"]].to_numpy().tolist() == [[0, 0.0], [10, 0.1], [50, 0.5]]
    assert drawings["rounds"].numbers["mean"].max() == 0.0


def test_failed_trials_and_older_revisions_are_left_out() -> None:
    trials, rows = trained([*grid(), {INTERVAL: 3, "outcome": "failed"}, {INTERVAL: 7}])
    trials["revision"] = [1] * 7 + [0]
    (main, *_) = figures.draw(Store(trials, rows))  # type: ignore[arg-type]
    assert sorted(main.numbers[INTERVAL].unique()) == list(INTERVALS)


def unusual() -> Iterator[Any]:
    diverged = {"outcome": "diverged", "ends": 0}
    yield pytest.param([{}], id="one trial")
    yield pytest.param(
        [{"ends": 5, "outcome": "stopped"}, {INTERVAL: 10, "ends": 2, "outcome": "stopped"}], id="stopped"
    )
    yield pytest.param([*grid(), *grid(learning_rate=9.0, **diverged)], id="a panel that diverged at once")
    yield pytest.param(grid(outcome="diverged", ends=20), id="all diverged")
    yield pytest.param([*grid(), *grid(steps=20), {INTERVAL: 20, "steps": 20, "seed": 5}], id="several lengths")
    yield pytest.param([*grid(), *grid(loss="mse")], id="two losses")
    rates = np.geomspace(0.01, 1, 25)
    yield pytest.param([{"learning_rate": rate, "width": 1 / rate} for rate in rates], id="a search")


@pytest.mark.slow
@pytest.mark.parametrize("settings", list(unusual()))
def test_unusual_sweeps_draw(settings: list[dict[str, Any]]) -> None:
    drawings = drawn(settings, NEWER)
    assert "" in drawings
    for drawing in drawings.values():
        drawing.figure.draw_without_rendering()  # a figure may fail as late as this


def test_nothing_is_drawn_of_trials_that_measured_nothing() -> None:
    assert drawn([{"outcome": "diverged", "ends": 0}]) == {}


def test_figures_take_frames() -> None:
    trials, rows = trained(grid(), NEWER)
    trials, rows = distinct_trainings(trials, rows, knob_names(trials))
    for figure in figures.FIGURES:
        drawing = figure(trials, rows)
        assert drawing is None or len(drawing.numbers)
