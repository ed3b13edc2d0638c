"""Damped training as a service sees it: broken off and resumed, asked for what cannot be, on the measured sizes."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest
import torch

from raysweep.gauss_newton_damping import STUDY
from tests.studies import sweep_of
from tests.trials.gauss_newton_damping.damped import knobs, rows_of, two_classes
from trials.core.checkpoints import Saved, as_arrays, as_state
from trials.core.context import TrialContext
from trials.core.losses.classification import LOSSES
from trials.core.streams import generator
from trials.gauss_newton_damping import objective, solver_choice
from trials.gauss_newton_damping.jacobians import flattened
from trials.gauss_newton_damping.mlp_jacobian import perceptron_jacobian
from trials.gauss_newton_damping.objective import CODINGS, NETWORKS
from trials.gauss_newton_damping.quadratic import gauss_newton_model
from trials.gauss_newton_damping.recipe import run
from trials.gauss_newton_damping.solver_choice import SystemSize, choose_solver
from trials.gauss_newton_damping.solvers import QUADRATIC_SOLVERS, InnerSettings


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
    {"damping": 0, "solver": "adam", "inner_steps": 1, "reset_optimizer_on_relinearisation": False},
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
            {"reset_optimizer_on_relinearisation": False, "solver": "cg"},
            "reset_optimizer_on_relinearisation=False needs solver=adam, which alone remembers, got solver=cg",
        ),
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
    assert choose_solver("auto", SystemSize(300, 10, 2410, 42), direct=True, spectral=False).solver == "parameter"
    assert choose_solver("auto", SystemSize(800, 1, 5377, 129), direct=True, spectral=False).solver == "sample"
    huge = choose_solver("auto", SystemSize(50_000, 10, 467_030), direct=True, spectral=False)
    assert huge.solver == "cg" and "GiB" in huge.reason


def test_sign_coding_wants_two_classes(context):
    with pytest.raises(ValueError, match="target_coding=sign needs two classes, the data have 3"):
        next(run(knobs(target_coding="sign"), context))


def test_a_probe_that_does_not_fit_is_refused(monkeypatch):
    monkeypatch.setattr(objective, "MEMORY_LIMIT_GIB", 1e-5)
    with pytest.raises(ValueError, match=r"probe_size=8 would take .* GiB for .* parameters, the limit is 1e-05"):
        next(run(knobs(network="cnn_xs", solver="cg"), two_classes()))


def test_the_networks_have_the_sizes_of_the_measured_settings():
    assert NETWORKS["mlp"]((40,), 1, knobs(width=128)).parameter_count == 5377
    assert NETWORKS["mlp"]((1, 8, 8), 10, knobs(width=32)).parameter_count == 2410
    assert NETWORKS["cnn_xs"]((3, 16, 16), 1, knobs()).parameter_count == 4313


@pytest.mark.slow
def test_on_parity_both_spaces_and_conjugate_gradients_agree():
    """The measured setting: 800 samples, 5,377 parameters; iterations fall from hundreds to a handful."""
    parity = sweep_of(STUDY, "parity", "data.train_size=800")[0].knobs
    train, _ = (examples.to(torch.float64) for examples in TrialContext().data(parity.data))
    network = NETWORKS["mlp"]((40,), 1, parity)
    theta = flattened(network.initial(generator(0, "initialisation"))).double()
    targets = CODINGS["sign"](train.labels, train.classes).double()
    model = gauss_newton_model(perceptron_jacobian(network, theta, train.inputs), LOSSES["mse"], targets)
    tight = InnerSettings(tolerance=1e-10, steps=2000)
    solves = {solver: QUADRATIC_SOLVERS[solver](model, tight) for solver in ("sample", "parameter", "spectral", "cg")}
    iterations = []
    for damping in (1e-6, 1e-2, 1e2):
        steps = {solver: solve(damping) for solver, solve in solves.items()}
        exact = steps["sample"].displacement
        apart = {solver: float((step.displacement - exact).norm() / exact.norm()) for solver, step in steps.items()}
        assert apart["parameter"] < 1e-8
        assert apart["spectral"] < 1e-10
        assert apart["cg"] < 1e-7
        iterations.append(steps["cg"].iterations)
    assert iterations[0] > 200 > iterations[1] > 20 > iterations[2]
