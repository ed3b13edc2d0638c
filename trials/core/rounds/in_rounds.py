"""Training in rounds: the network's linearisation, renewed every K steps, as what is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from trials.core.linearisation import linearised
from trials.core.parameters import Parameters, difference
from trials.core.probes.columns import PARTS
from trials.core.probes.movement import lengths
from trials.core.rounds.calendar import Calendar
from trials.core.rounds.choice import METHODS, Methods, Switch
from trials.core.rounds.round import Problem, Round, RoundLoss, gradient_norm
from trials.core.training.places import Place
from trials.core.training.plain import Plain

if TYPE_CHECKING:
    from jaxtyping import Float64
    from torch import Tensor

    from trials.core.checkpoints import State
    from trials.core.linearisation import Linearised
    from trials.core.networks.network import Forward
    from trials.core.training.batches import Batch
    from trials.core.training.places import Vector
    from trials.core.training.rules import Memory


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """What all rounds of a training have in common.

    Attributes:
        problem: What is trained on what.
        calendar: When a round ends.
        methods: How its steps are computed as it grows older.
        damping: lambda of lambda / 2 ||theta - anchor||^2, which a round minimises beside the loss.
        forgotten: Parameters -> the memory with which each round begins anew; None where it is kept.
    """

    problem: Problem
    calendar: Calendar
    methods: Methods
    damping: float = 0.0
    forgotten: Callable[[Parameters], Memory] | None = None

    def damping_of(self, begun: int) -> float:
        """Return the damping of the round that began at a step: none in a warm start, whose rounds are plain steps."""
        return self.damping if begun >= self.calendar.warm_steps else 0.0

    def round(self, method: Switch, model: Linearised, place: Place, begun: int) -> Round:
        """Return the round that began at a step, or the rest of it, from a place of parameter space."""
        return METHODS[method.method](self.problem, model, place, self.damping_of(begun))


class Standing:
    """Where a training stands in its round at the beginning of a step.

    Attributes:
        ends: Whether the next round begins here.
    """

    __slots__ = ("_converged", "_in_rounds", "_place", "ends")

    def __init__(self, in_rounds: InRounds, step: int, place: Place) -> None:
        calendar, begun = in_rounds.rounds.calendar, in_rounds.begun
        self._in_rounds, self._place = in_rounds, place
        self._converged: bool | None = None
        self.ends = calendar.is_over(step, begun) or (calendar.is_checked(step, begun) and bool(self.converged))

    @property
    def converged(self) -> bool | None:
        """Whether the gradient of what the round minimises is within the tolerance; None if there is none.

        It takes a pass through the training set, when it is first asked for.
        """
        tolerance = self._in_rounds.rounds.calendar.tolerance
        if self._converged is None and tolerance > 0:
            self._converged = bool(gradient_norm(self._in_rounds.round, self._place.point) <= tolerance)
        return self._converged


@dataclass(frozen=True, kw_only=True, eq=False)
class InRounds:
    """The linearisation that is trained, and how it came about.

    Attributes:
        rounds: What all rounds have in common.
        method: How the steps of the round are computed.
        round: The round that the last step belonged to.
        linearisations: How often the network was linearised so far; 0 before the first step.
        begun: Step at which the round began.
        longest: Steps of the longest of the earlier rounds.
        path: Lengths that the earlier rounds covered, added up; see `lengths`.
    """

    rounds: Rounds
    method: Switch
    round: Round
    linearisations: int
    begun: int
    longest: int
    path: Float64[Tensor, " parts"]

    @property
    def forward(self) -> Forward:
        """The network."""
        return self.rounds.problem.network.forward

    def parameters(self, point: Vector) -> Parameters:
        """Return the parameters at a point of the round's coordinates."""
        return self.round.parameters(point)

    def on(self, batch: Batch) -> RoundLoss:
        """Return the loss of a batch."""
        return RoundLoss(self.round, batch)

    def standing(self, step: int, place: Place) -> Standing:
        """Return where the round stands before a step."""
        return Standing(self, step, place)

    def renewed(self, step: int, place: Place, standing: Standing) -> tuple[InRounds, Place]:
        """Return what a step trains and where it begins: the round, a new one, or the same by another method."""
        if standing.ends:
            return self._linearised_anew(step, place)
        method = self.rounds.methods.at(step - self.begun)
        return (self, place) if method == self.method else self._carried_on(method, place)

    def _linearised_anew(self, step: int, place: Place) -> tuple[InRounds, Place]:
        place, rounds = place.each(self.round.parameters), self.rounds
        if rounds.forgotten:
            place = Place(place.point, rounds.forgotten(place.point))
        method = rounds.methods.at(0)
        round_ = rounds.round(method, linearised(self.forward, place.point), place, step)
        renewed = InRounds(
            rounds=rounds,
            method=method,
            round=round_,
            linearisations=self.linearisations + 1,
            begun=step,
            longest=max(self.longest, step - self.begun),
            path=self.path + lengths(difference(place.point, self.round.model.anchor)),
        )
        return renewed, round_.start

    def _carried_on(self, method: Switch, place: Place) -> tuple[InRounds, Place]:
        """Return the rest of the round computed by another method."""
        round_ = self.rounds.round(method, self.round.model, place.each(self.round.parameters), self.begun)
        return replace(self, method=method, round=round_), round_.start

    def state(self, place: Place) -> State:
        """Return all that the steps to come depend on. Without the anchor a resumed trial would re-linearise."""
        counts = {"linearisations": self.linearisations, "begun": self.begun, "longest": self.longest}
        return {
            "anchor": self.round.model.anchor,
            "basis": self.round.state(),
            "now": place.state(),
            "path": self.path,
            **{name: torch.tensor(count) for name, count in counts.items()},
        }

    def restored(self, place: Place, state: Any, step: int) -> tuple[InRounds, Place]:
        """Return what is trained, and where it is, as a state of the beginning of `step` tells."""
        begun = int(state["begun"])
        # At its first step a round's method has not been asked yet: the state is still the last round's.
        method = self.rounds.methods.at(max(0, step - 1 - begun))
        model = linearised(self.forward, state["anchor"])
        restored = InRounds(
            rounds=self.rounds,
            method=method,
            round=self.rounds.round(method, model, _place(state.get("basis") or state["now"]), begun),
            linearisations=int(state["linearisations"]),
            begun=begun,
            longest=int(state["longest"]),
            path=state["path"],
        )
        return restored, _place(state["now"])


