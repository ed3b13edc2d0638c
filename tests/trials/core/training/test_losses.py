"""Losses of other targets than labels, of pairs, and penalties beside them, crossed with rounds."""

from __future__ import annotations

import pytest
import torch

from tests.trials.core.training.problems import (
    end_of,
    initial,
    largest_difference,
    on_all,
    rounds_of,
    small_problem,
    steps_by,
    trained_in_rounds,
)
from trials.core.losses.classification import MARGIN_LOSSES
from trials.core.losses.features import mean_squares, spectral
from trials.core.networks.feedforward import mlp
from trials.core.rounds.in_rounds import in_rounds, renewed_every
from trials.core.rounds.round import Problem
from trials.core.streams import generator
from trials.core.training.batches import Batch, epochs, seen, seen_anew
from trials.core.training.places import Place
from trials.core.training.plain import Plain

INPUTS = torch.randn(40, 6, generator=generator(0, "x"), dtype=torch.float64)


def _views(step, rows):
    noise = torch.randn(2, len(rows), 6, generator=generator(0, "views", step), dtype=torch.float64)
    return torch.cat([INPUTS[rows] + 0.1 * noise[0], INPUTS[rows] + 0.1 * noise[1]]), rows


@pytest.mark.parametrize(("depth", "same"), [(0, True), (1, False)])
def test_pairs_of_views_cross_with_rounds_and_a_linear_map_knows_no_interval(depth, same):
    network = mlp((6,), 3, width=8, depth=depth, bias=False)
    problem, sees, ends = Problem(network=network, loss=spectral), seen_anew(_views, epochs(0, 40, 10)), []
    for interval in (1, 7, 10**6):
        begun = renewed_every(interval, problem, Place(initial(network), {}))
        ends.append(end_of(begun, steps_by(rate=0.05), sees, 30))
    apart = max(largest_difference(end, ends[0]) for end in ends[1:])
    assert (apart < 1e-10) == same


def test_a_loss_that_couples_its_samples_gives_none_a_weight_or_a_norm():
    network = mlp((6,), 3, width=8, depth=1)
    loss = Plain(network.forward, spectral).on(Batch(torch.arange(8), lambda rows: _views(0, rows)))
    for asked in (lambda point: loss.slope(point, torch.ones(8)), loss.norms):
        with pytest.raises(TypeError, match="couples its samples"):
            asked(initial(network))


@pytest.mark.parametrize("interval", [1, 3])
def test_a_student_that_begins_as_its_teacher_stays(interval):
    """Targets are the teacher's outputs by row: another loss, and nothing else of the core knows."""
    problem, start = small_problem(loss=mean_squares)
    answers = problem.network.forward(start, problem.train.inputs)
    sees, far = seen(lambda rows: (problem.train.inputs[rows], answers[rows]), epochs(0, 40, 8)), []
    for offset in (0.0, 0.1):
        begun = renewed_every(interval, problem, Place({name: value + offset for name, value in start.items()}, {}))
        far.append(largest_difference(end_of(begun, steps_by(), sees, 9), start))
    assert far[0] < 1e-12 < 1e-2 < far[1]


@pytest.mark.parametrize("name", MARGIN_LOSSES)
def test_slopes_of_margins_are_the_same_on_a_linearisation_that_begins(name):
    """One output, labels of -1 and +1: what the tape tells of the network and what layers tell of its linearisation."""
    network = mlp((6,), 1, width=8, depth=1)
    problem, start = Problem(network=network, loss=MARGIN_LOSSES[name]), initial(network)
    signs = torch.arange(40, dtype=torch.float64) % 2 * 2 - 1
    batch = Batch(torch.arange(40), lambda rows: (INPUTS[rows], signs[rows]))
    lazy, _ = renewed_every(5, problem, Place(start, {}))
    plain, _ = renewed_every(1, problem, Place(start, {}))
    told = [trained.on(batch).slope(start).gradient for trained in (lazy, plain)]
    assert largest_difference(*told) < 1e-12
    assert float(problem.loss(torch.tensor([[-2.0]]), torch.tensor([1.0]))) == pytest.approx(
        {"logistic": 2.126928, "hinge": 3.0, "squared": 9.0}[name]
    )


@pytest.mark.parametrize("interval", [1, 4])
def test_half_the_squares_as_a_penalty_are_weight_decay(interval):
    problem, start = small_problem()

    def half_the_squares(point, step):
        return 0.005 * sum(value.square().sum() for value in point.values())

    ends = [
        trained_in_rounds(problem, start, interval, steps=9, rule="momentum", momentum=0.9, **changes)
        for changes in ({"penalty": half_the_squares}, {"weight_decay": 0.01})
    ]
    assert largest_difference(*ends) < 1e-12


def test_a_penalty_may_change_with_the_step():
    problem, start = small_problem()
    step = steps_by(penalty=lambda point, number: number * sum(value.abs().sum() for value in point.values()))
    begun = in_rounds(rounds_of(problem, 3), Place(start, {}))
    plain = [end_of(begun, each, on_all(problem), steps) for each in (step, steps_by()) for steps in (1, 2)]
    assert largest_difference(plain[0], plain[2]) == 0, "at step 0 it weighs nothing"
    assert largest_difference(plain[1], plain[3]) > 0.05
