import itertools
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
        ("linear(0.1, 1, 10)", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)),
        ("linear(-0.3, 0.3, 7)", (-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3)),
        ("linear(1.1, 0.7, 5)", (1.1, 1.0, 0.9, 0.8, 0.7)),
        ("linear(0, 1, 4)", (0.0, 1 / 3, 2 / 3, 1.0)),
        ("linear(1e-9, 5e-9, 5)", (1e-9, 2e-9, 3e-9, 4e-9, 5e-9)),
        ("linear(0, 1e308, 3)", (0.0, 5e307, 1e308)),
        ("log(2, 17.320508075688775, 2)", (2.0, 17.320508075688775)),
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
        ("range(100000000000000000000)", r"it has more than 9.22e\+18 values"),
        ("linear(0, inf, 3)", "both ends must be finite numbers, got inf"),
        ("linear(a, 1, 3)", "both ends must be finite numbers, got 'a'"),
        ("log(1, 1e400, 3)", "both ends must be finite numbers, got inf"),
        ("powers_of_two(1, inf)", "both ends must be finite numbers, got inf"),
        ("powers_of_two(0, 8)", "1 <= start <= stop"),
    ],
)
def test_what_is_not_understood_says_what_is(written: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        axis("lr", written)


def test_a_linear_axis_is_the_numbers_that_one_types() -> None:
    for start, step, count in itertools.product((-7, 0, 3), (1, 9, 25), (2, 6, 41)):
        typed = tuple((start + step * at) / 1000 for at in range(count))
        ends = (f"{value / 1000:.3f}" for value in (start, start + step * (count - 1)))
        assert axis("lr", f"linear({', '.join(ends)}, {count})") == typed
