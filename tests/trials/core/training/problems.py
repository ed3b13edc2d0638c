"""A small problem in float64, and what trains on it: shared by the tests of the training core."""

from __future__ import annotations

import torch

from trials.core.context import TrialContext
from trials.core.data.examples import Examples
from trials.core.losses.classification import cross_entropy
from trials.core.networks.feedforward import mlp
from trials.core.parameters import moved_to
from trials.core.rounds.choice import chosen_methods
from trials.core.rounds.in_rounds import Rounds, in_rounds
from trials.core.rounds.round import Problem
from trials.core.streams import generator
from trials.core.training.batches import Batch, epochs, everything, formed, seen
from trials.core.training.course import course
from trials.core.training.descent import Descent
from trials.core.training.places import Place
from trials.core.training.rules import RULES

CPU = torch.device("cpu")
SAMPLES, CLASSES = 40, 3


def initial(network, seed=0):
    """Return a network's parameters in float64."""
    return moved_to(network.initial(generator(seed, "initialisation")), CPU, torch.float64)


def examples(shape=(5,), samples=SAMPLES):
    """Return noise with labels in turn."""
    inputs = torch.randn(samples, *shape, generator=generator(0, "x"), dtype=torch.float64)
    return Examples(inputs=inputs, labels=torch.arange(samples) % CLASSES, classes=CLASSES)


def small_problem(network=None, shape=(5,), loss=cross_entropy):
    """Return a problem and where it begins."""
    network = network or mlp(shape, CLASSES, width=8, depth=1)
    return Problem(network=network, train=examples(shape), loss=loss), initial(network)


def batch_of(problem, rows):
    """Return some rows of the training set as a batch."""
    return Batch(torch.as_tensor(rows), formed(problem.train))


def steps_by(rule="sgd", rate=0.1, momentum=0.0, **changes):
    """Return steps of one length."""
    return Descent(rule=RULES[rule](momentum), rate=lambda step: rate, **changes)


def rounds_of(problem, interval, damping=0.0, method="jvp", **changes):
    """Return rounds of one method and length."""
    methods = chosen_methods(method, problem, 8, steps_by())
    return Rounds(problem=problem, interval=interval, methods=methods, damping=damping, **changes)


def renewed(begun):
    """Return what the first step trains, and where it begins."""
    trained, place = begun
    return trained.renewed(0, place)


def end_of(begun, step, sees, steps):
    """Return the parameters where a course ends."""
    context = TrialContext()
    *_, last = course(begun, step, sees, steps=steps, rows_at=lambda now: now.last, context=context, past=None)
    return last.parameters


def trained_in_rounds(problem, start, interval, damping=0.0, *, steps=15, method="jvp", rate=0.1, draw=None, **changes):
    """Return where training in rounds ends; on batches of 8 unless told otherwise."""
    step, samples = steps_by(rate=rate, **changes), len(problem.train)
    begun = in_rounds(rounds_of(problem, interval, damping, method), Place(start, step.rule.beginning(start)))
    return end_of(begun, step, seen(formed(problem.train), draw or epochs(0, samples, 8)), steps)


def on_all(problem):
    """Return what a step on all rows sees."""
    return seen(formed(problem.train), everything(len(problem.train)))


def largest_difference(one, other):
    """Return the largest difference of an entry of two vectors by name."""
    assert set(one) == set(other)
    return max(float((one[name] - other[name]).abs().max()) for name in one)
