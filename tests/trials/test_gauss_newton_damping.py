"""The recipe: what its steps must equal, what its rules do, and what the measured settings show."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from torch.func import jacrev

from tests.trials.conftest import small_arrays
from trials.core.checkpoints import Saved, as_arrays, as_state
from trials.core.context import TrialContext
from trials.core.curvature import damped_training, solver_choice
from trials.core.curvature.solver_choice import Sizes, choose_solver
from trials.core.data import cat_dog, cifar10
from trials.core.data.arrays import load_arrays
from trials.core.data.examples import DataKnobs
from trials.core.rows import Diverged, checked
from trials.core.streams import generator
from trials.gauss_newton_damping import MEASUREMENTS, NETWORKS, DampingKnobs, run

SMALL = {"steps": 6, "width": 7, "probe_size": 8, "loss_tolerance": 1e-12}


def knobs(**changes):
    return DampingKnobs(**{**SMALL, "data": DataKnobs(train_size=30), **changes})


def rows_of(context, **changes):
    return list(checked(run(knobs(**changes), context), MEASUREMENTS))


def two_classes():
    arrays = small_arrays(classes=2)
    return TrialContext(arrays=lambda name: arrays)


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


class Memory:
    """Checkpoints in memory, which break the trial off at a step."""

    def __init__(self, break_at=None, saved=None):
        self.break_at, self.saved = break_at, saved

    def restored(self, device):
        return None if self.saved is None else Saved(self.saved[0], as_state(self.saved[1], device))

    def offer(self, step, state, *, last):
        if step == self.break_at or last:
            self.saved = (step, as_arrays(state()))
        if step == self.break_at:
            raise InterruptedError


VARIANTS = [
    {"damping": 1e-3},
    {"damping": 1e-6, "step_rule": "lm_adaptive"},
    {"damping": 1e-5, "step_rule": "line_search", "loss": "cross_entropy"},
    {"damping": 1e-2, "batch_size": 7, "solver": "cg"},
    {"damping": 1e-2, "solver": "adam", "step_kind": "prox_linear", "inner_steps": 20, "loss": "cross_entropy"},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_broken_off_anywhere_the_rows_are_those_of_an_undisturbed_run(context, changes):
    chosen = knobs(**{"steps": 12, "loss_tolerance": 1e-3, **changes})
    undisturbed = list(run(chosen, context))
    for step in range(undisturbed[-1]["step"] + 1):
        first, rows = Memory(break_at=step), []
        with contextlib.suppress(InterruptedError):
            rows.extend(run(chosen, dataclasses.replace(context, checkpoints=first)))
        rows += run(chosen, dataclasses.replace(context, checkpoints=Memory(saved=first.saved)))
        assert rows == undisturbed, step


def test_a_longer_trial_goes_on_from_a_shorter_one(context):
    shorter = Memory()
    before = list(run(knobs(steps=5), dataclasses.replace(context, checkpoints=shorter)))
    after = list(run(knobs(steps=9), dataclasses.replace(context, checkpoints=Memory(saved=shorter.saved))))
    assert before[:-1] + after == list(run(knobs(steps=9), context))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"damping": -1.0}, "damping must be at least 0, got -1.0"),
        ({"damping": 0, "loss": "cross_entropy"}, "use damping_floor=1e-8, relative to the largest curvature"),
        ({"damping": 0, "solver": "parameter"}, "damping=0 is singular for solver=parameter; use auto, spectral or cg"),
        ({"damping": 0, "step_rule": "lm_adaptive"}, "multiplies the damping, which must be above 0"),
        ({"target_coding": "sign", "loss": "cross_entropy"}, "needs loss=mse, got loss=cross_entropy"),
        ({"precision": "float32", "solver": "sample"}, "needs precision=float64; in float32 there are cg"),
        ({"search_lowest": 1.0, "search_highest": 0.1}, "search_lowest=1 must be below search_highest=0.1"),
        ({"batch_size": 31}, "batch_size=31 exceeds data_train_size=30"),
        (
            {"solver": "gradient_descent_spectral", "loss": "cross_entropy", "step_kind": "prox_linear"},
            "needs a quadratic model: step_kind=ggn or loss=mse",
        ),
    ],
)
def test_impossible_knobs_are_refused_with_what_is_allowed(changes, message):
    with pytest.raises(ValueError, match=message):
        knobs(**changes)


def test_without_damping_the_step_is_the_shortest_one(context):
    rows = rows_of(context, damping=0, steps=1)
    assert rows[-1]["method"] == "spectral"
    assert rows[-1]["step_norm"] == pytest.approx(rows_of(context, damping=1e-12, steps=1)[-1]["step_norm"], rel=1e-3)
    floored = rows_of(context, damping=0, damping_floor=1e-8, loss="cross_entropy", steps=1)
    assert floored[-1]["damping_relative"] == pytest.approx(1e-8)


def test_what_does_not_fit_is_refused_with_its_size_before_training(context, monkeypatch):
    monkeypatch.setattr(solver_choice, "MEMORY_LIMIT_GIB", 1e-5)
    message = "solver=sample would take .* GiB for 90 rows .* and .* parameters, the limit is 1e-05; what fits is cg"
    with pytest.raises(ValueError, match=message):
        next(run(knobs(solver="sample"), context))
    assert next(run(knobs(), context))["method"] == "cg"


def test_the_solver_is_chosen_by_sizes():
    assert choose_solver("auto", Sizes(300, 10, 2410, 42), direct=True, spectral=False).solver == "parameter"
    assert choose_solver("auto", Sizes(800, 1, 5377, 129), direct=True, spectral=False).solver == "sample"
    huge = choose_solver("auto", Sizes(50_000, 10, 467_030), direct=True, spectral=False)
    assert huge.solver == "cg" and "GiB" in huge.reason


def test_sign_coding_wants_two_classes(context):
    with pytest.raises(ValueError, match="target_coding=sign needs two classes, the data have 3"):
        next(run(knobs(target_coding="sign"), context))


def test_a_probe_that_does_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr(damped_training, "MEMORY_LIMIT_GIB", 1e-5)
    with pytest.raises(ValueError, match="probe_size=8 would take .* GiB for .* parameters, the limit is 1e-05"):
        next(run(knobs(network="cnn_xs", solver="cg"), two_classes()))


def test_parity_says_whether_two_signs_agree():
    arrays = load_arrays("sparse_parity")
    signs = 2.0 * arrays.train_inputs[:, 0, 0] - 1
    assert np.array_equal(arrays.train_labels, signs[:, 0] * signs[:, 1] > 0)
    assert 0.45 < arrays.test_labels.mean() < 0.55
    train, _ = TrialContext().data(DataKnobs(name="sparse_parity"))
    assert set(train.inputs.unique().tolist()) == {-1.0, 1.0}
    with pytest.raises(ValueError, match="takes no path"):
        load_arrays("sparse_parity", "here")


def test_cats_and_dogs_are_two_classes_of_the_ten(monkeypatch):
    labels = np.array([3, 0, 5, 9, 3])
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((5, 3, 32, 32), np.uint8)
    whole = {
        f"{split}_{kind}": values
        for split in ("train", "test")
        for kind, values in (("inputs", images), ("labels", labels))
    }
    monkeypatch.setattr(cifar10, "read", lambda path: whole)
    chosen = cat_dog.read("somewhere")
    assert chosen["train_labels"].tolist() == [0, 1, 0]
    assert chosen["test_inputs"][:, 0, 0, 0].tolist() == [0, 2, 4]


def test_the_networks_have_the_sizes_of_the_measured_settings():
    assert NETWORKS["mlp"]((1, 1, 40), 1, knobs(width=128)).parameter_count == 5377
    assert NETWORKS["mlp"]((1, 8, 8), 10, knobs(width=32)).parameter_count == 2410
    assert NETWORKS["cnn_xs"]((3, 16, 16), 1, knobs()).parameter_count == 4313


def parity(**changes):
    data = DataKnobs(name="sparse_parity", train_size=800)
    return DampingKnobs(**{"width": 128, "target_coding": "sign", "probe_size": 0, "data": data, **changes})


def test_parity_with_800_samples_is_learnt_at_every_damping():
    """A null on purpose: code that built the effect of damping in would show it here as well."""
    for damping in (1e-6, 1e-2, 1e-1, 1.0):
        *_, last = run(parity(damping=damping, measurements_per_decade=1), TrialContext())
        assert last["status"] == "converged"
        assert last["test_acc"] >= 0.98, damping
        assert damping > 1e-2 or last["step"] == 4


@pytest.mark.slow
def test_digits_generalise_better_with_damping_at_the_same_training_loss():
    means = {}
    for damping in (1e-6, 1e-2):
        finals = [
            list(run(DampingKnobs(damping=damping, seed=seed, loss_tolerance=0.02, probe_size=0), TrialContext()))[-1]
            for seed in range(3)
        ]
        assert all(final["status"] == "converged" for final in finals)
        means[damping] = sum(final["test_acc_at_loss_0_02"] for final in finals) / 3
    assert means[1e-2] >= means[1e-6] + 0.03
