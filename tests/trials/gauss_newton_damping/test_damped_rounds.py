"""The damped step on all samples, on a batch of all of them, and as what rounds of linearisation iterate to."""

from __future__ import annotations

import pytest

from raysweep.gauss_newton_damping import STUDY
from tests.studies import sweep_of
from tests.trials.gauss_newton_damping.damped import rows_of
from trials.gauss_newton_damping.objective import Objective


@pytest.mark.parametrize(
    ("solver", "damping", "residual", "apart"),
    [("gradient_descent", 0.1, "inner", 1e-5), ("cg", 0.1, "cg", 1e-5), ("cg", 1e-4, "cg", 1e-3)],
)
def test_rounds_with_the_proximal_term_are_the_same_iterated_and_in_closed_form(
    context, solver, damping, residual, apart
):
    """Until 1e-8 of the first gradient is left; what that says of the step grows with curvature over damping."""
    closed = rows_of(
        context, damping=damping, solver="gradient_descent_spectral", inner_learning_rate=0.01, inner_steps=10**12
    )
    iterated = rows_of(
        context, damping=damping, solver=solver, inner_learning_rate=0.05, inner_steps=10**6, inner_tolerance=1e-8
    )
    assert all(row[f"{residual}_rel_residual"] <= 1e-8 and row[f"{residual}_iters"] > 10 for row in iterated[1:])
    assert [row["train_loss"] for row in iterated] == pytest.approx([row["train_loss"] for row in closed], rel=apart)
    assert [row["test_acc"] for row in iterated] == [row["test_acc"] for row in closed]


def test_a_batch_of_all_samples_gives_the_rows_of_the_full_batch(context):
    """Samples come in another order, so that sums differ in their last digits."""
    whole, batch = (rows_of(context, batch_size=size, damping=0.1) for size in (0, 30))
    assert [(row["step"], row["status"]) for row in batch] == [(row["step"], row["status"]) for row in whole]
    for column in ("train_loss", "test_loss", "test_acc", "ntk_distance", "param_path"):
        assert [row[column] for row in batch] == pytest.approx([row[column] for row in whole], rel=1e-7, abs=1e-12)
    for column in ("step_norm", "rho", "damping_relative", "test_loss_lin"):
        assert [row[column] for row in batch[1:]] == pytest.approx([row[column] for row in whole[1:]], rel=1e-7)


def test_the_space_of_minibatches_ends_at_the_full_batch_which_goes_over_eight_decades():
    trials = [trial.knobs for trial in sweep_of(STUDY, "minibatch")]
    assert {trial.seed for trial in trials} == {0, 1, 2}
    whole = trials[0].data.train_size
    dampings = {size: {trial.damping for trial in trials if trial.batch_size == size} for size in (5, 15, whole)}
    assert sum(map(len, dampings.values())) * 3 == len(trials)
    assert dampings[5] == dampings[15] < dampings[whole]
    for size, decades in ((5, 7), (15, 7), (whole, 8)):
        assert max(dampings[size]) / min(dampings[size]) == pytest.approx(10**decades)


def test_a_step_is_tested_only_where_a_row_is_written(context, monkeypatch):
    tested = []
    fit = Objective.linearised_fit
    monkeypatch.setattr(Objective, "linearised_fit", lambda *arguments: tested.append(1) or fit(*arguments))
    rows = rows_of(context, damping=10.0, steps=60, measurements_per_decade=3)
    assert len(tested) == len(rows) - 1 < 20
    assert all(row["test_acc_lin"] is not None for row in rows[1:])
