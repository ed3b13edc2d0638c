"""What every planner keeps to."""

import random

import pytest

from search_spaces.core.boundary import BoundaryPlanner
from search_spaces.core.planner import GridPlanner
from search_spaces.core.samplers import SAMPLERS
from search_spaces.core.search import SearchPlanner
from search_spaces.core.space import space_of
from tests.search_spaces.core.toys import COLUMNS, ToyKnobs, hill, run_to_the_end, told

RATE = {"low": 1e-3, "high": 1, "log": True}
WIDTH = {"low": 16, "high": 512, "log": True}


def search(sampler: str, **more: object) -> dict[str, object]:
    over = {"rate": RATE, "width": WIDTH}
    return {"sampler": sampler, "trials": 26, "objective": {"final_score": "maximize"}, "over": over, **more}


BOUNDARY = {
    "response": "final_score",
    "level": -0.5,
    "over": {"rate": "log(1e-3, 1, 7)", "width": "log(16, 512, 6)"},
    "trials": 24,
}
SPACES: dict[str, dict[str, object]] = {
    "grid": {"axes": {"rate": "log(1e-3, 1, 4)", "interval": [1, 500, 1000, "inf"], "seed": "range(2)"}},
    "union": {"axes": {"seed": [0, 1]}, "union": [{"axes": {"rate": [0.1, 0.2]}}, {"axes": {"rate": [0.2, 0.3]}}]},
    **{sampler: {"search": search(sampler, trials=13 if sampler == "gp" else 26)} for sampler in SAMPLERS},
    "tpe_cells_seeds": {"axes": {"network": ["mlp", "cnn"], "seed": [3, 5]}, "search": search("tpe", trials=12)},
    "cmaes_cells_seeds": {"axes": {"network": ["mlp", "cnn"], "seed": [3, 5]}, "search": search("cmaes", trials=15)},
    "boundary": {"axes": {"seed": [0, 1]}, "boundary": BOUNDARY},
    "boundary_cells": {"axes": {"network": ["mlp", "cnn"]}, "boundary": BOUNDARY},
}


def planner(name: str) -> GridPlanner | SearchPlanner | BoundaryPlanner:
    return space_of(ToyKnobs, SPACES[name], COLUMNS)


@pytest.fixture(params=SPACES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_trials_are_asked_for_once_each_and_no_more_than_announced(name: str) -> None:
    whole = planner(name)
    rows = run_to_the_end(whole)
    assert len(rows) == len(whole) or (name == "grid" and len(rows) == len(whole) - 8)  # an interval above the steps


def test_a_planner_told_the_stored_rows_goes_on_as_one_that_was_never_lost(name: str) -> None:
    first = planner(name)
    rows = {}
    for _ in range(5):
        for knobs in first.ask(3):
            rows[knobs] = hill(knobs)
            first.tell(knobs, rows[knobs])
    shuffled = list(rows.items()) * 2
    random.Random(0).shuffle(shuffled)
    assert told(planner(name), shuffled).ask(3) == first.ask(3)


def test_trials_that_were_under_way_when_a_planner_was_lost_are_made_up_for(name: str) -> None:
    lost = planner(name)
    rows = {knobs: hill(knobs) for knobs in lost.ask(6)[::2]}
    again = run_to_the_end(told(planner(name), rows.items()))
    assert not set(rows) & set(again)
    assert len(rows) + len(again) >= len(run_to_the_end(planner(name)))


def test_when_all_is_told_there_is_nothing_to_ask(name: str) -> None:
    rows = run_to_the_end(planner(name))
    again = told(planner(name), rows.items())
    assert again.ask(4) == []
    assert again.finished


def test_many_at_once_are_distinct(name: str) -> None:
    asked = planner(name).ask(10)
    assert len(set(asked)) == len(asked) > 3


def test_failed_trials_do_not_come_back_and_do_not_block(name: str) -> None:
    def flaky(knobs: ToyKnobs) -> dict[str, object]:
        return {"outcome": "failed", "final_score": None} if knobs.width % 3 == 0 else hill(knobs)

    run_to_the_end(planner(name), flaky)  # type: ignore[arg-type]


def test_a_sweep_of_failures_and_one_of_divergence_end(name: str) -> None:
    run_to_the_end(planner(name), lambda knobs: {"outcome": "failed", "final_score": None})
    run_to_the_end(planner(name), lambda knobs: {"outcome": "diverged", "final_score": None})


def test_rows_from_elsewhere_are_no_part_of_the_space(name: str) -> None:
    foreign = ToyKnobs(rate=7.5, width=3, steps=17, seed=99)
    assert told(planner(name), [(foreign, hill(foreign))]).ask(2) == planner(name).ask(2)
