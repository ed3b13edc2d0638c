"""The boundary planner on a real phase boundary: rare views learned or memorised, over noise and share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pytest

from search_spaces.core.boundary import BoundaryPlanner
from search_spaces.core.space import space_of
from trials.core.context import TrialContext
from trials.multi_view import TOGETHER, MultiViewKnobs, run_many

RESPONSE, LEVEL = "final_test_acc_rare_mean", 0.75
OVER = {"noise_magnitude": "log(0.7, 8, 13)", "rare_share": "log(0.025, 0.2, 7)"}
FIXED = {"channels": 4, "views": 4, "samples": 120, "flat_phase": "closed_form", "initial_scale": 0.03}
SEEDS, TRUTH = range(3), range(10, 16)


def accuracies(trials: Iterable[MultiViewKnobs]) -> dict[MultiViewKnobs, float]:
    """Return the accuracy of each trial, trained in groups."""
    waiting, found = list(dict.fromkeys(trials)), {}
    for first in range(0, len(waiting), TOGETHER.most):
        group = waiting[first : first + TOGETHER.most]
        for index, row in run_many(group, TrialContext()):
            assert isinstance(row, Mapping)
            if row.get("test_acc_rare_mean") is not None:
                found[group[index]] = row["test_acc_rare_mean"]
    return found


def planner(seeds: range) -> BoundaryPlanner:
    boundary = {"response": RESPONSE, "level": LEVEL, "over": OVER}
    found = space_of(MultiViewKnobs, {"axes": {"seed": list(seeds)}, "fixed": FIXED, "boundary": boundary})
    assert isinstance(found, BoundaryPlanner)
    return found


def dense(seeds: range) -> np.ndarray:
    """Return the mean accuracy of every cell of the fine grid."""
    over = planner(seeds).settings.over
    cells = [(noise, share) for noise in over["noise_magnitude"] for share in over["rare_share"]]
    trials = {
        (cell, seed): MultiViewKnobs(noise_magnitude=cell[0], rare_share=cell[1], seed=seed, **FIXED)  # type: ignore[arg-type]
        for cell in cells
        for seed in seeds
    }
    told = accuracies(trials.values())
    return np.array([np.mean([told[trials[cell, seed]] for seed in seeds]) for cell in cells])


@pytest.mark.slow
def test_a_quarter_of_the_trials_finds_the_boundary_as_well_as_the_dense_grid() -> None:
    truth = dense(TRUTH) > LEVEL
    grid = dense(SEEDS) > LEVEL
    seeking = planner(SEEDS)
    trials = 0
    while not seeking.finished:
        for knobs, accuracy in accuracies(seeking.ask(16)).items():  # type: ignore[arg-type]
            trials += 1
            seeking.tell(knobs, {"outcome": "finished", RESPONSE: accuracy})
    (found,) = seeking.boundaries()
    assert trials <= grid.size * len(SEEDS) / 4
    assert 0.2 < truth.mean() < 0.8
    assert np.mean(found.above.ravel() != truth) <= np.mean(grid != truth)
