"""The figures' numbers: what is compared at which training loss, and what is no result."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.core.figures import Drawing
from analysis.gauss_newton_damping.damping_arms import DAMPING, RATE, with_arms
from analysis.gauss_newton_damping.figures import (
    at_convergence,
    at_training_loss,
    damping_and_learning_rate,
    first_steps,
    generalisation,
    linearisation,
    matched_losses,
    movement,
    speed,
)

KNOBS = {
    "solver": "sample",
    "inner_learning_rate": 0.1,
    "inner_steps": 1000,
    "step_rule": "full",
    "first_steps": False,
    "loss_tolerance": 0.001,
}


def trajectory(damping: float, seed: int, *, rate: float = 0.5, status: str = "converged") -> pd.DataFrame:
    """Return rows of a training whose loss falls by a factor a step, and whose accuracy grows with the damping."""
    steps = 10
    number = np.arange(steps + 1)
    return pd.DataFrame(
        {
            "trial_id": f"{damping}-{seed}",
            "step": number,
            "train_loss": rate**number,
            "test_loss": 1 + damping + number / 100,
            "test_acc": 0.5 + damping + seed / 100,
            "test_acc_lin": 0.4,
            "rho": np.where(number, -1.0 / damping, np.nan),
            "step_norm": 1 / damping,
            "ntk_distance": number / 10,
            "ntk_cka_target": 0.5,
            "param_dist": 1.0,
            "param_path": 2.0,
            "effective_damping": np.where(number, damping, np.nan),
            "status": ["running"] * steps + [status],
            "seed": seed,
            "damping": damping,
            "learning_rate": 1.0,
            **KNOBS,
        }
    )


def stored(*trajectories: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows and the table of trials as a store gives them."""
    rows = pd.concat(trajectories, ignore_index=True)
    knobs = ["seed", "damping", "learning_rate", *KNOBS]
    last = rows.drop_duplicates("trial_id", keep="last")
    outcome = np.where(last["status"] == "diverged", "diverged", "finished")
    trials = last[["trial_id", *knobs]].assign(final_test_acc=0.0)
    trials.insert(1, "outcome", outcome)
    trials.insert(2, "knobs_json", "{}")
    return rows, trials


@pytest.fixture
def rows() -> pd.DataFrame:
    runs = [trajectory(damping, seed) for damping in (0.01, 0.1) for seed in range(3)]
    runs += [trajectory(1.0, seed, rate=0.99, status="budget") for seed in range(3)]
    return with_arms(*stored(*runs))


def at(drawing: Drawing, quantity: str, damping: float) -> pd.DataFrame:
    numbers = drawing.numbers
    return numbers[numbers["quantity"].str.startswith(quantity) & (numbers[DAMPING] == damping)]


def test_trials_are_compared_at_their_first_row_below_a_training_loss(rows: pd.DataFrame) -> None:
    compared = at_training_loss(rows, 0.1).set_index("trial_id")
    assert len(compared) == 9, "one row a trial, reached or not"
    assert compared.loc["0.01-0", "step"] == 4, "0.5^4 is the first below 0.1"
    assert compared.loc[["1.0-0", "1.0-1"], ["step", "test_acc"]].isna().all(axis=None)


def test_a_trial_out_of_budget_has_not_converged(rows: pd.DataFrame) -> None:
    converged = at_convergence(rows).set_index("trial_id")
    assert converged.loc["0.1-0", "step"] == 10
    assert np.isnan(converged.loc["1.0-0", "test_acc"])


def test_a_trial_that_was_asked_for_less_has_not_converged_as_far_as_the_others_of_its_curve(
    rows: pd.DataFrame,
) -> None:
    sooner = rows.assign(loss_tolerance=np.where(rows["damping"] == 0.1, 0.02, 0.0009))
    assert at_convergence(sooner)["test_acc"].isna().all(), "the others came to 0.00098"
    sooner["train_loss"] = np.where((rows["damping"] == 0.01) & (rows["step"] == 10), 0.0008, rows["train_loss"])
    assert set(at_convergence(sooner).dropna(subset="test_acc")["damping"]) == {0.01}


