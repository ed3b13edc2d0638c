"""The boundary planner on a real phase boundary: rare views learned or memorised, over noise and share."""

from __future__ import annotations

import pytest

from tests.search_spaces.multi_view.rare_views import EASIER, compared, dense_trials, trained

SEEDS, FURTHER = range(3), range(10, 16)


@pytest.mark.slow
def test_a_quarter_of_the_trials_finds_the_boundary_as_well_as_the_dense_grid() -> None:
    trials = dense_trials([*SEEDS, *FURTHER], EASIER)
    found = compared(trained(knobs for of_cell in trials for knobs in of_cell), SEEDS, FURTHER, EASIER)
    assert found.planned_trials.sum() <= len(trials) * len(SEEDS) / 4
    assert 0.2 < found.truth.mean() < 0.8
    assert found.planned_wrong <= found.dense_wrong
