"""Training as a sequence of rounds: where it is, how a step moves it on, and what of it a checkpoint holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from trials.core.linearisation import linearised
from trials.core.optimisers.sgd import sgd_step
from trials.core.parameters import Parameters, difference
from trials.core.probes.movement import PARTS, lengths
from trials.core.rounds.choice import METHODS, Methods, Switch
from trials.core.rounds.round import Place, Problem, Round, gradient_norm

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64
    from torch import Tensor

    from trials.core.checkpoints import State
    from trials.core.optimisers.rules import Memory, Rule


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """When a round ends.

    Attributes:
        interval: Steps of a round at most (the paper's K).
        warm_steps: Steps at the beginning that each begin a round.
        tolerance: Norm of the training gradient at which a round ends early; 0 = never.
        check_every: Steps of a round between looks at that norm, since it takes a pass over the training set.
    """

    interval: int
    warm_steps: int
    tolerance: float
    check_every: int

    def is_over(self, step: int, begun: int) -> bool:
        """Return whether the round that began at step `begun` ends at `step` by its length."""
        return step <= self.warm_steps or step - begun >= self.interval

    def is_checked(self, step: int, begun: int) -> bool:
        """Return whether the norm of the gradient decides at `step`."""
        return self.tolerance > 0 and step > begun and (step - begun) % self.check_every == 0


def unified_lengths(interval: float, steps: float, warm_steps: float) -> tuple[float, float]:
    """Return one (interval, plain steps before) for all of the same training; what is not allowed stays as it is."""
    if interval < 1 or warm_steps < 0:
        return interval, warm_steps
    if interval == 1 or warm_steps >= steps:
        return 1, 0
    return (steps if warm_steps + interval >= steps else interval), warm_steps


@dataclass(frozen=True, kw_only=True)
class Descent:
    """How a step follows from a gradient.

    Attributes:
        rule: The optimiser's rule.
        learning_rate: Length of a step along the rule's direction.
        weight_decay: Multiple of the parameters added to the gradient.
        forgets: Whether the rule begins anew with each round.
    """

    rule: Rule
    learning_rate: float
    weight_decay: float
    forgets: bool

    def step(self, place: Place, gradient: Parameters) -> Place:
        """Return the place after one step."""
        direction, memory = self.direction(place.point, gradient, place.memory)
        return Place(sgd_step(place.point, direction, self.learning_rate), memory)

    def direction(self, point: Parameters, gradient: Parameters, memory: Memory) -> tuple[Parameters, Memory]:
        """Return the direction of a step, against which it goes, and what the rule remembers of it."""
        if self.weight_decay:
            gradient = {
                name: torch.add(value, point[name], alpha=self.weight_decay) for name, value in gradient.items()
            }
        return self.rule.direction(gradient, memory)


@dataclass(frozen=True, kw_only=True)
class Training:
    """Where a training is at the beginning of a step.

    Attributes:
        method: How the steps of the round are computed.
        round: The round that the last step belonged to.
        place: Where training is, in the round's coordinates.
        linearisations: How often the network was linearised so far; 0 before the first step.
        begun: Step at which the round began.
        longest: Steps of the longest of the earlier rounds.
        path: Lengths that the earlier rounds covered, added up; see `lengths`.
    """

    method: Switch
    round: Round
    place: Place
    linearisations: int
    begun: int
    longest: int
    path: Float64[Tensor, " parts"]

    @property
    def parameters(self) -> Parameters:
        """The parameters."""
        return self.round.parameters(self.place.point)

    def stepped(self, descent: Descent, batch: Int64[Tensor, " batch"]) -> Training:
        """Return the training after a step on a batch."""
        gradient = self.round.gradient(self.place.point, batch)
        return replace(self, place=descent.step(self.place, gradient))

    def converged(self, tolerance: float, samples: int) -> bool:
        """Return whether the training gradient of the round's linearisation is at most `tolerance`."""
        return bool(gradient_norm(self.round, self.place.point, samples, self.path.device) <= tolerance)

    def linearised_anew(self, problem: Problem, descent: Descent, method: Switch, step: int) -> Training:
        """Return the training at the beginning of a round that starts where the last one ended."""
        place = self.place.each(self.round.parameters)
        if descent.forgets:
            place = Place(place.point, descent.rule.beginning(place.point))
        round_ = METHODS[method.method](problem, linearised(problem.network.forward, place.point), place)
        path = self.path + lengths(difference(place.point, self.round.model.anchor))
        return Training(
            method=method,
            round=round_,
            place=round_.start,
            linearisations=self.linearisations + 1,
            begun=step,
            longest=max(self.longest, step - self.begun),
            path=path,
        )

    def carried_on(self, problem: Problem, method: Switch) -> Training:
        """Return the training with the rest of its round computed by another method."""
        place = self.place.each(self.round.parameters)
        round_ = METHODS[method.method](problem, self.round.model, place)
        return replace(self, method=method, round=round_, place=round_.start)

    def state(self) -> State:
        """Return all that the steps to come depend on. Without the anchor a resumed trial would re-linearise."""
        counts = {"linearisations": self.linearisations, "begun": self.begun, "longest": self.longest}
        return {
            "anchor": self.round.model.anchor,
            "basis": self.round.state(),
            "now": self.place.state(),
            "path": self.path,
            **{name: torch.tensor(count) for name, count in counts.items()},
        }


def at_initialisation(problem: Problem, initial: Parameters, descent: Descent, methods: Methods) -> Training:
    """Return the training before its first step."""
    place, method = Place(initial, descent.rule.beginning(initial)), methods.at(0)
    round_ = METHODS[method.method](problem, linearised(problem.network.forward, initial), place)
    path = torch.zeros(len(PARTS), dtype=torch.float64, device=next(iter(initial.values())).device)
    return Training(method=method, round=round_, place=round_.start, linearisations=0, begun=0, longest=0, path=path)


def restored(problem: Problem, state: State, methods: Methods, step: int) -> Training:
    """Return the training that a state of the beginning of `step` tells of."""
    saved: Any = state
    begun = int(saved["begun"])
    # At its first step a round's method has not been asked yet: the state is still the last round's.
    method = methods.at(max(0, step - 1 - begun))
    start = saved.get("basis") or saved["now"]
    return Training(
        method=method,
        round=METHODS[method.method](problem, linearised(problem.network.forward, saved["anchor"]), _place(start)),
        place=_place(saved["now"]),
        linearisations=int(saved["linearisations"]),
        begun=begun,
        longest=int(saved["longest"]),
        path=saved["path"],
    )


def _place(saved: Any) -> Place:
    return Place(saved["point"], saved.get("memory", {}))
