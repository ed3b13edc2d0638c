"""Trainings in rounds that train together: the parameters of all in one tensor each, every step one step of all.

A step of a small perceptron costs what it costs to issue its operations. Those of several trials are issued at once,
whatever their K, learning rate and seed; where a trial linearises anew, its part of the anchors is replaced.

Rows are those of a trial by itself but for the order of sums: to 1e-10 in float64, and to 1e-4 in float32 until some
ReLU's input comes as near to its kink as float32 rounds, as on sparse parity after a thousand steps. From there on
rounding decides a few signs, on which steps and kernels depend. A float32 trial by itself then parts from its float64
twin as far as from its companions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

import torch

from trials.core.augmentation.fixed_set import abreast
from trials.core.linearisation import Linearised, linearised
from trials.core.networks.chain import Chain
from trials.core.networks.fixed_layers import Flatten, Relu
from trials.core.networks.layers import Linear
from trials.core.rounds.measuring import Past, Stand, gauges_abreast
from trials.core.rounds.parameter_space import chain_of
from trials.core.rounds.stack import Stack, stack_of
from trials.core.rows import Diverged, Row

if TYPE_CHECKING:
    from trials.core.probes.features import FeatureProbe
    from trials.core.rounds.in_rounds import Rounds
    from trials.core.rounds.measuring import Instruments
    from trials.core.rounds.reading import Gauges
    from trials.core.training.batches import Draw
    from trials.core.training.descent import Descent


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One of the trials that train together.

    Attributes:
        index: Its place among those that were asked for.
        instruments: What its rows are measured with.
        rounds: When they end, by their length alone, and how steps would be computed if it trained by itself.
        descent: How its steps follow from gradients.
        steps: Its last step.
        draw: Step -> its training samples.
    """

    index: int
    instruments: Instruments
    rounds: Rounds
    descent: Descent
    steps: int
    draw: Draw


@dataclass(frozen=True)
class _Counts:
    """What differs from lane to lane beside tensors."""

    lane: Lane
    past: Past
    linearisations: int = 0
    begun: int = 0
    longest: int = 0

    def is_over(self, step: int) -> bool:
        return self.lane.rounds.calendar.is_over(step, self.begun)

    def is_measured(self, step: int) -> bool:
        of_round = self.linearisations <= self.lane.instruments.measured_rounds and self.is_over(step)
        return of_round or step in self.lane.instruments.measured_steps

    def moment(self, step: int) -> Stand:
        return Stand(
            step=step,
            linearisations=self.linearisations,
            begun=self.begun,
            longest=self.longest,
            method=self.lane.rounds.methods.at(max(0, step - 1 - self.begun)),
            converged=None,
            begins=self.is_over(step),
            last=step == self.lane.steps,
        )

    def lacks_stability(self, step: int) -> bool:
        return self.lane.instruments.lacks_stability(self.moment(step), self.past)


_KERNEL_NUMBERS = 2**19
"""In the kernels of lanes that are measured at once: with more they leave the processor's cache, and take longer."""


def trained_together(lanes: Sequence[Lane]) -> Iterator[tuple[int, Row | Diverged]]:
    """Train all lanes and yield (index, row) as rows arise; (index, Diverged) ends a lane and no other.

    The lanes have the same network, data, loss, batch size, optimiser and size of probe; rows of the data may be others
    in each.

    Raises:
        ValueError: The network has layers that take no first axis over trials.
    """
    problem, descent = lanes[0].instruments.problem, lanes[0].descent
    chain = _of_several(linearised(problem.network.forward, {}))
    train = abreast([lane.instruments.problem.rows for lane in lanes])
    initial, rates = [lane.instruments.initial for lane in lanes], [float(lane.descent.rate(0)) for lane in lanes]
    dampings = [lane.rounds.damping for lane in lanes]
    counts, stack = (
        [_Counts(lane, Past()) for lane in lanes],
        stack_of(initial, rates, dampings, descent.rule.beginning),
    )
    for step in count():
        measured = [place for place, each in enumerate(counts) if each.is_measured(step)]
        lost = set[int]()
        for places in _at_once(measured, lanes[0].instruments.probe):
            for place, told, past in _rows(step, places, counts, stack):
                yield counts[place].lane.index, told
                counts[place] = replace(counts[place], past=past)
                if isinstance(told, Diverged):
                    lost.add(place)
        going_on = [place for place, each in enumerate(counts) if place not in lost and step < each.lane.steps]
        if not going_on:
            return
        if len(going_on) < len(counts):
            counts, stack = [counts[place] for place in going_on], stack.only(going_on)
            train = train.only(going_on)
        if due := [place for place, each in enumerate(counts) if each.is_over(step)]:
            stack = stack.linearised_anew(due)
            for place in due:
                counts[place] = _begun(counts[place], step)
        batch = torch.stack([each.lane.draw(step) for each in counts])
        stack = stack.stepped(chain, descent, problem.loss, train.at(batch))


def _begun(counts: _Counts, step: int) -> _Counts:
    longest = max(counts.longest, step - counts.begun)
    return replace(counts, linearisations=counts.linearisations + 1, begun=step, longest=longest)


def _at_once(measured: list[int], probe: FeatureProbe | None) -> Iterator[list[int]]:
    """Yield the lanes that are measured, as many at once as keep their kernels small."""
    kernel = None if probe is None else probe.first.kernel
    most = max(1, len(measured) if kernel is None else _KERNEL_NUMBERS // kernel.numel())
    yield from (measured[first : first + most] for first in range(0, len(measured), most))


def _rows(
    step: int, places: list[int], counts: Sequence[_Counts], stack: Stack
) -> Iterator[tuple[int, Row | Diverged, Past]]:
    """Yield of some lanes the row, or that the lane has diverged, with the past that includes the row."""
    stability = _stability([place for place in places if counts[place].lacks_stability(step)], counts, stack)
    begins = any(counts[place].is_over(step) for place in places)
    gauges, model, seen = _seen(places, counts, stack)
    for place, reading in zip(places, gauges.read(model, seen.point, seen.path, begins=begins), strict=True):
        lane, past = counts[place].lane, counts[place].past
        told: Row | Diverged
        try:
            told, past = lane.instruments.told(counts[place].moment(step), past, reading, stability.get(place))
        except Diverged as divergence:
            told = divergence
        yield place, told, past


def _stability(lacking: list[int], counts: Sequence[_Counts], stack: Stack) -> dict[int, float]:
    """Return the stability ratios of the present linearisations of some lanes."""
    if not lacking:
        return {}
    gauges, model, _ = _seen(lacking, counts, stack)
    return dict(zip(lacking, gauges.stability(model.anchor), strict=True))


def _seen(places: list[int], counts: Sequence[_Counts], stack: Stack) -> tuple[Gauges, Linearised, Stack]:
    """Return what reads some of the lanes, their linearisations, and where they are."""
    lanes, seen = [counts[place].lane.instruments for place in places], stack.only(places)
    return gauges_abreast(lanes), linearised(lanes[0].problem.network.forward, seen.anchor), seen


def _of_several(model: Linearised) -> Chain:
    """Return the chain, whose layers take a first axis over lanes.

    Raises:
        ValueError: It has layers that do not.
    """
    chain = chain_of(model)
    if not all(isinstance(layer, Flatten | Linear | Relu) for layer in chain.layers):
        raise ValueError("only perceptrons train together")
    return chain
