"""The course of a training: its steps, and the moments between them at which rows are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor

if TYPE_CHECKING:
    from trials.core.checkpoints import State
    from trials.core.context import TrialContext
    from trials.core.training.batches import Batch, Sees
    from trials.core.training.descent import Step
    from trials.core.training.places import Place, Vector
    from trials.core.training.slopes import BatchLoss, Forward, Told

Tally = Callable[["Batch", "Told"], "Tensor"]
"""What a step adds to the sums that the next row reads: (what it saw, what that told before it) -> numbers."""
Note = Callable[["Told"], "Tensor"]
"""What a row reads of the last step alone; asked only where there is a row, or a checkpoint."""
Noted = Callable[[], "Tensor | None"]


class Trained(Protocol):
    """What is trained, which only a renewal changes: the network itself, its linearisation, any function of a point."""

    @property
    def forward(self) -> Forward:
        """The network, as a function of what trains."""

    def parameters(self, point: Vector) -> Vector:
        """Return what trains at a point of the coordinates in which steps are taken."""

    def on(self, batch: Batch) -> BatchLoss:
        """Return the loss of a batch as a function of the point."""

    def renewed(self, step: int, place: Place) -> tuple[Self, Place]:
        """Return what a step trains, and where it begins."""

    def state(self, place: Place) -> State:
        """Return all that the steps to come depend on."""

    def restored(self, place: Place, state: Any, step: int) -> tuple[Self, Place]:
        """Return what is trained, and where it is, as a state of the beginning of `step` tells."""


T = TypeVar("T", bound=Trained)
P = TypeVar("P")
_SCALARS = {"bool": bool, "int": int, "float": float}


@dataclass(slots=True, eq=False)
class Moment(Generic[T, P]):
    """The beginning of a step at which a row may be measured.

    Attributes:
        step: Steps done.
        trained: What the last step trained.
        place: Where it led.
        seen: What the steps since the sums began anew add up to; None before the first of them.
        noted: Returns what is noted of the last step alone; None before the first.
        past: What earlier rows left for later ones. A recipe puts there what this row leaves.
        last: Whether training ends here.
    """

    step: int
    trained: T
    place: Place
    seen: Tensor | None
    noted: Noted
    past: P
    last: bool

    @property
    def parameters(self) -> Vector:
        """What trains, where it is."""
        return self.trained.parameters(self.place.point)


def course(
    begun: tuple[T, Place],
    step: Step,
    sees: Sees,
    *,
    steps: int,
    rows_at: Callable[[Moment[T, P]], bool],
    context: TrialContext,
    past: P,
    tally: Tally | None = None,
    note: Note | None = None,
    sums_at: Callable[[int], bool] | None = None,
    ends_at: Callable[[Moment[T, P]], bool] | None = None,
) -> Iterator[Moment[T, P]]:
    """Train, and yield the moments at which rows are measured; from a checkpoint where there is one.

    What a moment gives is what the last step trained, before anything is renewed. Whatever decides a row is a function
    of the step and of the state that a checkpoint keeps, so that rows are the same wherever a training is broken off.

    Args:
        begun: What is trained and where it is, before the first step.
        step: How it is moved by the loss of a batch.
        sees: Step -> what it sees.
        steps: The last step.
        rows_at: Whether a row is measured at a moment.
        context: Where checkpoints are kept.
        past: What rows leave for later ones, before the first: a frozen dataclass of numbers and tensors.
        tally: What a step adds to `Moment.seen`; None for nothing.
        note: What `Moment.noted` returns of the last step; None for nothing.
        sums_at: Whether these sums begin anew after a step's row, if it has one; None wherever there was a row.
        ends_at: Whether training ends at a moment before `steps`; asked before its row.
    """
    (trained, place), start, seen = begun, 0, None
    noted: Noted = _nothing
    found = context.checkpoints.restored(context.device)
    if found is not None:
        state: Any = found.state
        start, seen, last_noted = found.step, state.get("seen"), state.get("noted")
        noted, past = (lambda: last_noted), from_state(past, state.get("past", {}))
        trained, place = trained.restored(place, state["training"], start)
    for number in range(start, steps + 1):
        now = Moment(number, trained, place, seen, noted, past, number == steps)
        if ends_at is not None and not now.last:
            now.last = ends_at(now)
        context.checkpoints.offer(number, partial(_saved, now), last=now.last)
        shown = rows_at(now)
        if shown:
            yield now
            past = now.past
        if now.last:
            return
        if shown if sums_at is None else sums_at(number):
            seen = None
        trained, place = trained.renewed(number, place)
        batch = sees(number)
        place, told = step(trained.on(batch), place, number)
        if note is not None:
            noted = partial(note, told)
        if tally is not None:
            seen = tally(batch, told) if seen is None else seen + tally(batch, told)


def _saved(now: Moment[T, P]) -> State:
    beside = {"seen": now.seen, "noted": now.noted()}
    kept = {name: value for name, value in beside.items() if value is not None}
    return {"training": now.trained.state(now.place), "past": as_state(now.past), **kept}


def _nothing() -> None:
    return None


def as_state(value: Any) -> State:
    """Return a dataclass or a mapping (tensors, numbers, tuples of floats, None, or the like) as tensors by name.

    Kinds of numbers are part of the names, so that what comes back is what was kept.
    """
    state: dict[str, Any] = {}
    for name, each in _entries(value):
        kind = type(each).__name__
        if isinstance(each, Tensor):
            state[name] = each
        elif each is None:
            state[f"{name}:none"] = torch.empty(0)
        elif kind in _SCALARS:
            state[f"{name}:{kind}"] = torch.tensor(each, dtype=torch.float64 if kind == "float" else None)
        elif isinstance(each, tuple) and all(type(item) is float for item in each):
            state[f"{name}:floats"] = torch.tensor(each, dtype=torch.float64)
        else:
            state[name] = as_state(each)
    return state


def from_state(like: Any, state: Any) -> Any:
    """Return what `as_state` kept, `like` it in its classes."""
    found = {}
    for tagged, value in state.items():
        name, _, kind = tagged.partition(":")
        found[name] = (
            _value(value, kind) if kind or isinstance(value, Tensor) else from_state(_entry(like, name), value)
        )
    if is_dataclass(like) and not isinstance(like, type):
        return replace(like, **found)
    return {**like, **found} if isinstance(like, Mapping) else like


def _value(value: Any, kind: str) -> Any:
    if kind == "none":
        return None
    if kind == "floats":
        return tuple(value.tolist())
    return _SCALARS[kind](value.item()) if kind else value


def _entries(value: Any) -> list[tuple[str, Any]]:
    if value is None:
        return []
    if is_dataclass(value):
        return [(entry.name, getattr(value, entry.name)) for entry in fields(value)]
    return list(value.items())


def _entry(like: Any, name: str) -> Any:
    return like[name] if isinstance(like, Mapping) else getattr(like, name)
