"""Directions: sharpness-aware and private steps, against their definitions."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from tests.trials.core.training.problems import (
    batch_of,
    largest_difference,
    renewed,
    rounds_of,
    small_problem,
    steps_by,
    trained_in_rounds,
)
from trials.core.networks.feedforward import cnn_small
from trials.core.networks.precision import HALF, in_precision
from trials.core.rounds.choice import METHODS, chosen_methods
from trials.core.rounds.in_rounds import in_rounds, renewed_every
from trials.core.training.directions import Private, SharpnessAware
from trials.core.training.parts import masked
from trials.core.training.places import Place, norm
from trials.core.training.plain import Plain

IMAGE = (2, 8, 8)


def _plain(problem):
    return Plain(problem.network.forward, problem.loss)


def _no_chain(problem):
    """Return the same problem of a function that is no chain of layers."""
    forward = problem.network.forward
    network = dataclasses.replace(problem.network, forward=lambda point, inputs: forward(point, inputs))
    return dataclasses.replace(problem, network=network)


def test_sam_is_the_gradient_up_the_slope():
    problem, start = small_problem()
    loss = _plain(problem).on(batch_of(problem, range(8)))
    told, here = SharpnessAware(0.3)(loss, start, 0), loss.slope(start)
    length = float(norm(here.gradient))
    uphill = {name: start[name] + 0.3 * here.gradient[name] / length for name in start}
    assert largest_difference(told.gradient, loss.slope(uphill).gradient) < 1e-12
    assert torch.equal(told.value, here.value), "what a row adds up is told where the step begins"


def test_sam_without_a_distance_is_plain_to_the_bit():
    problem, start = small_problem()
    ends = [
        trained_in_rounds(problem, start, 1, steps=5, **changes) for changes in ({}, {"direction": SharpnessAware(0.0)})
    ]
    assert largest_difference(*ends) == 0


def test_sam_at_an_interval_of_one_is_told_of_the_network_and_not_of_its_linearisation():
    """A direction that asks elsewhere than at the anchor makes rounds of one step another training."""
    problem, start = small_problem()
    step, batch = steps_by(direction=SharpnessAware(0.5)), batch_of(problem, range(8))
    of_rounds, place = renewed(in_rounds(rounds_of(problem, 1), Place(start, {})))
    itself, _ = renewed_every(1, problem, Place(start, {}))
    ends = [step(trained.on(batch), place, 0)[0].point for trained in (of_rounds, itself)]
    assert largest_difference(*ends) > 1e-4


def test_without_clip_and_noise_a_private_step_is_a_plain_one():
    problem, start = small_problem()
    open_ = Private(clip=math.inf, noise=0.0, expected=8, seed=0)
    ends = [trained_in_rounds(problem, start, 1, steps=5, **changes) for changes in ({}, {"direction": open_})]
    assert largest_difference(*ends) < 1e-12


def test_noise_is_of_the_seed_and_the_step():
    problem, start = small_problem()
    loss = _plain(problem).on(batch_of(problem, range(8)))
    noisy = Private(clip=0.1, noise=2.0, expected=8, seed=0)
    one, again, other = (noisy(loss, start, step).gradient for step in (3, 3, 4))
    assert largest_difference(one, again) == 0 < largest_difference(one, other)
    assert largest_difference(one, dataclasses.replace(noisy, seed=1)(loss, start, 3).gradient) > 0
    quiet = dataclasses.replace(noisy, noise=0.0)(loss, start, 3).gradient
    drawn = torch.cat([(one[name] - quiet[name]).flatten() for name in start])
    assert float(drawn.std()) == pytest.approx(2.0 * 0.1 / 8, rel=0.2)
    with pytest.raises(ValueError, match="clip, which must be finite, got inf"):
        Private(clip=math.inf, noise=1.0, expected=8, seed=0)


@pytest.mark.parametrize("network", ["mlp", "cnn_s", "no chain"])
@pytest.mark.parametrize("interval", [None, 1, 5])
@pytest.mark.parametrize("method", ["jvp", "cached"])
def test_norms_of_samples_are_those_of_their_gradients_and_clipping_keeps_them_below(network, interval, method):
    """Of what layers keep, by both formulas of a convolution; of other functions side by side."""
    problem, start = small_problem(cnn_small(IMAGE, 3), IMAGE) if network == "cnn_s" else small_problem()
    if network == "no chain":
        problem, method = _no_chain(problem), "jvp"
    trained = _plain(problem)
    if interval is not None:
        trained, _ = renewed(in_rounds(rounds_of(problem, interval, method=method), Place(start, {})))
    point = {name: value * 1.01 for name, value in start.items()}
    norms = trained.on(batch_of(problem, range(8))).norms(point)
    for row in range(8):
        alone = trained.on(batch_of(problem, [row])).slope(point).gradient
        torch.testing.assert_close(norms[row], norm(alone), rtol=1e-10, atol=0)
    clipped = Private(clip=0.01, noise=0.0, expected=1, seed=0)(trained.on(batch_of(problem, range(8))), point, 0)
    assert float(norm(clipped.gradient)) <= 8 * 0.01 * (1 + 1e-6)
    assert int(clipped.notes["clipped"]) == 8


def test_norms_of_products_in_bfloat16_are_those_of_float32_within_rounding():
    problem, start = small_problem(cnn_small(IMAGE, 3), IMAGE)
    start = {name: value.float() for name, value in start.items()}
    train = problem.train.to(torch.float32)
    norms = []
    for precision in ("float32", HALF):
        network = in_precision(problem.network, precision)
        of = dataclasses.replace(problem, network=network, train=train)
        norms.append(_plain(of).on(batch_of(of, range(8))).norms(start))
    torch.testing.assert_close(norms[1], norms[0], rtol=0.05, atol=0)


def test_what_was_pruned_gets_no_gradient_and_no_noise():
    problem, start = small_problem()
    kept = {n: (value.abs() > value.abs().median()).to(value) for n, value in start.items() if n.endswith("weight")}
    kept_of_all = {name: kept.get(name, torch.ones_like(value)) for name, value in start.items()}
    direction = Private(clip=0.1, noise=1.0, expected=8, seed=0, kept=kept_of_all)
    pruned = dataclasses.replace(problem, network=masked(problem.network, kept))
    end = trained_in_rounds(pruned, start, 1, steps=5, direction=direction)
    assert all(torch.equal(end[name][kept[name] == 0], start[name][kept[name] == 0]) for name in kept)
    assert not any(torch.equal(end[name], start[name]) for name in kept)


@pytest.mark.parametrize("network", ["mlp", "cnn_s", "no chain"])
def test_an_empty_batch_is_noise_alone(network):
    problem, start = small_problem(cnn_small(IMAGE, 3), IMAGE) if network == "cnn_s" else small_problem()
    problem = _no_chain(problem) if network == "no chain" else problem
    rounds, _ = renewed(in_rounds(rounds_of(problem, 3), Place(start, {})))
    nobody = batch_of(problem, torch.empty(0, dtype=torch.int64))
    direction = Private(clip=1.0, noise=1.0, expected=8, seed=0)
    told = [direction(trained.on(nobody), start, 0).gradient for trained in (_plain(problem), rounds)]
    assert largest_difference(*told) == 0
    assert float(torch.cat([value.flatten() for value in told[0].values()]).std()) == pytest.approx(1 / 8, rel=0.2)


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (steps_by("adam"), "its optimizer scales each parameter by itself"),
        (steps_by(direction=SharpnessAware(0.1)), "its direction asks for norms of gradients"),
        (steps_by(direction=Private(clip=1, noise=0, expected=8, seed=0)), "its direction asks for norms of gradients"),
        (steps_by(penalty=lambda point, step: point["readout.bias"].sum()), "its penalty is one of parameters"),
    ],
)
def test_function_space_refuses_what_asks_for_more_than_sums(step, reason):
    problem, _ = small_problem()
    with pytest.raises(ValueError, match=f"round_method=function_space cannot take these steps: {reason}"):
        chosen_methods("function_space", problem, 8, step)
    assert {switch.method for switch in chosen_methods("auto", problem, 8, step)} <= {"jvp", "cached"}


def test_function_space_has_no_norms():
    problem, start = small_problem()
    trained, place = renewed(in_rounds(rounds_of(problem, 5, method="function_space"), Place(start, {})))
    with pytest.raises(TypeError, match="no norms of samples' gradients: take jvp or cached"):
        trained.on(batch_of(problem, range(8))).norms(place.point)


@pytest.mark.parametrize("method", METHODS)
def test_weights_of_samples_are_the_same_by_every_method(method):
    problem, start = small_problem()
    trained, place = renewed(in_rounds(rounds_of(problem, 5, method=method), Place(start, {})))
    weights = torch.linspace(0, 1, 8, dtype=torch.float64)
    told = trained.on(batch_of(problem, range(8))).slope(place.point, weights).gradient
    expected = _plain(problem).on(batch_of(problem, range(8))).slope(start, weights).gradient
    assert largest_difference(trained.parameters(told), expected) < 1e-12
