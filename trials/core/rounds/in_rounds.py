"""Training in rounds: the network's linearisation, renewed every K steps, as what is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from trials.core.linearisation import linearised
from trials.core.parameters import Parameters, difference
from trials.core.probes.columns import PARTS
from trials.core.probes.movement import lengths
from trials.core.rounds.choice import METHODS, Switch, serving
from trials.core.rounds.round import Problem, Round, RoundLoss
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
        interval: Steps of a round at most (the paper's K).
        methods: How its steps are computed as it grows older.
        damping: lambda of lambda / 2 ||theta - anchor||^2, which a round minimises beside the loss.
        warm_steps: Steps at the beginning that each begin a round.
        tolerance: Norm of the training gradient at which a round ends early; 0 = never.
        check_every: Steps of a round between looks at that norm, since it takes a pass over the training set.
        forgotten: Parameters -> the memory with which each round begins anew; None where it is kept.
    """

    problem: Problem
    interval: int
    methods: Sequence[Switch]
    damping: float = 0.0
    warm_steps: int = 0
    tolerance: float = 0.0
    check_every: int = 1
    forgotten: Callable[[Parameters], Memory] | None = None

    def end_of(self, begun: int) -> int:
        """Return the step before which a round that began at step `begun` ends by its length."""
        return begun + (1 if begun < self.warm_steps else self.interval)

    def is_checked(self, age: int) -> bool:
        """Return whether the norm of the gradient decides after so many steps of a round."""
        return self.tolerance > 0 and age > 0 and age % self.check_every == 0

    def damping_of(self, begun: int) -> float:
        """Return the damping of the round that began at a step: none in a warm start, whose rounds are plain steps."""
        return self.damping if begun >= self.warm_steps else 0.0

    def round(self, method: Switch, model: Linearised, place: Place, begun: int) -> Round:
        """Return the round that began at a step, or the rest of it, from a place of parameter space."""
        return METHODS[method.method](self.problem, model, place, self.damping_of(begun))


class Counted(NamedTuple):
    """How a round came about.

    Attributes:
        linearisations: How often the network was linearised so far; 0 before the first step.
        begun: Step at which the round began.
        longest: Steps of the longest of the earlier rounds.
    """

    linearisations: int = 0
    begun: int = 0
    longest: int = 0

    def at(self, step: int) -> Counted:
        """Return the counts of the next round, which begins at a step."""
        return Counted(self.linearisations + 1, step, max(self.longest, step - self.begun))

    def end(self, rounds: Rounds) -> int:
        """Return the step before which the round ends by its length; the first begins before step 0."""
        return rounds.end_of(self.begun) if self.linearisations else 0


@dataclass(frozen=True, kw_only=True, eq=False)
class InRounds:
    """The linearisation that is trained, and how it came about.

    Attributes:
        rounds: What all rounds have in common.
        method: How the steps of the round are computed.
        round: The round that the last step belonged to.
        counted: How it came about.
        end: The step before which it ends by its length.
        path: Lengths that the earlier rounds covered, added up; see `lengths`.
    """

    rounds: Rounds
    method: Switch
    round: Round
    counted: Counted
    end: int
    path: Float64[Tensor, " parts"]

    @property
    def forward(self) -> Forward:
        """The network."""
        return self.rounds.problem.network.forward

    def parameters(self, point: Vector) -> Parameters:
        return self.round.parameters(point)

    def on(self, batch: Batch) -> RoundLoss:
        return RoundLoss(self.round, batch)

    def ends(self, step: int, place: Place) -> bool:
        """Return whether the next round begins before a step: by the length of this one, or since it has converged."""
        if step >= self.end:
            return True
        return self.rounds.is_checked(step - self.counted.begun) and bool(self.converged(place))

    def converged(self, place: Place) -> bool | None:
        """Return whether the gradient of what the round minimises is within the tolerance; None if there is none.

        It takes a pass through the training set.
        """
        tolerance = self.rounds.tolerance
        return bool(self.round.gradient_norm(place.point) <= tolerance) if tolerance > 0 else None

    def renewed(self, step: int, place: Place) -> tuple[InRounds, Place]:
        """Return what a step trains and where it begins: the round, a new one, or the same by another method."""
        if self.ends(step, place):
            return self._linearised_anew(step, place)
        method = serving(self.rounds.methods, step - self.counted.begun)
        if method == self.method:
            return self, place
        round_ = self.rounds.round(method, self.round.model, place.each(self.round.parameters), self.counted.begun)
        return replace(self, method=method, round=round_), round_.start

    def _linearised_anew(self, step: int, place: Place) -> tuple[InRounds, Place]:
        place, rounds = place.each(self.round.parameters), self.rounds
        if rounds.forgotten:
            place = Place(place.point, rounds.forgotten(place.point))
        path = self.path + lengths(difference(place.point, self.round.model.anchor))
        return _begun(rounds, self.counted.at(step), path, place)

    def state(self, place: Place) -> State:
        """Return all that the steps to come depend on. Without the anchor a resumed trial would re-linearise."""
        return {
            "anchor": self.round.model.anchor,
            "basis": self.round.state(),
            "now": place.state(),
            "path": self.path,
            **{name: torch.tensor(count) for name, count in self.counted._asdict().items()},
        }

    def restored(self, place: Place, state: Any, step: int) -> tuple[InRounds, Place]:
        counted, rounds = Counted(*(int(state[name]) for name in Counted._fields)), self.rounds
        # At its first step a round's method has not been asked yet: the state is still the last round's.
        method = serving(rounds.methods, max(0, step - 1 - counted.begun))
        model, begun = linearised(self.forward, state["anchor"]), _place(state.get("basis") or state["now"])
        round_, end = rounds.round(method, model, begun, counted.begun), counted.end(rounds)
        restored = replace(self, method=method, round=round_, counted=counted, end=end, path=state["path"])
        return restored, _place(state["now"])


def in_rounds(rounds: Rounds, place: Place) -> tuple[InRounds, Place]:
    """Return what is trained before the first step, and where it is."""
    path = torch.zeros(len(PARTS), dtype=torch.float64, device=next(iter(place.point.values())).device)
    return _begun(rounds, Counted(), path, place)


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
    methods = (Switch(0, "jvp", "one method serves every network"),)
    return in_rounds(Rounds(problem=problem, interval=interval, methods=methods, damping=damping), place)


def _begun(rounds: Rounds, counted: Counted, path: Tensor, place: Place) -> tuple[InRounds, Place]:
    method = serving(rounds.methods, 0)
    round_ = rounds.round(method, linearised(rounds.problem.network.forward, place.point), place, counted.begun)
    end = counted.end(rounds)
    return InRounds(rounds=rounds, method=method, round=round_, counted=counted, end=end, path=path), round_.start


def _place(saved: Any) -> Place:
    return Place(saved["point"], saved.get("memory", {}))
