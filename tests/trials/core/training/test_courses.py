"""Trainings that go together: each takes the course that it takes by itself, at every crossing of the axes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from tests.trials.conftest import small_arrays
from trials.core.augmentation.knobs import FixedSetKnobs
from trials.core.context import TrialContext
from trials.core.data.knobs import DataKnobs
from trials.core.rows import checked
from trials.core.training.batches import Batch
from trials.core.training.descent import Descent
from trials.core.training.places import Place
from trials.core.training.rules import RULES
from trials.core.training.slopes import Told
from trials.core.training.together import Lanes, Moments, courses
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.measurements import MEASUREMENTS
from trials.k_phase_diagram.recipe import TOGETHER, run, run_many

CONTEXT = TrialContext(arrays=lambda name: small_arrays())
SMALL: dict[str, Any] = {"steps": 40, "width": 12, "depth": 2, "batch_size": 8, "probe_size": 8}
SMALL |= {"precision": "float64", "data": DataKnobs(train_size=40), "learning_rate": 0.02}
NUMBERS = [name for name, measurement in MEASUREMENTS.items() if measurement.type in (float, int)]


def trial(damping: float, interval: int, ratio: float, **changes: Any) -> KPhaseKnobs:
    rows = FixedSetKnobs(ratio=ratio, augmentation="fixed_aug")
    return KPhaseKnobs(**{**SMALL, "rows": rows, **changes}, damping=damping, feature_update_interval=interval)


def together(trials: Sequence[KPhaseKnobs]) -> list[list[Any]]:
    assert len({TOGETHER.key(each) for each in trials}) == 1
    rows: list[list[Any]] = [[] for _ in trials]
    for lane, row in run_many(trials, CONTEXT):
        assert not isinstance(row, Exception)
        rows[lane] += checked([row], MEASUREMENTS)
    return rows


def apart(rows: Sequence[Any], others: Sequence[Any]) -> float:
    """Return the largest difference of a number."""
    pairs = [(row[name], other[name]) for row, other in zip(rows, others, strict=True) for name in NUMBERS]
    assert all((one is None) == (other is None) for one, other in pairs)
    return max(abs(one - other) for one, other in pairs if one is not None)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum"])
@pytest.mark.parametrize("freeze_depth", [0, 1])
def test_at_every_crossing_lanes_take_the_course_that_each_takes_by_itself(freeze_depth: int, optimizer: str) -> None:
    """All crossings of damping, K and ratio in one group, with other arms, rates, seeds and lengths beside them."""
    shared = {"freeze_depth": freeze_depth, "optimizer": optimizer}
    trials = [trial(*axes, **shared) for axes in itertools.product((0.0, 0.3), (1, 9), (1.0, 0.5))]
    trials += [
        trial(0.1, 40, 0.25, **shared, learning_rate=0.01, seed=1),
        trial(0.3, 9, 0.5, **shared, rows=FixedSetKnobs(ratio=0.5), steps=23),
        trial(0.05, 7, 1.0, **shared, warm_steps=5, measured_rounds=3),
    ]
    for knobs, rows in zip(trials, together(trials), strict=True):
        assert apart(rows, list(checked(run(knobs, CONTEXT), MEASUREMENTS))) < 1e-9


@pytest.mark.parametrize("freeze_depth", [0, 1])
def test_each_axis_moves_the_rows_of_its_lane(freeze_depth: int) -> None:
    axes = [(0.1, 9, 1.0), (0.5, 9, 1.0), (0.1, 20, 1.0), (0.1, 9, 0.5)]
    usual, *others = together([trial(*each, freeze_depth=freeze_depth, learning_rate=0.2) for each in axes])
    ends = [rows[-1]["test_loss_net"] for rows in (usual, *others)]
    assert min(abs(one - other) for one, other in itertools.combinations(ends, 2)) > 1e-5


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

    def standing(self, step: int, place: Place) -> None:
        return None

    def renewed(self, step: int, place: Place, standing: None) -> tuple[_Pulled, Place]:
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
