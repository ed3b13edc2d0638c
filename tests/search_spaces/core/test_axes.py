import math

import pytest

from search_spaces.core.axes import axis


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ([1, 8, 64], (1, 8, 64)),
        ([1, "inf"], (1, math.inf)),
        (5, (5,)),
        ("1,8,64", (1, 8, 64)),
        ("0.5, 1e-3", (0.5, 1e-3)),
        ("range(3)", (0, 1, 2)),
        ("0..4", (0, 1, 2, 3, 4)),
        (" -1..1", (-1, 0, 1)),
        ("range(2, 9, 3)", (2, 5, 8)),
        ("linear(0, 1, 5)", (0.0, 0.25, 0.5, 0.75, 1.0)),
        ("log(1e-3, 1, 4)", (0.001, 0.01, 0.1, 1.0)),
        ("powers_of_two(1, 16)", (1, 2, 4, 8, 16)),
        ("powers_of_two(3, 20)", (3, 6, 12)),
        ("mlp,cnn_s", ("mlp", "cnn_s")),
        ("true,false", (True, False)),
    ],
)
def test_values_are_what_was_written(written: object, values: tuple[object, ...]) -> None:
    assert axis("knob", written) == values


def test_logarithmic_axis_is_typed_as_a_person_would() -> None:
    assert axis("lr", "log(1e-6, 1e2, 9)") == (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ([], "axis lr has no values"),
        ([1, 2, 1], "has 1 more than once"),
        ("logspace(1, 2, 3)", "unknown expression 'logspace.*allowed are a list, range, linear, log, powers_of_two"),
        ("log(0, 1, 3)", "both ends of a logarithmic axis must be above 0"),
        ("log(1, 2)", "is not understood"),
        ("log(1", "has an unclosed bracket; in YAML's {...} it needs quotes"),
        ("linear(0, 1, 1)", "at least 2"),
        ("range(x)", "is not understood"),
        ("powers_of_two(0, 8)", "1 <= start <= stop"),
    ],
)
def test_what_is_not_understood_says_what_is(written: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        axis("lr", written)
