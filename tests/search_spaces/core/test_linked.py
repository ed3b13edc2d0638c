import pytest

from search_spaces.core.formula import Formula
from search_spaces.core.space import grid_of
from tests.search_spaces.core.toys import ToyKnobs


def cells(**config: object) -> list[dict[str, object]]:
    return [knobs.non_default() for knobs in grid_of(ToyKnobs, config)]


def test_linked_axes_advance_together() -> None:
    found = cells(linked=[{"interval": [1, 10, 100], "width": [8, 16, 32]}])
    assert sorted((cell.get("interval", 1), cell["width"]) for cell in found) == [(1, 8), (10, 16), (100, 32)]


def test_linked_axes_and_others_make_every_combination() -> None:
    grid = grid_of(
        ToyKnobs, {"axes": {"rate": [1, 2], "seed": "range(3)"}, "linked": [{"interval": [1, 2], "width": [1, 2]}]}
    )
    assert len(grid) == len(set(grid)) == 12
    assert [knobs.seed for knobs in grid] == [0] * 4 + [1] * 4 + [2] * 4


def test_an_axis_may_be_computed_from_one_that_is_no_knob() -> None:
    found = cells(axes={"steps": [100, 400], "updates": [1, 4, 20]}, computed={"interval": "steps / updates"})
    assert {(cell["steps"], cell.get("interval", 1)) for cell in found} == {
        (steps, steps // updates) for steps in (100, 400) for updates in (1, 4, 20)
    }


def test_a_computed_axis_may_use_a_fixed_knob_and_another_computed_one() -> None:
    config = {"fixed": {"steps": 80}, "axes": {"updates": [2, 8]}}
    grid = grid_of(ToyKnobs, {**config, "computed": {"interval": "steps / updates", "width": "2 * interval"}})
    assert {(knobs.columns()["interval"], knobs.columns()["width"]) for knobs in grid} == {(40, 80), (10, 20)}


def test_computed_cells_that_are_the_same_come_once() -> None:
    config = {"axes": {"updates": [3, 4, 5, 6, 7]}, "computed": {"width": "round(12 / updates)"}}
    assert [knobs.columns()["width"] for knobs in grid_of(ToyKnobs, config)] == [4, 2, 3]


def test_a_computed_diagram_keeps_the_coarse_picture_first() -> None:
    config = {
        "axes": {"steps": [10, 20, 40, 80, 160], "updates": [1, 2, 5]},
        "computed": {"interval": "steps / updates"},
    }
    first = [(knobs.columns()["steps"], knobs.columns()["interval"]) for knobs in grid_of(ToyKnobs, config)][:4]
    assert set(first) == {(10, 10), (10, 2), (160, 160), (160, 32)}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"linked": [{"interval": [1, 2], "width": [1]}]}, "as many values each: interval has 2, width has 1"),
        ({"linked": [{"widht": [1, 2]}]}, "widht is no knob of this study; did you mean 'width'"),
        ({"linked": ["width"]}, "linked must be a list of mappings"),
        ({"axes": {"width": [1]}, "linked": [{"width": [1, 2]}]}, "width is in two axes"),
        ({"computed": {"interval": "steps / updates"}}, "updates is neither an axis nor a knob with a value"),
        ({"computed": {"interval": "__import__('os')"}}, "is not understood; allowed are numbers, names"),
        ({"computed": {"interval": "steps /"}}, "is not understood; allowed are numbers, names"),
        ({"axes": {"width": [0, 1]}, "computed": {"interval": "steps / width"}}, "division by zero at"),
        ({"computed": {"interval": "10 ** 10 ** 10"}}, "a number is too large at"),
        ({"axes": {"updates": [1, 2]}}, "updates is no knob of this study"),
        ({"axes": 3}, "axes must be knobs with their values"),
    ],
)
def test_what_is_not_understood_is_refused(config: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        grid_of(ToyKnobs, config)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_computed_value_that_its_knob_refuses_is_refused() -> None:
    with pytest.raises(ValueError, match=r"interval must be a whole number, got 333.3"):
        list(grid_of(ToyKnobs, {"computed": {"interval": "steps / 3"}}))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 ** 3 - 1", 7),
        ("-x // 2", -3),
        ("max(x, 9) / 2", 4.5),
        ("min(x, 3) * 2.0", 6),
        ("round(x / 3)", 2),
        ("round(x / 3, 2)", 1.67),
        ("2 ** 62", 2**62),
        ("2 ** -3", 0.125),
        ("4 ** 0.5", 2),
        ("x / 3", 5 / 3),
        ("0.1 * (x - 2)", 0.3),
        ("0.3 - 0.1 * 3", 0),
        ("1e-3 * x / 5", 0.001),
    ],
)
def test_arithmetic_is_of_the_numbers_that_one_types(text: str, value: float) -> None:
    assert Formula("y", text).value({"x": 5}) == value
