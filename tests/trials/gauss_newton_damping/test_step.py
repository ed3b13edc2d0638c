"""The Gauss-Newton step as a step of the core: against steps by hand, and as what a damped round ends at."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.trials.gauss_newton_damping.damped import knobs, problem, rows_of
from trials.core.context import TrialContext
from trials.core.data.knobs import DataKnobs
from trials.core.losses.classification import LOSSES
from trials.core.losses.features import spectral
from trials.core.networks.feedforward import mlp
from trials.core.parameters import moved_to
from trials.core.rounds.choice import chosen_methods
from trials.core.rounds.in_rounds import Rounds, in_rounds
from trials.core.rounds.round import Problem
from trials.core.streams import generator
from trials.core.training.batches import epochs, everything, formed, seen
from trials.core.training.course import course
from trials.core.training.descent import Descent
from trials.core.training.parts import behind, passed
from trials.core.training.places import Place
from trials.core.training.rules import RULES
from trials.gauss_newton_damping.damped_training import damped_training
from trials.gauss_newton_damping.jacobians import flattened
from trials.gauss_newton_damping.mlp_jacobian import perceptron_jacobian
from trials.gauss_newton_damping.objective import Objective, one_hot
from trials.gauss_newton_damping.quadratic import gauss_newton_model
from trials.gauss_newton_damping.solvers import QUADRATIC_SOLVERS, InnerSettings
from trials.gauss_newton_damping.step import GaussNewton
from trials.gauss_newton_damping.step_rules import STEP_RULES, surroundings


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"step_rule": "lm_adaptive", "damping": 1e-5},
        {"step_rule": "line_search", "loss": "cross_entropy", "damping_floor": 1e-4},
        {"solver": "adam", "inner_steps": 20, "reset_optimizer_on_relinearisation": False},
        {"solver": "adam", "inner_steps": 1, "reset_optimizer_on_relinearisation": False, "step_kind": "prox_linear"},
        {"batch_size": 7, "solver": "cg", "precision": "float32"},
    ],
    ids=str,
)
def test_losses_are_to_the_bit_those_of_steps_taken_by_hand(context, changes):
    """One after the other on a vector of parameters, with the damping and the inner memory in local variables."""
    chosen = knobs(**{"damping": 0.1, "steps": 9, "measurements_per_decade": 100, **changes})
    training = damped_training(chosen, context)
    theta, damping, memory, losses = training.initial, chosen.damping, {}, []
    for step in range(chosen.steps + 1):
        losses.append(training.step.objective.fit(theta, training.train).loss)
        batch = training.train
        if chosen.batch_size:
            batch = batch.at(epochs(chosen.seed, 30, chosen.batch_size)(step))
        inner = training.step.settings.inner
        if not chosen.reset_optimizer_on_relinearisation:
            inner = dataclasses.replace(inner, memory=memory)
        settings = dataclasses.replace(training.step.settings, inner=inner)
        around = surroundings(training.step.objective, theta, batch, settings)
        taken = STEP_RULES[chosen.step_rule](around, max(damping, chosen.damping_floor * around.largest_curvature))
        theta, damping, memory = theta + taken.displacement, taken.next_damping, taken.solution.memory
    rows = rows_of(context, **{"damping": 0.1, "steps": 9, "measurements_per_decade": 100, **changes})
    assert {row["step"]: row["train_loss"] for row in rows} == {row["step"]: losses[row["step"]] for row in rows}
    assert len(rows) == 10


@pytest.mark.parametrize("method", ["jvp", "cached", "function_space"])
@pytest.mark.parametrize("damping", [1.0, 0.1])
@pytest.mark.parametrize("freeze_depth", [0, 1])
def test_a_damped_round_solved_on_full_batches_is_the_damped_gauss_newton_step(method, damping, freeze_depth):
    """Squared error, against the direct solver in parameter space, which knows neither rounds nor frozen parts."""
    digits, _ = (examples.to(torch.float64) for examples in TrialContext().data(DataKnobs(train_size=60)))
    whole = mlp((1, 8, 8), 10, width=10, depth=2)
    drawn = moved_to(whole.initial(generator(0, "initialisation")), torch.device("cpu"), torch.float64)
    network, start, before = behind(whole, drawn, freeze_depth)
    rows = passed(digits, before)
    jacobian = perceptron_jacobian(network, flattened(start), rows.inputs.flatten(1))
    model = gauss_newton_model(jacobian, LOSSES["mse"], one_hot(digits.labels, 10))
    exact = QUADRATIC_SOLVERS["parameter"](model, InnerSettings())(damping).displacement
    of_rounds = Problem(network=network, train=rows, loss=LOSSES["mse"])
    # A rate of 0.3 contracts by 1 - 0.3 x damping a step along the flattest direction.
    descent = Descent(rule=RULES["sgd"](0.0), rate=lambda step: 0.3)
    methods = chosen_methods(method, of_rounds, 60, descent)
    rounds = Rounds(problem=of_rounds, interval=10**9, methods=methods, damping=damping)
    *_, last = course(
        in_rounds(rounds, Place(start, {})),
        descent,
        seen(formed(rows), everything(60)),
        steps=600 if damping == 0.1 else 60,
        rows_at=lambda now: now.last,
        context=TrialContext(),
        past=None,
    )
    step = flattened(last.parameters) - flattened(start)
    assert float((step - exact).norm() / exact.norm()) < 1e-6


def test_a_loss_without_curvature_is_refused_before_any_step():
    network, *_ = problem()
    objective = Objective(network=network, loss=spectral, jacobian=perceptron_jacobian)
    with pytest.raises(TypeError, match="smooth and convex in each sample's outputs"):
        GaussNewton(objective, None, STEP_RULES["full"])


def test_knobs_name_what_there_is():
    """Knobs are read without PyTorch, so that they spell the names of what the recipe knows."""
    from trials.gauss_newton_damping import knobs as named
    from trials.gauss_newton_damping.objective import CODINGS, NETWORKS
    from trials.gauss_newton_damping.proximal import MOVES, STEP_KINDS
    from trials.gauss_newton_damping.solver_choice import DESCENTS, SOLVERS

    for names, known in (
        (named.STEP_KINDS, STEP_KINDS),
        (named.STEP_RULES, STEP_RULES),
        (named.NETWORKS, NETWORKS),
        (named.CODINGS, CODINGS),
        (named.LOSSES, LOSSES),
        (DESCENTS, MOVES),
        (SOLVERS[1:], {**QUADRATIC_SOLVERS, **MOVES}),
    ):
        assert set(names) == set(known)
