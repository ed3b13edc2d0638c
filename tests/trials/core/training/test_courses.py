"""The loop over the steps of trainings that go together: lanes end one by one, and rows of one step come together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from trials.core.training.batches import Batch
from trials.core.training.descent import Descent
from trials.core.training.places import Place
from trials.core.training.rules import RULES
from trials.core.training.slopes import Told
from trials.core.training.together import Lanes, Moments, courses


class _Pull(NamedTuple):
    """Half the squared distance of each lane from its target."""

    targets: Tensor
    batch: Batch

    def slope(self, point: Any, weights: Tensor | None = None) -> Told:
        return Told({"at": point["at"] - self.targets - self.batch.shown[0]})

    def norms(self, point: Any) -> Tensor:
        return self.slope(point).gradient["at"].abs()

    def drawn_back(self, gradient: Any, point: Any) -> Any:
        return gradient


@dataclass(frozen=True)
class _Pulled:
    targets: Tensor

    def on(self, batch: Batch) -> _Pull:
        return _Pull(self.targets, batch)

    def renewed(self, step: int, place: Place) -> tuple[_Pulled, Place]:
        return self, place

    def only(self, places: Tensor) -> _Pulled:
        return _Pulled(self.targets[places])


def ran(steps: Sequence[int], **asked: Any) -> list[Moments[Any, Any]]:
    """Return the moments of lanes that are drawn to their own number, at rates of their own."""
    rates, start = torch.arange(1, len(steps) + 1) / 8, {"at": torch.zeros(len(steps))}
    rule = RULES["adam"](0.0)

    def step(lanes: Lanes) -> Descent:
        return Descent(rule=rule, rate=lambda number: rates[list(lanes)])

    def sees(lanes: Lanes) -> Any:
        return lambda number: Batch(torch.tensor(lanes), lambda rows: (rows / 10 + number, rows))

    begun = _Pulled(torch.arange(len(steps)) + 5.0), Place(start, rule.beginning(start))
    return list(courses(begun, step, sees, steps=steps, past=[0] * len(steps), **asked))


def test_lanes_end_one_by_one_and_leave_the_others_as_they_are() -> None:
    every = {"rows_at": lambda now: range(len(now.lanes))}
    apart = ran([9, 9, 9, 9], **every)
    staggered = ran([4, 9, 2, 7], **every)
    assert [list(now.lanes) for now in staggered] == [[0, 1, 2, 3]] * 3 + [[0, 1, 3]] * 2 + [[1, 3]] * 3 + [[1]] * 2
    for now, all_of_them in zip(staggered, apart, strict=True):
        assert torch.equal(now.place.point["at"], all_of_them.place.point["at"][list(now.lanes)])
    assert staggered[4].ending == {0}


def test_rows_of_one_step_are_handed_out_together_and_a_lane_may_be_ended_by_either_side() -> None:
    def some(now: Moments[Any, Any]) -> list[int]:
        return [place for place, lane in enumerate(now.lanes) if now.step % (lane + 1) == 0]

    def lost(now: Moments[Any, Any]) -> list[int]:
        return [place for place, lane in enumerate(now.lanes) if lane == 3 and now.step == 4]

    told = []
    rates = torch.ones(4)
    start = {"at": torch.zeros(4)}
    step = Descent(rule=RULES["sgd"](0.0), rate=lambda number: rates)
    for now in courses(
        (_Pulled(torch.zeros(4)), Place(start, {})),
        lambda lanes: replace(step, rate=lambda number: rates[list(lanes)]),
        lambda lanes: lambda number: Batch(torch.tensor(lanes), lambda rows: (rows.float(), rows)),
        steps=[6, 6, 6, 6],
        rows_at=some,
        past=[0] * 4,
        ends_at=lost,
    ):
        told.append((now.step, list(now.lanes), [now.past[lane] for lane in now.lanes]))
        for lane in now.lanes:
            now.past[lane] += 1
        if now.step == 2:
            now.ending.add(0)
    assert told == [
        (0, [0, 1, 2, 3], [0, 0, 0, 0]),
        (1, [0], [1]),
        (2, [0, 1], [2, 1]),
        (3, [2], [1]),
        (4, [1, 3], [2, 1]),
        (6, [1, 2], [3, 2]),
    ]
