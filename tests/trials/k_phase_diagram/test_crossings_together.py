"""Trials that train together: each takes the course that it takes by itself, at every crossing of the axes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from tests.trials.conftest import small_arrays
from trials.core.augmentation.knobs import FixedSetKnobs
from trials.core.context import TrialContext
from trials.core.data.knobs import DataKnobs
from trials.core.rows import checked
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
