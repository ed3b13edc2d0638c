"""Ranges: where a search may look for the value of one knob."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces.core.axes import as_typed, axis
from trials.core.columns import KnobField

_ALLOWED = "{low: ..., high: ...} with `log: true` or `step: ...` if wanted, or {choices: [...]}"


def searched_range(declared: KnobField, written: Any) -> BaseDistribution:
    """Return the range of a knob as Optuna knows it, a whole number's or a real number's as the knob's type says.

    Args:
        declared: The knob.
        written: `{low, high}` with `log` or `step`, `{choices}`, or what an axis may be: its values are the choices.

    Raises:
        ValueError: The range is malformed, empty, or does not suit the knob's type.
    """
    name = declared.name
    if not isinstance(written, Mapping):
        return _choices(declared, axis(name, written))
    if set(written) == {"choices"}:
        return _choices(declared, axis(name, written["choices"]))
    if not {"low", "high"} <= set(written) <= {"low", "high", "log", "step"}:
        raise ValueError(f"search.over.{name} is not understood: {dict(written)}; write {_ALLOWED}")
    if declared.type not in (int, float):
        raise ValueError(f"search.over.{name} is no number: list its values as {{choices: [...]}}")
    return _interval(declared, **written)


def _interval(declared: KnobField, low: Any, high: Any, log: Any = False, step: Any = None) -> BaseDistribution:
    name = declared.name
    for bound in (low, high):
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
            raise ValueError(f"search.over.{name} needs finite numbers as low and high, got {bound!r}")
    if step is not None and (isinstance(step, bool) or not isinstance(step, int | float) or not 0 < step < math.inf):
        raise ValueError(f"search.over.{name}.step must be a number above 0, got {step!r}")
    if not isinstance(log, bool):
        raise ValueError(f"search.over.{name}.log must be true or false, got {log!r}")
    if not low < high:
        raise ValueError(f"search.over.{name} needs low < high, got low={low!r} and high={high!r}")
    try:
        if declared.type is int:
            low, high, step = _whole(low), _whole(high), _whole(step or 1)
            return IntDistribution(low, int(_last(low, high, step)), log=log, step=step)
        return FloatDistribution(float(low), float(_last(low, high, step)), log=log, step=step)
    except ValueError as error:
        raise ValueError(f"search.over.{name}: {error}") from None


def _last(low: float, high: float, step: float | None) -> float:
    """Return the highest value of a range: that which whole steps reach, where there are steps."""
    if step is None:
        return high
    reached = as_typed(low) + (as_typed(high) - as_typed(low)) // as_typed(step) * as_typed(step)
    return reached.numerator if reached.denominator == 1 else reached.numerator / reached.denominator


def _whole(value: float) -> int:
    if value != int(value):
        raise ValueError(f"{value!r} is not a whole number")
    return int(value)


def _choices(declared: KnobField, values: Any) -> CategoricalDistribution:
    if any(isinstance(value, float) and math.isinf(value) for value in values):
        raise ValueError(f"search.over.{declared.name} needs finite choices")
    return CategoricalDistribution([float(value) if declared.type is float else value for value in values])


def number_of_values(distribution: BaseDistribution) -> float:
    """Return how many values a range has, infinity for a continuous one."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    if getattr(distribution, "step", None) is None:
        return math.inf
    return math.floor((distribution.high - distribution.low) / distribution.step + 1e-9) + 1


def values_of(distribution: BaseDistribution) -> list[Any]:
    """Return all values of a range that has finitely many."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    return [_on_grid(distribution, at) for at in range(int(number_of_values(distribution)))]


def meant(distribution: BaseDistribution, value: Any) -> Any:
    """Return the value of a stepped range that a computed one is nearest to, as one types it: 0.3 for 0.1 + 2 * 0.1."""
    if not isinstance(distribution, FloatDistribution) or distribution.step is None:
        return value
    return _on_grid(distribution, round((value - distribution.low) / distribution.step))


def _on_grid(distribution: Any, at: int) -> Any:
    value = as_typed(distribution.low) + at * as_typed(distribution.step)
    return value.numerator if isinstance(distribution, IntDistribution) else value.numerator / value.denominator


def ends(distribution: BaseDistribution) -> tuple[Any, ...]:
    """Return the values at the ends of a range; of choices, all."""
    if isinstance(distribution, CategoricalDistribution):
        return tuple(distribution.choices)
    return (distribution.low, distribution.high)


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Return whether a value lies in a range."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    if not distribution.low <= value <= distribution.high:
        return False
    steps = 0.0 if distribution.step is None else (value - distribution.low) / distribution.step
    return math.isclose(steps, round(steps), abs_tol=1e-9)
