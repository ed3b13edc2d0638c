"""The courses of trainings that go together: one loop over the steps of all, a first axis over lanes in every tensor.

A lane is one of the trainings. What a step of small tensors costs is the issue of its operations, which here is paid
once for all lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

import torch

if TYPE_CHECKING:
    from jaxtyping import Int64
    from torch import Tensor

    from trials.core.training.batches import Batch, Sees
    from trials.core.training.descent import Step
    from trials.core.training.places import Place
    from trials.core.training.slopes import BatchLoss

Lanes = Sequence[int]
"""Which trainings, by their number among all that began, in ascending order."""


class TrainedAbreast(Protocol):
    """What several trainings train: as `Trained`, but with a first axis over lanes, some of which may be chosen."""

    def on(self, batch: Batch) -> BatchLoss:
        """Return the losses of the lanes' batches as a function of the point."""

    def renewed(self, step: int, place: Place) -> tuple[Self, Place]:
        """Return what a step trains, and where it begins."""

    def only(self, places: Int64[Tensor, " chosen"]) -> Self:
        """Return what the lanes at some places of the first axis train."""


T = TypeVar("T", bound=TrainedAbreast)
P = TypeVar("P")


@dataclass(slots=True, eq=False)
class Moments(Generic[T, P]):
    """The beginning of a step of several trainings, at which rows of some may be measured.

    Attributes:
        step: Steps done.
        lanes: Whose beginning it is; in all that follows the first axis is over them.
        trained: What the last step trained.
        place: Where it led.
        past: Lane -> what its earlier rows left for later ones. A recipe puts there what this row leaves.
        ending: The lanes that end here. A recipe adds one that cannot go on.
    """

    step: int
    lanes: Lanes
    trained: T
    place: Place
    past: dict[int, P]
    ending: set[int]

    def only(self, places: Sequence[int]) -> Moments[T, P]:
        """Return the moment of the lanes at some places of the first axis, as values of their own."""
        chosen = torch.tensor(places, dtype=torch.int64, device=next(iter(self.place.point.values())).device)
        lanes, trained = [self.lanes[each] for each in places], self.trained.only(chosen)
        return Moments(self.step, lanes, trained, self.place.only(chosen), self.past, self.ending)


def courses(
    begun: tuple[T, Place],
    step: Callable[[Lanes], Step],
    sees: Callable[[Lanes], Sees],
    *,
    steps: Sequence[int],
    rows_at: Callable[[Moments[T, P]], Sequence[int]],
    past: Sequence[P],
    ends_at: Callable[[Moments[T, P]], Sequence[int]] | None = None,
) -> Iterator[Moments[T, P]]:
    """Train all lanes, and yield the moments at which rows are measured, those of one step at once.

    Each lane takes the course that it takes by itself (see `course`), but for the order of sums; one that ends leaves
    the others. There are no checkpoints: what lasts so long trains by itself.

    Args:
        begun: What is trained and where it is, before the first step.
        step: The lanes under way -> how they are moved; asked again when one has ended.
        sees: The lanes under way -> what each step of theirs sees; asked again likewise.
        steps: The last step of each lane.
        rows_at: Of which places of a moment's first axis a row is measured.
        past: What rows of each lane leave for later ones, before the first.
        ends_at: Places whose lanes end at a moment before their last step; asked before its rows.
    """
    trained, place = begun
    lanes: Lanes = range(len(steps))
    pasts = dict(enumerate(past))
    move, see, soonest = step(lanes), sees(lanes), min(steps)
    for number in count():
        ending = {lane for lane in lanes if steps[lane] == number} if number >= soonest else set()
        now = Moments(number, lanes, trained, place, pasts, ending)
        if ends_at is not None:
            ending.update(lanes[each] for each in ends_at(now))
        if shown := rows_at(now):
            yield now if len(shown) == len(lanes) else now.only(shown)
        if ending:
            going_on = [each for each, lane in enumerate(lanes) if lane not in ending]
            if not going_on:
                return
            now = now.only(going_on)
            lanes, trained, place = now.lanes, now.trained, now.place
            move, see, soonest = step(lanes), sees(lanes), min(steps[lane] for lane in lanes)
        trained, place = trained.renewed(number, place)
        place, _ = move(trained.on(see(number)), place, number)
