"""Trainings in rounds that train together: the parameters of all in one tensor each, every step one step of all.

A step of a small perceptron costs what it costs to issue its operations. Those of several trials are issued at once,
whatever their K, learning rate and seed; where a trial linearises anew, its part of the anchors is replaced.

Rows are those of a trial by itself but for the order of sums: to 1e-10 in float64, and to 1e-4 in float32 until some
ReLU's input comes as near to its kink as float32 rounds, as on sparse parity after a thousand steps. From there on
rounding decides a few signs, on which steps and kernels depend. A float32 trial by itself then parts from its float64
twin as far as from its companions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

import torch

from trials.core.augmentation.fixed_set import abreast
from trials.core.gradients import linearised_gradient
from trials.core.linearisation import linearised
from trials.core.networks.chain import Chain
from trials.core.networks.fixed_layers import Flatten, Relu
from trials.core.networks.layers import Linear
from trials.core.optimisers.sgd import sgd_step
from trials.core.parameters import Parameters, difference
from trials.core.probes.movement import PARTS, lengths_of_each
from trials.core.rounds.measuring import Past
from trials.core.rounds.parameter_space import TangentRound, chain_of
from trials.core.rounds.round import Place
from trials.core.rounds.training import Training
from trials.core.rows import Diverged, Row

if TYPE_CHECKING:
    from jaxtyping import Float, Int64
    from torch import Tensor

    from trials.core.optimisers.rules import Memory
    from trials.core.rounds.choice import Methods
    from trials.core.rounds.measuring import Instruments
    from trials.core.rounds.training import Calendar, Descent


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One of the trials that train together.

    Attributes:
        index: Its place among those that were asked for.
        instruments: What its rows are measured with.
        calendar: When its rounds end; by their length alone.
        descent: How its steps follow from gradients.
        methods: How its steps would be computed if it trained by itself.
        steps: Its last step.
        measured_rounds: Rounds that have a row at their end.
        batch: Step -> its batch of training samples.
    """

    index: int
    instruments: Instruments
    calendar: Calendar
    descent: Descent
    methods: Methods
    steps: int
    measured_rounds: int
    batch: Callable[[int], Int64[Tensor, " batch"]]


@dataclass(frozen=True)
class _Counts:
    """What differs from lane to lane beside tensors."""

    lane: Lane
    past: Past
    linearisations: int = 0
    begun: int = 0
    longest: int = 0

    def is_over(self, step: int) -> bool:
        return self.lane.calendar.is_over(step, self.begun)

    def is_measured(self, step: int) -> bool:
        of_round = self.linearisations <= self.lane.measured_rounds and self.is_over(step)
        return of_round or step in self.lane.instruments.measured_steps


@dataclass(frozen=True, kw_only=True)
class _Stack:
    """Where the lanes are, the first axis of every tensor over lanes."""

    point: Parameters
    anchor: Parameters
    memory: Memory
    path: Float[Tensor, "lanes parts"]
    rates: Float[Tensor, " lanes"]

    def only(self, lanes: list[int]) -> _Stack:
        """Return some of the lanes."""
        chosen = torch.tensor(lanes, dtype=torch.int64, device=self.rates.device)
        memory = {name: _chosen(vector, chosen) for name, vector in self.memory.items()}
        point, anchor = _chosen(self.point, chosen), _chosen(self.anchor, chosen)
        return _Stack(point=point, anchor=anchor, memory=memory, path=self.path[chosen], rates=self.rates[chosen])

    def linearised_anew(self, due: list[bool]) -> _Stack:
        """Return the stack after some lanes have begun a round."""
        mask = torch.tensor(due, device=self.rates.device)
        moved = lengths_of_each(difference(self.point, self.anchor))
        anchor = {
            name: torch.where(_along(mask, value), value, self.anchor[name]) for name, value in self.point.items()
        }
        return replace(self, anchor=anchor, path=self.path + moved * mask[:, None])

    def stepped(self, chain: Chain, descent: Descent, loss: Callable[[Tensor, Tensor], Tensor], batch: Batch) -> _Stack:
        """Return the stack after a step of every lane."""
        inputs, labels = batch[0].flatten(2), batch[1]

        def total(outputs: Tensor, labels: Tensor) -> Tensor:
            # A loss is a mean over samples, and every lane has as many: this is the sum of the lanes' losses.
            return loss(outputs.flatten(0, 1), labels.flatten()) * len(labels)

        gradient = linearised_gradient(chain, self.anchor, difference(self.point, self.anchor), inputs, labels, total)
        direction, memory = descent.direction(self.point, gradient, self.memory)
        scaled = {name: _along(self.rates, value) * value for name, value in direction.items()}
        return replace(self, point=sgd_step(self.point, scaled, 1.0), memory=memory)


