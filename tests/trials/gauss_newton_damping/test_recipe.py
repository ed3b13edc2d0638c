"""The recipe: what its steps must equal, what its rules do, and what the measured settings show."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.func import jacrev

from tests.trials.gauss_newton_damping.damped import knobs, rows_of, two_classes
from trials.core.rows import Diverged, checked
from trials.core.streams import generator
from trials.gauss_newton_damping.measurements import MEASUREMENTS
from trials.gauss_newton_damping.objective import NETWORKS
from trials.gauss_newton_damping.recipe import run


def dense_losses(context, chosen, gradient_descent=False):
    """Train with J by autograd, H written out and the step by a dense solve; return the training losses."""
    train, _ = (examples.to(torch.float64) for examples in context.data(chosen.data))
    network = NETWORKS["mlp"](tuple(train.inputs.shape[1:]), train.classes, chosen)
    start = network.initial(generator(chosen.seed, "initialisation"))
    sizes = [value.numel() for value in start.values()]
    targets = torch.nn.functional.one_hot(train.labels, train.classes).double()

    def outputs_at(vector):
        parts = [part.view_as(value) for part, value in zip(vector.split(sizes), start.values(), strict=True)]
        return network.forward(dict(zip(start, parts, strict=True)), train.inputs)

    def loss_at(outputs):
        if chosen.loss == "mse":
            return (outputs - targets).square().sum() / 2
        return -(targets * outputs.log_softmax(1)).sum()

    theta = torch.cat([value.flatten() for value in start.values()]).double()
    losses, samples = [], len(train)
    for _ in range(chosen.steps + 1):
        outputs = outputs_at(theta)
        losses.append(float(loss_at(outputs)) / samples)
        jacobian = jacrev(outputs_at)(theta).flatten(0, 1)
        hessian = jacrev(jacrev(loss_at))(outputs).flatten(2, 3).flatten(0, 1)
        slope = jacobian.T @ jacrev(loss_at)(outputs).flatten() / samples
        system = chosen.damping * torch.eye(len(theta), dtype=torch.float64)
        if not gradient_descent:
            system = system + jacobian.T @ hessian @ jacobian / samples
        theta = theta - chosen.learning_rate * torch.linalg.solve(system, slope)
    return losses


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("solver", ["auto", "parameter", "sample", "sample_unwhitened", "spectral", "cg"])
@pytest.mark.parametrize("learning_rate", [1.0, 0.5])
def test_training_is_what_dense_algebra_gives(context, loss, solver, learning_rate):
    changes = {"loss": loss, "solver": solver, "learning_rate": learning_rate, "damping": 0.1, "inner_tolerance": 1e-12}
    expected = dense_losses(context, knobs(**changes))
    losses = [row["train_loss"] for row in rows_of(context, **changes)]
    assert losses == pytest.approx(expected, rel=1e-8)
    assert losses[-1] < losses[0] / 2


def test_a_large_damping_is_gradient_descent_of_rate_one_over_it(context):
    damping = 1e6
    descent = dense_losses(context, knobs(damping=damping), gradient_descent=True)
    losses = [row["train_loss"] for row in rows_of(context, damping=damping)]
    falls, expected = ([values[0] - value for value in values[1:]] for values in (losses, descent))
    assert falls == pytest.approx(expected, rel=1e-3)


def test_training_the_linearised_network_by_adam_is_gauss_newton(context):
    changes = {"damping": 0.1, "steps": 3}
    exact = rows_of(context, **changes)
    trained = rows_of(
        context, **changes, solver="adam", inner_learning_rate=0.05, inner_steps=4000, inner_tolerance=1e-9
    )
    assert [row["train_loss"] for row in trained] == pytest.approx([row["train_loss"] for row in exact], rel=1e-6)
    assert trained[-1]["inner_rel_residual"] <= 1e-6 and trained[-1]["inner_iters"] > 100


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_rounds_of_one_step_that_keep_the_optimizer_are_plain_adam(context, loss):
    changes = {"damping": 0, "solver": "adam", "step_kind": "prox_linear", "inner_steps": 1, "loss": loss}
    kept, reset = (
        rows_of(context, **changes, inner_learning_rate=0.01, reset_optimizer_on_relinearisation=forgets)
        for forgets in (False, True)
    )
    expected = plain_adam_losses(context, knobs(**changes, inner_learning_rate=0.01))
    assert [row["train_loss"] for row in kept] == pytest.approx(expected, rel=1e-10)
    assert abs(reset[-1]["train_loss"] / kept[-1]["train_loss"] - 1) > 1e-3, "what is forgotten matters"


def plain_adam_losses(context, chosen):
    """Return the losses of the network itself under PyTorch's Adam."""
    train, _ = (examples.to(torch.float64) for examples in context.data(chosen.data))
    network = NETWORKS["mlp"](tuple(train.inputs.shape[1:]), train.classes, chosen)
    start = network.initial(generator(chosen.seed, "initialisation"))
    theta = {name: value.double().requires_grad_() for name, value in start.items()}
    targets = torch.nn.functional.one_hot(train.labels, train.classes).double()
    optimizer = torch.optim.Adam(theta.values(), lr=chosen.inner_learning_rate)
    losses = []
    for _ in range(chosen.steps + 1):
        outputs = network.forward(theta, train.inputs)
        squared = (outputs - targets).square().sum(1) / 2
        loss = (squared if chosen.loss == "mse" else -(targets * outputs.log_softmax(1)).sum(1)).mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


