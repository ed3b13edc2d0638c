import itertools

import pytest

from search_spaces.core.grid import Grid
from search_spaces.core.refinement import refinement_levels
from trials.k_phase_diagram.knobs import KPhaseKnobs

AXES = {"feature_update_interval": (1, 2, 4, 8, 16), "learning_rate": (0.1, 0.2, 0.4), "seed": (0, 1)}


def grid(**axes: tuple[object, ...]) -> Grid:
    return Grid(knobs=KPhaseKnobs, axes=axes, fixed={"steps": 20})


def test_every_combination_comes_once() -> None:
    cells = [(k.feature_update_interval, k.learning_rate, k.seed) for k in grid(**AXES)]
    assert sorted(cells) == sorted(itertools.product(*AXES.values()))
    assert len(grid(**AXES)) == len(cells)


def test_fixed_knobs_and_defaults_fill_the_rest() -> None:
    assert {(k.steps, k.width) for k in grid(**AXES)} == {(20, 128)}


def test_a_coarse_picture_comes_first() -> None:
    cells = [(k.feature_update_interval, k.learning_rate, k.seed) for k in grid(**AXES)]
    assert [seed for *_, seed in cells] == [0] * 15 + [1] * 15
    assert set(cells[:4]) == {(1, 0.1, 0), (1, 0.4, 0), (16, 0.1, 0), (16, 0.4, 0)}
    assert all(interval in (1, 4, 16) for interval, *_ in cells[:9])


def test_a_grid_without_axes_is_one_trial() -> None:
    assert [k.columns()["steps"] for k in grid()] == [20]


def test_a_billion_trials_are_counted_without_being_made() -> None:
    huge = Grid(knobs=KPhaseKnobs, axes={"seed": range(10**6), "width": range(1, 1001)}, fixed={})  # type: ignore[dict-item]
    assert len(huge) == 10**9


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 33, 100])
def test_refinement_visits_the_ends_first_and_then_halves(count: int) -> None:
    levels = refinement_levels(count)
    assert levels[0] == levels[-1] == 0
    for level in range(1, max(levels) + 1):
        seen = [position for position, reached in enumerate(levels) if reached <= level]
        gaps = [after - before for before, after in itertools.pairwise(seen)]
        assert max(gaps) - min(gaps) <= 1 or level == max(levels)


def test_unknown_knobs_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"widht is no knob of this study; did you mean 'width'"):
        grid(widht=(1, 2))


def test_values_a_knob_does_not_allow_are_refused() -> None:
    with pytest.raises(ValueError, match="feature_update_interval must be at least 1, got -1"):
        list(grid(feature_update_interval=(-1,)))