Batch = tuple["Tensor", "Tensor"]


def trained_together(lanes: Sequence[Lane]) -> Iterator[tuple[int, Row | Diverged]]:
    """Train all lanes and yield (index, row) as rows arise; (index, Diverged) ends a lane and no other.

    The lanes have the same network, data, loss, batch size and optimiser; rows of the data may be others in each.
    """
    problem, descent = lanes[0].instruments.problem, lanes[0].descent
    chain = _without_flatten(chain_of(linearised(problem.network.forward, {})))
    train = abreast([lane.instruments.problem.train for lane in lanes])
    counts, stack = [_Counts(lane, Past()) for lane in lanes], _beginning(lanes)
    for step in count():
        going_on: list[int] = []
        for place, each in enumerate(counts):
            if each.is_measured(step):
                told, counts[place] = _measured(step, place, each, stack)
                yield each.lane.index, told
                if isinstance(told, Diverged):
                    continue
            if step < each.lane.steps:
                going_on.append(place)
        if not going_on:
            return
        if len(going_on) < len(counts):
            counts, stack = [counts[place] for place in going_on], stack.only(going_on)
            train = train.only(going_on)
        due = [each.is_over(step) for each in counts]
        if any(due):
            stack = stack.linearised_anew(due)
            counts = [_begun(each, step) if over else each for each, over in zip(counts, due, strict=True)]
        batch = torch.stack([each.lane.batch(step) for each in counts])
        stack = stack.stepped(chain, descent, problem.loss, train.at(batch))


def _begun(counts: _Counts, step: int) -> _Counts:
    longest = max(counts.longest, step - counts.begun)
    return replace(counts, linearisations=counts.linearisations + 1, begun=step, longest=longest)


def _beginning(lanes: Sequence[Lane]) -> _Stack:
    initial = [lane.instruments.initial for lane in lanes]
    point = {name: torch.stack([each[name] for each in initial]) for name in initial[0]}
    first = next(iter(point.values()))
    rates = torch.tensor([lane.descent.learning_rate for lane in lanes], dtype=first.dtype, device=first.device)
    path = torch.zeros(len(lanes), len(PARTS), dtype=torch.float64, device=first.device)
    memory = lanes[0].descent.rule.beginning(point)
    return _Stack(point=point, anchor=point, memory=memory, path=path, rates=rates)


def _measured(step: int, place: int, counts: _Counts, stack: _Stack) -> tuple[Row | Diverged, _Counts]:
    """Return the row of one lane, or that it has diverged, and its counts with the past that includes the row."""
    lane, problem = counts.lane, counts.lane.instruments.problem
    point, anchor = ({name: value[place] for name, value in each.items()} for each in (stack.point, stack.anchor))
    here = Place(point, {})
    training = Training(
        method=lane.methods.at(max(0, step - 1 - counts.begun)),
        round=TangentRound(problem, linearised(problem.network.forward, anchor), here),
        place=here,
        linearisations=counts.linearisations,
        begun=counts.begun,
        longest=counts.longest,
        path=stack.path[place],
    )
    begins, last = counts.is_over(step), step == lane.steps
    try:
        row, past = lane.instruments.row(step, training, counts.past, converged=None, begins=begins, last=last)
    except Diverged as divergence:
        return divergence, counts
    return row, replace(counts, past=past)


def _without_flatten(chain: Chain) -> Chain:
    """Return the chain for inputs that are vectors already, whose layers take a first axis over lanes.

    Raises:
        ValueError: It has layers that do not.
    """
    first, *layers = chain.layers
    if not isinstance(first, Flatten) or not all(isinstance(layer, Linear | Relu) for layer in layers):
        raise ValueError("only perceptrons train together")
    return Chain(tuple(layers))


def _chosen(vector: Parameters, lanes: Tensor) -> Parameters:
    return {name: value[lanes] if value.ndim else value for name, value in vector.items()}


def _along(per_lane: Tensor, value: Tensor) -> Tensor:
    """Return numbers of lanes in the shape that multiplies a tensor whose first axis is over lanes."""
    return per_lane.view(-1, *(1 for _ in value.shape[1:]))