@pytest.mark.parametrize("damping", [1e-4, 1e-2])
def test_rounds_with_the_proximal_term_that_converge_are_gauss_newton(context, damping):
    exact = rows_of(context, damping=damping, solver="sample")
    rounds = {"solver": "gradient_descent_spectral", "inner_learning_rate": 0.01, "inner_steps": 10**12}
    pulled = rows_of(context, damping=damping, inner_tolerance=0, **rounds)
    assert [row["train_loss"] for row in pulled] == pytest.approx([row["train_loss"] for row in exact], rel=1e-7)


def test_every_step_is_one_linearisation_and_all_but_the_first_an_update_of_features(context):
    rows = rows_of(context)
    assert [(row["num_linearisations"], row["num_feature_updates"]) for row in rows[:3]] == [(0, 0), (1, 0), (2, 1)]
    first, *_ = rows_of(context, first_steps=True, search_count=2)
    assert (first["num_linearisations"], first["num_feature_updates"]) == (1, 0)


def test_rounds_of_gradient_descent_are_the_same_by_steps_and_by_spectrum(context):
    changes = {"damping": 0, "inner_steps": 300, "inner_tolerance": 0, "inner_learning_rate": 0.1, "steps": 4}
    stepped, filtered = (
        rows_of(context, **changes, solver=solver) for solver in ("gradient_descent", "gradient_descent_spectral")
    )
    assert [row["train_loss"] for row in stepped] == pytest.approx([row["train_loss"] for row in filtered], rel=1e-8)
    assert filtered[-1]["effective_damping"] == pytest.approx(1 / 30)


def test_with_the_squared_error_both_kinds_of_step_are_one(context):
    ggn, prox = (rows_of(context, step_kind=kind, damping=0.05) for kind in ("ggn", "prox_linear"))
    assert [row["train_loss"] for row in ggn] == pytest.approx([row["train_loss"] for row in prox], rel=1e-8)
    ggn, prox = (rows_of(context, step_kind=kind, loss="cross_entropy") for kind in ("ggn", "prox_linear"))
    assert abs(ggn[1]["train_loss"] - prox[1]["train_loss"]) > 1e-3


