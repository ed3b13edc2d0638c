import math

import numpy as np
import pytest

from search_spaces.core.boundary import BoundaryPlanner
from search_spaces.core.space import space_of
from tests.search_spaces.core.surfaces import PLACES, SIDE, SURFACES, planned, replicates, share_misclassified
from tests.search_spaces.core.toys import COLUMNS, ToyKnobs, hill, run_to_the_end, told

OVER = {"rate": "log(1e-3, 10, 17)", "width": "log(16, 512, 11)"}
BOUNDARY = {"response": "final_score", "level": 0.0, "over": OVER, "trials": 60}


def planner(written: dict[str, object], **axes: object) -> BoundaryPlanner:
    found = space_of(ToyKnobs, {"axes": axes, "boundary": written}, COLUMNS)
    assert isinstance(found, BoundaryPlanner)
    return found


def stable_below(product: float):  # type: ignore[no-untyped-def]
    def answer(knobs: ToyKnobs) -> dict[str, object]:
        stable = knobs.rate * knobs.width < product
        return {"outcome": "finished" if stable else "diverged", "final_score": 0.8 if stable else None}

    return answer


@pytest.mark.parametrize(("name", "seeds"), [("sharp diagonal", 3), ("curve", 1), ("island", 1), ("gentle slope", 1)])
def test_a_quarter_of_the_trials_finds_the_boundary_as_well_as_the_dense_grid(name: str, seeds: int) -> None:
    surface = SURFACES[name]
    responses = replicates(surface, seeds, random=0)
    (found,) = planned(surface, responses, trials=responses.size // 4).boundaries()
    dense = share_misclassified(responses.mean(axis=1) > surface.level, surface)
    assert share_misclassified(found.above, surface) <= dense + 1 / len(PLACES)


def test_without_noise_the_dense_grid_s_cells_follow_from_a_tenth_of_its_trials() -> None:
    surface = SURFACES["two phases"]
    (found,) = planned(surface, replicates(surface, seeds=1, random=0), trials=SIDE**2 // 10).boundaries()
    assert share_misclassified(found.above, surface) <= 0.01


def test_the_steepest_change_is_found_without_a_level() -> None:
    surface = SURFACES["sharp diagonal"]
    responses = replicates(surface, seeds=1, random=0)
    (found,) = planned(surface, responses, trials=responses.size // 4, level=None).boundaries()
    assert found.level == pytest.approx(0.5, abs=0.05)
    assert share_misclassified(found.above, surface) < 0.01


def test_where_noise_decides_seeds_are_replicated() -> None:
    surface = SURFACES["gentle slope"]
    noisy = planned(surface, replicates(surface, seeds=3, random=0), trials=400).diagrams[0]
    surface = SURFACES["two phases"]
    clear = planned(surface, replicates(surface, seeds=3, random=0), trials=400).diagrams[0]
    assert len(noisy.told) < len(clear.told)
    near = np.abs(SURFACES["gentle slope"].expected(PLACES) - 0.55) < 0.05
    counts = np.zeros(len(PLACES))
    for cell, seen in noisy.told.items():
        counts[cell] = len(seen)
    assert counts[near].mean() > 2 * counts[~near].mean()


def test_divergence_is_the_far_side_of_the_boundary() -> None:
    whole = planner({**BOUNDARY, "level": 0.5})
    run_to_the_end(whole, stable_below(10.0))
    (found,) = whole.boundaries()
    expected = [[r * w < 10 for w in whole.settings.over["width"]] for r in whole.settings.over["rate"]]
    assert np.mean(found.above != np.array(expected)) < 0.02
    assert found.doubt < 0.05
    for point in found.points:
        assert 10 / 2.6 < point["rate"] * point["width"] < 10 * 2.6  # a step of the fine grid


def test_a_diverged_trial_may_count_as_a_declared_value() -> None:
    def loss(knobs: ToyKnobs) -> dict[str, object]:
        row = stable_below(10.0)(knobs)
        return row if row["final_score"] is None else {**row, "final_score": 0.2}

    whole = planner({**BOUNDARY, "level": 1.0, "diverged": 5.0})
    run_to_the_end(whole, loss)
    (found,) = whole.boundaries()
    assert found.above[-1, -1]
    assert not found.above[0, 0]


def test_cells_that_are_the_same_trial_are_run_once() -> None:
    whole = planner({**BOUNDARY, "over": {"interval": [1, 10, 100, 1000, 3000, "inf"], "rate": "log(1e-3, 1, 8)"}})
    rows = run_to_the_end(whole)
    assert len(rows) == 4 * 8


def test_a_diagram_may_have_one_axis() -> None:
    whole = planner({**BOUNDARY, "over": {"rate": "log(1e-3, 1, 33)"}, "level": -1.0, "trials": 20}, width=[100])
    run_to_the_end(whole)
    points = [math.log10(point["rate"] / 0.05) for point in whole.boundaries()[0].points]
    assert points == pytest.approx([-1, 1], abs=0.1)


def test_a_diagram_may_have_three_axes() -> None:
    over = {"rate": "log(1e-3, 0.5, 12)", "width": "log(16, 512, 9)", "steps": [10, 20, 40, 80, 160]}
    whole = planner({**BOUNDARY, "over": over, "level": -1.0, "trials": 12 * 9 * 5 // 4})
    run_to_the_end(whole)
    (found,) = whole.boundaries()
    axes = whole.settings.over
    expected = [[hill(ToyKnobs(rate=r, width=w))["final_score"] > -1 for w in axes["width"]] for r in axes["rate"]]
    assert np.mean(found.above != np.array(expected)[:, :, None]) < 0.03


def test_each_combination_of_the_other_axes_has_a_boundary_of_its_own() -> None:
    whole = planner(BOUNDARY, network=["mlp", "cnn"], seed=[0, 1])
    rows = run_to_the_end(whole)
    assert [boundary.cell for boundary in whole.boundaries()] == [{"network": "mlp"}, {"network": "cnn"}]
    assert sum(knobs.columns()["network"] == "mlp" for knobs in rows) == 60


def test_what_is_known_does_not_depend_on_the_order_of_telling() -> None:
    rows = [(knobs, hill(knobs)) for knobs in planner(BOUNDARY, seed=[0, 1]).ask(20)]
    one, other = (told(planner(BOUNDARY, seed=[0, 1]), order) for order in (rows, rows[::-1]))
    np.testing.assert_array_equal(one.boundaries()[0].misclassified, other.boundaries()[0].misclassified)  # type: ignore[attr-defined]


def test_a_quarter_of_the_dense_grid_is_spent_unless_a_space_says_otherwise() -> None:
    assert len(planner({**BOUNDARY, "trials": None}, seed=[0, 1, 2])) == 17 * 11 * 3 // 4


def test_a_trial_stopped_early_is_no_response() -> None:
    whole = planner(BOUNDARY)
    (knobs,) = whole.ask(1)
    whole.tell(knobs, {"outcome": "stopped", "final_score": 0.3})
    assert whole.boundaries() == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"levle": 1}, "boundary.levle is unknown; did you mean 'level'?"),
        ({"level": None}, "boundary needs either level, a number, or steepest: true"),
        ({"steepest": True}, "boundary needs either level, a number, or steepest: true"),
        ({"level": "half"}, "boundary.level must be a finite number, got 'half'"),
        ({"response": "final_scroe"}, "'final_scroe' is no column of the table of trials; did you mean final_score"),
        ({"over": None}, "boundary needs response, a column of the table of trials, and over"),
        ({"over": {}}, "boundary.over needs 1 to 3 knobs, got 0"),
        ({"over": {"rat": [1, 2]}}, "boundary.over.rat is no knob of this study; did you mean 'rate'?"),
        ({"over": {"rate": [2, 1]}}, "boundary.over.rate needs numbers in ascending order"),
        ({"over": {"network": ["cnn", "mlp"]}}, "boundary.over.network needs numbers in ascending order"),
        ({"over": {"rate": [1]}}, "boundary.over.rate needs at least two values"),
        ({"over": {"rate": [1, 20]}}, "boundary.over: rate must be at most 10, got 20.0"),
        ({"over": {"width": "range(1, 1000)", "steps": "range(1, 1000)"}}, "boundary.over has 998,001 cells; at most"),
        ({"trials": 0}, "boundary.trials must be a whole number of at least 1, got 0"),
    ],
)
def test_what_is_no_boundary_is_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        planner({**BOUNDARY, **changed})
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_space_searches_or_seeks_a_boundary() -> None:
    with pytest.raises(ValueError, match="a space has either search or boundary, not both"):
        space_of(ToyKnobs, {"search": {"trials": 1}, "boundary": BOUNDARY})
    with pytest.raises(ValueError, match=r"serach is unknown; did you mean 'search'"):
        space_of(ToyKnobs, {"serach": {}})
