"""Descent: rules, decay and rates of steps, for one training and for several with a first axis over them."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch

from tests.trials.core.training.problems import end_of, largest_difference, on_all, small_problem, steps_by
from trials.core.choices import LINEAR
from trials.core.rounds.in_rounds import renewed_every
from trials.core.streams import generator
from trials.core.training.descent import phases, within
from trials.core.training.places import Place
from trials.core.training.plain import PlainLoss
from trials.core.training.rules import RULES
from trials.core.training.slopes import Told

THEIRS = {
    "sgd": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.8}),
    "adam": (torch.optim.Adam, {}),
}
SHAPE = (3, 2)


def _gradient(step):
    return torch.randn(SHAPE, generator=generator(step, "g"), dtype=torch.float64)


def _moved(step, place, steps=20):
    for number in range(steps):
        place, _ = step(PlainLoss(None, None, None), place, number)
    return place.point["a"]


def _given(slope):
    """Return a direction that does not ask for any loss."""
    return lambda loss, point, step: Told({"a": slope(step)})


@pytest.mark.parametrize("rule", THEIRS)
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize("own", [False, True], ids=["values", "in place"])
def test_rules_are_those_of_pytorch(rule, weight_decay, own):
    start = torch.randn(SHAPE, generator=generator(0, "a"), dtype=torch.float64)
    leaf, (theirs, settings) = start.clone().requires_grad_(), THEIRS[rule]
    optimizer = theirs([leaf], lr=0.1, weight_decay=weight_decay, **settings)
    step = steps_by(rule, momentum=0.8, weight_decay=weight_decay, direction=_given(_gradient))
    point = {"a": start.clone().requires_grad_(own)}
    end = _moved(step, Place(point, step.rule.beginning({"a": start})))
    for number in range(20):
        leaf.grad = _gradient(number)
        optimizer.step()
    torch.testing.assert_close(end.detach(), leaf.detach(), rtol=0, atol=1e-10)
    assert (end is point["a"]) == own, "a module's own parameters change in place, values never do"


@pytest.mark.parametrize("own", [False, True], ids=["values", "in place"])
def test_decoupled_decay_is_that_of_adamw(own):
    start = torch.randn(SHAPE, generator=generator(0, "a"), dtype=torch.float64)
    leaf = start.clone().requires_grad_()
    optimizer = torch.optim.AdamW([leaf], lr=0.1, weight_decay=0.05)
    step = steps_by("adam", weight_decay=0.05, decoupled=True, direction=_given(_gradient))
    end = _moved(step, Place({"a": start.clone().requires_grad_(own)}, step.rule.beginning({"a": start})))
    for number in range(20):
        leaf.grad = _gradient(number)
        optimizer.step()
    torch.testing.assert_close(end.detach(), leaf.detach(), rtol=0, atol=1e-10)


def test_linear_rules_say_so():
    assert {name for name, rule in RULES.items() if rule(0.9).is_linear} == set(LINEAR)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("decoupled", [False, True])
def test_several_trainings_each_take_the_steps_of_their_own_rate(rule, decoupled):
    starts = torch.randn(4, *SHAPE, generator=generator(0, "a"), dtype=torch.float64)
    rates = torch.tensor([0.0, 0.1, 0.2, 0.4], dtype=torch.float64)
    changes = {"weight_decay": 0.05, "decoupled": decoupled, "momentum": 0.8}

    def of_all(number):
        return torch.stack([(lane + 1) * _gradient(number) for lane in range(4)])

    step = steps_by(rule, rate=rates, direction=_given(of_all), **changes)
    ends = _moved(step, Place({"a": starts}, step.rule.beginning({"a": starts})))
    for lane, rate in enumerate(rates.tolist()):
        alone = steps_by(rule, rate=rate, direction=_given(lambda number, lane=lane: of_all(number)[lane]), **changes)
        end = _moved(alone, Place({"a": starts[lane]}, alone.rule.beginning({"a": starts[lane]})))
        torch.testing.assert_close(ends[lane], end, rtol=0, atol=1e-12)


def test_a_step_may_change_with_the_phase():
    problem, start = small_problem()
    step = phases(steps_by(rate=0.0), steps_by(rate=0.1), 3)
    ends = [end_of(renewed_every(1, problem, Place(start, {})), step, on_all(problem), steps) for steps in (3, 4)]
    assert largest_difference(ends[0], start) == 0 < largest_difference(ends[1], start)


def test_a_step_may_be_taken_inside_a_context():
    problem, start = small_problem()
    inside = []

    @contextmanager
    def noted():
        inside.append("begins")
        yield
        inside.append("ends")

    end_of(renewed_every(1, problem, Place(start, {})), within(noted, steps_by()), on_all(problem), 2)
    assert inside == ["begins", "ends"] * 2