def test_the_first_steps_of_one_decomposition_are_those_of_separate_trials(context):
    searched = {"search_lowest": 1e-4, "search_highest": 1.0, "search_count": 5}
    together = rows_of(context, first_steps=True, **searched)
    assert [row["step_damping"] for row in together] == [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    for row in together:
        alone = rows_of(context, damping=row["step_damping"], solver="sample", steps=1)[-1]
        for column in ("train_loss", "test_acc", "test_acc_lin", "test_loss_lin", "rho", "step_norm", "ntk_distance"):
            assert row[column] == pytest.approx(alone[column], rel=1e-6), column


def test_rho_is_near_one_where_the_model_can_be_trusted_and_far_below_where_it_cannot(context):
    small, large = (rows_of(context, damping=damping, steps=1)[-1] for damping in (1e-6, 100.0))
    assert large["rho"] == pytest.approx(1, abs=0.05)
    assert small["rho"] < 0.5
    assert small["step_norm"] > 100 * large["step_norm"]


def test_a_line_search_lowers_the_loss_at_every_step(context):
    free, searched = (rows_of(context, damping=1e-6, step_rule=rule) for rule in ("full", "line_search"))
    losses = [row["train_loss"] for row in searched]
    assert losses == sorted(losses, reverse=True)
    assert free[1]["train_loss"] > free[0]["train_loss"], "without one, the first step overshoots"
    assert 0 < searched[1]["alpha"] < 1


def test_adaptive_damping_rises_at_poor_steps_and_falls_at_good_ones(context):
    rows = rows_of(context, damping=1e-6, step_rule="lm_adaptive", steps=60, measurements_per_decade=100)
    losses = [row["train_loss"] for row in rows]
    assert losses == sorted(losses, reverse=True), "a step uphill is rejected"
    assert any(row["step_norm"] == 0 for row in rows[1:])
    for row, following in itertools.pairwise(rows[1:]):
        if following["step"] == row["step"] + 1:
            factor = 1.5 if row["rho"] is None or row["rho"] < 0.25 else 2 / 3 if row["rho"] > 0.75 else 1.0
            assert following["step_damping"] / row["step_damping"] == pytest.approx(factor)


def test_a_search_over_dampings_takes_the_lowest_loss(context):
    rows = rows_of(context, step_rule="damping_search", search_count=9, steps=1)
    first = rows_of(context, first_steps=True, search_count=9)
    best = min(first, key=lambda row: math.inf if row["train_loss"] is None else row["train_loss"])
    assert rows[-1]["step_damping"] == best["step_damping"]
    assert rows[-1]["train_loss"] == pytest.approx(best["train_loss"], rel=1e-9)


def test_minibatches_are_other_steps_that_train_as_well(context):
    rows = rows_of(context, batch_size=10, damping=0.1, steps=20)
    assert rows[-1]["train_loss"] < rows[0]["train_loss"] / 2
    assert rows[1]["train_loss"] != rows_of(context, damping=0.1)[1]["train_loss"]


def test_a_step_beyond_the_matched_losses_measures_each_crossing_once(context):
    rows = rows_of(context, damping=1e-3, steps=200, loss_tolerance=1e-3)
    assert rows[-1]["status"] == "converged"
    for name in ("0_1", "0_05", "0_02", "0_005", "0_001"):
        crossed = next(row for row in rows if row["train_loss"] < float(name.replace("_", ".")))
        assert rows[-1][f"step_at_loss_{name}"] == crossed["step"]
        assert rows[-1][f"test_acc_at_loss_{name}"] == crossed["test_acc"]
    assert rows[0]["test_acc_at_loss_0_1"] is None


def test_status_tells_a_budget_from_steps_that_vanish(context):
    assert rows_of(context, damping=10.0)[-1]["status"] == "budget"
    vanishing = rows_of(context, network="mlp", depth=0, damping=1e-4, steps=60)
    assert (vanishing[-1]["status"], vanishing[-1]["step"] < 60) == ("unconverged", True)


def test_a_high_loss_is_no_divergence_until_it_lasts(context):
    rows = []
    with pytest.raises(Diverged) as outcome:
        rows.extend(run(knobs(damping=1e-4, learning_rate=1e9, steps=40), context))
    assert outcome.value.step >= 1
    assert rows[-1]["status"] == "diverged"
    assert "test_acc" not in rows[-1], "what has diverged has no accuracy"
    list(checked(rows, MEASUREMENTS))


@pytest.mark.parametrize("network", ["cnn_xs", "cnn_s"])
@pytest.mark.parametrize("solver", ["auto", "cg", "adam"])
def test_convolutions_train_with_matrices_and_without(network, solver):
    rows = rows_of(two_classes(), network=network, solver=solver, target_coding="sign", damping=1.0, steps=3)
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert rows[-1]["test_acc_lin"] is not None
