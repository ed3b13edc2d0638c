"""What a step sees: draws are functions of (seed, step), and a row counts as often as it is drawn."""

from __future__ import annotations

import pytest
import torch

from tests.trials.core.training.problems import (
    batch_of,
    largest_difference,
    small_problem,
    trained_in_rounds,
)
from trials.core.rounds.choice import METHODS
from trials.core.training.batches import Batch, balanced, epochs, everything, listed, poisson, seen_anew, weighted
from trials.core.training.plain import Plain

GROUPS = torch.tensor([0] * 30 + [1] * 3)
DRAWS = {
    "epochs": epochs(0, 33, 9),
    "weighted": weighted(0, torch.full((33,), 1 / 33), 16),
    "balanced": balanced(0, GROUPS, 16),
    "poisson": poisson(0, 33, 0.3),
    "listed": listed(epochs(0, 36, 9), torch.arange(36) % 33),
}


@pytest.mark.parametrize("name", DRAWS)
def test_draws_are_functions_of_seed_and_step(name):
    draw = DRAWS[name]
    assert torch.equal(draw(5), draw(5))
    assert not torch.equal(draw(5), draw(6))
    assert bool((draw(5) < 33).all())


def test_everything_is_all_rows_at_every_step():
    draw = everything(7)
    assert torch.equal(draw(0), torch.arange(7)) and draw(3) is draw(0)


def test_balanced_groups_are_drawn_as_often_as_each_other():
    draw = balanced(0, GROUPS, 64)
    drawn = torch.cat([draw(step) for step in range(200)])
    assert float((GROUPS[drawn] == 1).double().mean()) == pytest.approx(0.5, abs=0.01)


def test_sizes_of_poisson_batches_are_binomial():
    draw = poisson(0, 33, 0.3)
    sizes = torch.tensor([len(draw(step)) for step in range(1000)]).double()
    assert float(sizes.mean()) == pytest.approx(33 * 0.3, rel=0.03)
    assert float(sizes.var()) == pytest.approx(33 * 0.3 * 0.7, rel=0.15)


def test_a_list_with_copies_has_the_gradient_of_weights_that_count_them():
    problem, start = small_problem()
    rows = torch.cat([torch.arange(40), torch.arange(10), torch.arange(10)])
    plain = Plain(problem.network.forward, problem.loss)
    with_copies = plain.on(batch_of(problem, listed(everything(60), rows)(0))).slope(start).gradient
    counts = rows.bincount().double() / 60
    by_weight = plain.on(batch_of(problem, range(40))).slope(start, counts).gradient
    assert largest_difference(with_copies, by_weight) < 1e-12


@pytest.mark.parametrize("method", METHODS)
def test_a_row_that_a_batch_shows_twice_counts_twice_by_every_method(method):
    problem, start = small_problem()
    draw = weighted(0, torch.full((40,), 1 / 40), 30)
    assert len(draw(0).unique()) < 30
    end, expected = (
        trained_in_rounds(problem, start, 6, 0.1, method=each, draw=draw, rule="momentum", momentum=0.9)
        for each in (method, "jvp")
    )
    assert largest_difference(end, expected) < 1e-10


def test_rows_are_formed_once_a_step_and_only_when_asked_for():
    formed = []

    def form(step, rows):
        formed.append(step)
        return rows.double()[:, None], rows

    sees = seen_anew(form, epochs(0, 12, 4))
    batch = sees(2)
    assert isinstance(batch, Batch) and len(batch) == 4 and not formed
    assert batch.shown[0] is batch.shown[0] and formed == [2]