def test_generalisation_has_no_point_where_the_loss_was_not_reached(rows: pd.DataFrame) -> None:
    drawing = generalisation(rows)
    (point,) = at(drawing, "test accuracy, at", 0.1).to_dict("records")
    assert (point["mean"], point["smallest"], point["largest"]) == pytest.approx((0.61, 0.6, 0.62))
    assert not len(at(drawing, "test accuracy", 1.0))
    assert len(drawing.numbers) == 2 * 2 * 2


def test_every_matched_loss_is_a_curve(rows: pd.DataFrame) -> None:
    numbers = matched_losses(rows).numbers
    assert set(numbers["level"]) == {"0.1", "0.05", "0.02", "0.005", "0.001"}
    assert set(numbers[DAMPING]) == {0.01, 0.1}


def test_movement_and_speed_are_those_at_the_compared_loss(rows: pd.DataFrame) -> None:
    (moved,) = at(movement(rows), "tangent kernel's distance", 0.1).to_dict("records")
    assert moved["mean"] == pytest.approx(0.6), "after 6 steps the loss is below 0.02"
    (steps,) = at(speed(rows), "steps to a training loss", 0.1).to_dict("records")
    assert steps["mean"] == 6


def test_first_steps_are_placed_by_the_damping_of_their_own_step(rows: pd.DataFrame) -> None:
    drawing = first_steps(rows)
    (ratio,) = at(drawing, "actual", 0.01).to_dict("records")
    assert ratio["mean"] == -100
    assert len(at(drawing, "length", 1.0)) == 1, "a first step needs no convergence"


def test_curves_that_lie_on_the_damped_step_are_rings_and_the_panel_with_room_names_them() -> None:
    closed = trajectory(0.01, 0).assign(trial_id="closed", solver="gradient_descent_spectral", inner_steps=10**9)
    figure = linearisation(with_arms(*stored(trajectory(0.01, 0), closed))).figure
    looks = {str(line.get_label()): line.get_linestyle() for line in figure.axes[0].lines}
    assert looks["linearisation with proximal term, in closed form"] == "None"
    assert looks["damped step"] == "-"
    assert [axes.get_legend() is not None for axes in figure.axes] == [False, False, True]


def test_a_curve_alone_needs_no_name_and_crosses_do(rows: pd.DataFrame) -> None:
    legend = generalisation(rows).figure.axes[1].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["not reached"]
    panels = generalisation(rows[rows["damping"] < 1]).figure.axes
    assert [panel.get_legend() for panel in panels] == [None] * 4


def test_linearisation_is_placed_at_one_over_rate_times_steps_and_named_by_how_it_ends() -> None:
    way = {"solver": "gradient_descent_spectral"}
    rounds = trajectory(0.01, 0).assign(trial_id="rounds", **way).assign(damping=0.0)
    pulled = trajectory(0.01, 0).assign(trial_id="pulled", inner_steps=10**9, **way)
    krylov = trajectory(0.01, 0).assign(trial_id="krylov", solver="cg")
    stepped = trajectory(0.01, 0).assign(trial_id="stepped", solver="gradient_descent", inner_steps=10**9)
    stepped["inner_learning_rate"] = 0.05
    rows = with_arms(*stored(trajectory(0.01, 0), rounds, pulled, krylov, stepped))
    numbers = linearisation(rows).numbers
    accuracy = numbers[numbers["quantity"].str.startswith("test accuracy")].set_index("arm")[DAMPING]
    assert accuracy.to_dict() == pytest.approx(
        {
            "damped step by sample": 0.01,
            "damped step by conjugate gradients": 0.01,
            "linearisation, K gradient steps": 0.01,
            "linearisation with proximal term, in closed form": 0.01 + 1e-8,
            "linearisation with proximal term, by gradient steps": 0.01 + 2e-8,
        }
    )