def in_rounds(rounds: Rounds, place: Place) -> tuple[InRounds, Place]:
    """Return what is trained before the first step, and where it is."""
    method, initial = rounds.methods.at(0), place.point
    round_ = rounds.round(method, linearised(rounds.problem.network.forward, initial), place, 0)
    path = torch.zeros(len(PARTS), dtype=torch.float64, device=next(iter(initial.values())).device)
    return InRounds(
        rounds=rounds, method=method, round=round_, linearisations=0, begun=0, longest=0, path=path
    ), round_.start


def renewed_every(
    interval: int, problem: Problem, place: Place, *, damping: float = 0.0
) -> tuple[Plain | InRounds, Place]:
    """Return the network itself for an interval of 1, else its linearisation renewed every `interval` steps.

    The two are one training where a step asks for the slope at its beginning alone. A direction that asks elsewhere, as
    sharpness-aware ones do, is told of the linearisation there, whose features do not move: at an interval of 1 it is
    the network that they are to be told of.
    """
    if interval == 1:
        return Plain(problem.network.forward, problem.loss), place
    methods = Methods((Switch(0, "jvp", "one method serves every network"),))
    return in_rounds(
        Rounds(problem=problem, calendar=Calendar(interval=interval), methods=methods, damping=damping), place
    )


def _place(saved: Any) -> Place:
    return Place(saved["point"], saved.get("memory", {}))
