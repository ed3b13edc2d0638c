import itertools
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.core.space import grid_of
from tests.search_spaces.core.toys import ToyKnobs

VALUES = st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True)
PART = st.fixed_dictionaries(
    {"axes": st.dictionaries(st.sampled_from(["width", "steps", "seed"]), VALUES, max_size=3)},
    optional={"linked": st.just([{"rate": [0.1, 0.2], "bias": [True, False]}])},
)


def test_the_axes_beside_a_union_go_into_each_part() -> None:
    config = {"axes": {"seed": [0, 1], "rate": [1, 2]}, "union": [{"axes": {"width": [1, 2]}}, {"axes": {"rate": 3}}]}
    cells = {(k.seed, k.columns()["rate"], k.columns()["width"]) for k in grid_of(ToyKnobs, config)}
    assert cells == {*itertools.product((0, 1), (1, 2), (1, 2)), (0, 3, 64), (1, 3, 64)}


def test_what_several_parts_have_comes_once_and_is_counted_once() -> None:
    config = {"union": [{"axes": {"width": [1, 2, 3], "rate": [1, 2]}}, {"axes": {"width": [2, 3, 4], "rate": [2, 3]}}]}
    assert len(grid_of(ToyKnobs, config)) == len(list(grid_of(ToyKnobs, config))) == 10


@given(st.lists(PART, min_size=1, max_size=4))
def test_the_count_is_the_number_of_distinct_trials(parts: list[dict[str, object]]) -> None:
    grid = grid_of(ToyKnobs, {"fixed": {"interval": 1}, "union": parts})
    trials = list(grid)
    assert len(grid) == len(trials) == len(set(trials))
    assert set(trials) == {knobs for part in parts for knobs in grid_of(ToyKnobs, {"fixed": {"interval": 1}, **part})}


def test_all_parts_of_a_union_are_seen_with_the_first_seed_before_the_second() -> None:
    config = {"axes": {"seed": [0, 1]}, "union": [{"axes": {"width": [1, 2, 3]}}, {"axes": {"rate": [1, 2, 3]}}]}
    assert [knobs.seed for knobs in grid_of(ToyKnobs, config)] == [0] * 6 + [1] * 6


def test_a_union_of_a_billion_trials_is_counted_without_being_made() -> None:
    huge = {"seed": "range(1000000)", "width": "range(1, 1001)"}
    parts = [{"axes": {"rate": 1}}, {"axes": {"rate": [1, 2]}}, {"axes": {"rate": 3, "width": "range(500, 2000)"}}]
    started = time.perf_counter()
    grid = grid_of(ToyKnobs, {"axes": huge, "union": parts})
    assert len(grid) == 2 * 10**9 + 1500 * 10**6
    assert time.perf_counter() - started < 20


def test_a_long_grid_is_walked_in_constant_memory() -> None:
    grid = grid_of(ToyKnobs, {"axes": {"seed": "range(2000000000)", "width": "range(1, 2000000000)"}})
    tracemalloc.start()
    first = list(itertools.islice(grid, 100))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(set(first)) == 100
    assert peak < 1_000_000


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"union": []}, "the space is empty"),
        ({"union": {"axes": {}}}, "union must be a list of grids"),
        ({"union": [{"axes": {}, "search": {}}]}, "union.search is unknown; allowed are axes, linked, computed"),
        ({"axes": {"width": []}}, "axis width has no values"),
        ({"axes": {"widht": [1]}}, "widht is no knob of this study; did you mean 'width'"),
        ({"axes": {"width": [[1]]}}, r"axis width: \[1\] is neither a number, a truth value nor a name"),
        ({"axes": {"rate": "linear(1, 2, 2000000)"}}, "only a range may be longer"),
        (
            {"axes": dict.fromkeys(("seed", "width", "steps"), "range(10000000000)")},
            r"the space has 1e\+30 trials; at most .* can be counted",
        ),
    ],
)
def test_a_space_that_is_empty_or_misspelt_is_refused(config: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grid_of(ToyKnobs, config)