def test_solvers_that_agree_make_one_curve_where_no_damping_was_solved_by_two() -> None:
    krylov = trajectory(1.0, 0).assign(trial_id="krylov", solver="cg")
    curve = with_arms(*stored(trajectory(0.01, 0), krylov))
    assert set(curve["arm"]) == {"all"}
    both = with_arms(*stored(trajectory(0.01, 0), trajectory(1.0, 0), krylov))
    assert set(both["arm"]) == {"damped step by sample", "damped step by conjugate gradients"}


def test_a_rate_of_inner_steps_is_an_arm_only_where_it_varies_in_one_way_of_solving() -> None:
    slow, fast = (
        trajectory(0.01, 0).assign(trial_id=str(rate), solver="adam", inner_learning_rate=rate) for rate in (0.1, 0.2)
    )
    assert with_arms(*stored(trajectory(0.01, 0), fast))["arm"].nunique() == 2
    assert with_arms(*stored(slow, fast))["arm"].nunique() == 2
    names = with_arms(*stored(trajectory(0.01, 0), fast))["arm"].unique()
    assert not any("0.2" in name for name in names)


def test_rounds_of_adam_and_plain_adam_are_two_arms() -> None:
    rounds, plain = (trajectory(0.01, 0).assign(trial_id=str(k), solver="adam", inner_steps=k) for k in (300, 1))
    rows = with_arms(*stored(rounds, plain))
    assert set(generalisation(rows).numbers["arm"]) == {"linearisation, rounds of Adam", "Adam, K = 1"}


def test_damping_and_learning_rate_have_a_panel_for_each_arm_and_count_divergence_in_its_own_cell() -> None:
    runs = [
        trajectory(damping, seed).assign(
            trial_id=f"{damping}-{rate}-{rule}-{seed}",
            learning_rate=rate,
            step_rule=rule,
            test_acc=accuracy + seed / 10,
        )
        for rule, accuracy in (("full", 0.5), ("line_search", 0.7))
        for damping in (0.01, 0.1)
        for rate in (0.5, 1.0)
        for seed in range(2)
    ]
    lost = runs[0].assign(train_loss=9.0, status="diverged", test_acc=np.nan)
    drawing = damping_and_learning_rate(with_arms(*stored(lost, *runs[1:])))
    cells = drawing.numbers.set_index(["arm", DAMPING, RATE])
    assert len(cells) == 2 * 2 * 2
    assert cells.loc[("full", 0.1, 0.5), ["mean", "smallest", "largest", "seeds"]].tolist() == pytest.approx(
        [0.55, 0.5, 0.6, 2]
    )
    assert cells.loc[("line_search", 0.1, 0.5), "mean"] == pytest.approx(0.75)
    assert cells.loc[("full", 0.01, 0.5), ["mean", "seeds", "diverged"]].tolist() == pytest.approx([0.6, 1, 1])
    assert cells["diverged"].sum() == 1, "a divergence is of one cell"


def test_a_cell_that_never_reached_the_loss_is_missing_and_no_number() -> None:
    runs = [
        trajectory(0.01, 0, rate=0.99 if rate < 1 else 0.5).assign(trial_id=str(rate), learning_rate=rate)
        for rate in (0.5, 1.0)
    ]
    cells = damping_and_learning_rate(with_arms(*stored(*runs))).numbers.set_index(RATE)
    assert np.isnan(cells.loc[0.5, "mean"])
    assert cells.loc[1.0, "mean"] == pytest.approx(0.51)


def test_other_knobs_that_vary_are_arms_with_curves_of_their_own() -> None:
    searched = trajectory(0.01, 0).assign(trial_id="searched", step_rule="line_search")
    rows = with_arms(*stored(trajectory(0.01, 0), searched))
    assert set(generalisation(rows).numbers["arm"]) == {"full", "line_search"}
