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
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from trials.core.augmentation.fixed_set import abreast
from trials.core.linearisation import Linearised, linearised
from trials.core.networks.chain import Chain
from trials.core.networks.fixed_layers import Flatten, Relu
from trials.core.networks.layers import Linear
from trials.core.parameters import stacked
from trials.core.rounds.choice import serving
from trials.core.rounds.round import chain_of
from trials.core.rows import Diverged, Row
from trials.core.training.batches import epochs, seen
from trials.core.training.places import Place
from trials.core.training.together import Lanes, Moments, courses
from trials.k_phase_diagram.measuring import Past, Stand, gauges_abreast
from trials.k_phase_diagram.stack import Stack, stack_of

if TYPE_CHECKING:
    from trials.core.rounds.in_rounds import Rounds
    from trials.core.training.batches import Sees
    from trials.core.training.descent import Descent, Step
    from trials.k_phase_diagram.features import FeatureProbe
    from trials.k_phase_diagram.knobs import KPhaseKnobs
    from trials.k_phase_diagram.measuring import Instruments


class Lane(NamedTuple):
    """One of the trials that train together.

    Attributes:
        knobs: Its own.
        instruments: What its rows are measured with.
        rounds: When they end, by their length alone, and how steps would be computed if it trained by itself.
        descent: How its steps follow from gradients.
    """

    knobs: KPhaseKnobs
    instruments: Instruments
    rounds: Rounds
    descent: Descent


_KERNEL_NUMBERS = 2**19
"""In the kernels of lanes that are measured at once: with more they leave the processor's cache, and take longer."""


def trained_together(lanes: Sequence[Lane]) -> Iterator[tuple[int, Row | Diverged]]:
    """Train all lanes and yield (place among them, row) as rows arise; with Diverged a lane ends and no other.

    The lanes have the same network, data, loss, batch size, optimizer and size of probe; rows of the data may be others
    in each.

    Raises:
        ValueError: The network has layers that take no first axis over trials.
    """
    first = lanes[0]
    chain = _of_several(linearised(first.rounds.problem.network.forward, {}))
    train = abreast([lane.instruments.train for lane in lanes])
    initial = stacked([lane.instruments.initial for lane in lanes])
    rates = next(iter(initial.values())).new_tensor([lane.descent.rate(0) for lane in lanes])

    def step(under_way: Lanes) -> Step:
        own = rates[list(under_way)]
        return replace(first.descent, rate=lambda number: own)

    def sees(under_way: Lanes) -> Sees:
        seeds = [lanes[lane].knobs.seed for lane in under_way]
        return seen(train.only(under_way).at, epochs(seeds, train.length, first.knobs.batch_size, rates.device))

    dated = frozenset[int]().union(*(lane.instruments.measured_steps for lane in lanes))
    measured_rounds = max(lane.instruments.measured_rounds for lane in lanes)

    def with_rows(now: Moments[Stack, Past]) -> list[int]:
        due = now.trained.due(now.step) if measured_rounds else []
        if not due and now.step not in dated:
            return []
        own = [lanes[lane].instruments for lane in now.lanes]
        ending = {place for place in due if now.trained.counts[place].linearisations <= own[place].measured_rounds}
        return [place for place, each in enumerate(own) if place in ending or now.step in each.measured_steps]

    begun = (
        stack_of(chain, [lane.rounds for lane in lanes], initial),
        Place(initial, first.descent.rule.beginning(initial)),
    )
    steps, past = [lane.knobs.steps for lane in lanes], [Past() for _ in lanes]
    for now in courses(begun, step, sees, steps=steps, rows_at=with_rows, past=past):
        for places in _at_once(len(now.lanes), first.instruments.probe):
            yield from _rows(now.only(places), lanes)


def _at_once(lanes: int, probe: FeatureProbe | None) -> Iterator[range]:
    """Yield the places of lanes that are measured, as many at once as keep their kernels small."""
    kernel = None if probe is None else probe.first.kernel
    most = max(1, lanes if kernel is None else _KERNEL_NUMBERS // kernel.numel())
    yield from (range(start, min(start + most, lanes)) for start in range(0, lanes, most))


def _rows(now: Moments[Stack, Past], all_lanes: Sequence[Lane]) -> Iterator[tuple[int, Row | Diverged]]:
    """Yield the row of each lane, or that it has diverged, and leave the past that includes the row."""
    lanes, due, trained = [all_lanes[lane] for lane in now.lanes], now.trained.due(now.step), now.trained
    instruments, pasts = [lane.instruments for lane in lanes], [now.past[lane] for lane in now.lanes]
    stands = []
    for place, (lane, counted) in enumerate(zip(lanes, trained.counts, strict=True)):
        method = serving(lane.rounds.methods, max(0, now.step - 1 - counted.begun))
        damping, last = lane.rounds.damping_of(counted.begun), now.step == lane.knobs.steps
        stands.append(Stand(now.step, counted, damping, method, None, place in due, last))
    told_of = enumerate(zip(instruments, stands, pasts, strict=True))
    lacking = [place for place, (each, stand, past) in told_of if each.lacks_stability(stand, past)]
    known: dict[int, float] = {}
    if lacking:
        lack = gauges_abreast([instruments[place] for place in lacking])
        known = dict(zip(lacking, lack.stability(now.only(lacking).trained.anchor), strict=True))
    model = linearised(lanes[0].rounds.problem.network.forward, trained.anchor)
    readings = gauges_abreast(instruments).read(model, now.place.point, trained.path, begins=bool(due))
    for place, number in enumerate(now.lanes):
        told: Row | Diverged
        try:
            seen_of = stands[place], pasts[place], readings[place], known.get(place)
            told, now.past[number] = instruments[place].told(*seen_of)
        except Diverged as divergence:
            told = divergence
            now.ending.add(number)
        yield number, told


def _of_several(model: Linearised) -> Chain:
    """Return the chain, whose layers take a first axis over lanes.

    Raises:
        ValueError: It has layers that do not.
    """
    chain = chain_of(model)
    if not all(isinstance(layer, Flatten | Linear | Relu) for layer in chain.layers):
        raise ValueError("only perceptrons train together")
    return chain
