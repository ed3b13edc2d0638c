"""Axes: the values of one knob, written as a list or as a short expression."""

from __future__ import annotations

import ast
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

Axis = Sequence[Any]

WHOLE_NUMBERS = r"(-?\d+)\.\.(-?\d+)"
"""The whole numbers from one to another, both included, as `0..4`: what no shell takes for its own."""
MOST_VALUES = 1_000_000
"""Values of an axis that are kept in memory; a longer one must be a `range`, which counts without being made."""


def axis(name: str, written: Any) -> Axis:
    """Return the values of an axis.

    Args:
        name: The knob, for error messages.
        written: A list, a single value, `"1,8,64"`, `"0..4"`, or one of the expressions of `EXPRESSIONS`.

    Raises:
        ValueError: The expression is unknown or malformed, or there is no value.
    """
    written_values = _values(name, written)
    if isinstance(written_values, range) and len(written_values) > MOST_VALUES:
        return written_values
    values = tuple(written_values)
    if not values:
        raise ValueError(f"axis {name} has no values")
    seen: set[Any] = set()
    for value in values:
        if not isinstance(value, bool | int | float | str):
            raise ValueError(f"axis {name}: {value!r} is neither a number, a truth value nor a name")
        if value in seen:
            raise ValueError(f"axis {name} has {value!r} more than once")
        seen.add(value)
    return values


def _values(name: str, written: Any) -> Iterable[Any]:
    if isinstance(written, list | tuple):
        return tuple(_literal(item) if isinstance(item, str) else item for item in written)
    if not isinstance(written, str):
        return (written,)
    if written.count("(") != written.count(")"):
        raise ValueError(f"axis {name}: {written!r} has an unclosed bracket; in YAML's {{...}} it needs quotes")
    if whole := re.fullmatch(WHOLE_NUMBERS, written.strip()):
        return range(int(whole[1]), int(whole[2]) + 1)
    call = re.fullmatch(r"\s*(\w+)\s*\((.*)\)\s*", written, flags=re.DOTALL)
    if call:
        return _evaluated(name, written, *call.groups())
    return tuple(_literal(item.strip()) for item in written.split(","))


def _evaluated(name: str, written: str, function: str, arguments: str) -> Iterable[Any]:
    if function not in EXPRESSIONS:
        raise ValueError(f"axis {name}: unknown expression {written!r}; allowed are a list, {', '.join(EXPRESSIONS)}")
    try:
        return EXPRESSIONS[function](*(_literal(item.strip()) for item in arguments.split(",")))
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(f"axis {name}: {written!r} is not understood: {error}") from None


def _literal(text: str) -> Any:
    """Return the number, truth value or name that `text` spells."""
    if text.lower() in ("inf", ".inf", "infinity"):
        return math.inf
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def counted(*bounds: int) -> range:
    """Return `range(*bounds)` if its values can be counted."""
    values = range(*bounds)
    try:
        len(values)
    except OverflowError:
        raise ValueError(f"it has more than {sys.maxsize:.3g} values") from None
    return values


def linear(start: float, stop: float, count: int) -> Iterable[float]:
    """Return `count` evenly spaced values, both ends included: of each the float that one gets by typing the number."""
    _require_numbers(start, stop, count)
    return evenly(as_typed(start), as_typed(stop), count)


def evenly(start: Fraction, stop: Fraction, count: int) -> tuple[float, ...]:
    """Return the floats nearest to `count` evenly spaced numbers, both ends included."""
    whole = math.lcm(start.denominator, stop.denominator)
    first, last, steps = int(start * whole), int(stop * whole), count - 1
    # The quotient of two whole numbers is rounded once.
    return tuple((first * (steps - at) + last * at) / (whole * steps) for at in range(count))


def logarithmic(start: float, stop: float, count: int) -> Iterable[float]:
    """Return `count` values evenly spaced in the logarithm, both ends included, to 12 significant digits.

    The digits are limited so that a value is the same on every machine and reads as one would type it.
    """
    _require_numbers(start, stop, count)
    if not (start > 0 and stop > 0):
        raise ValueError("both ends of a logarithmic axis must be above 0")
    exponents = evenly(Fraction(math.log10(start)), Fraction(math.log10(stop)), count)
    between = (float(f"{10**exponent:.12g}") for exponent in exponents[1:-1])
    return (float(start), *between, float(stop))


def powers_of_two(start: int, stop: int) -> Iterable[int]:
    """Return start, 2 start, 4 start ... up to and including `stop`."""
    _require_numbers(start, stop)
    if not 1 <= start <= stop:
        raise ValueError("powers_of_two(start, stop) needs 1 <= start <= stop")
    values = [start]
    while values[-1] * 2 <= stop:
        values.append(values[-1] * 2)
    return tuple(values)


def as_typed(value: float) -> Fraction:
    """Return the decimal number that one types to get a float: 1/10 for 0.1, and not the binary number beside it."""
    return Fraction(repr(value))


def _require_numbers(start: Any, stop: Any, count: Any = 2) -> None:
    for end in (start, stop):
        if isinstance(end, bool) or not isinstance(end, int | float) or not math.isfinite(end):
            raise ValueError(f"both ends must be finite numbers, got {end!r}")
    if not isinstance(count, int) or isinstance(count, bool) or count < 2:
        raise ValueError("the number of values must be a whole number of at least 2")
    if count > MOST_VALUES:
        raise ValueError(f"the number of values must be at most {MOST_VALUES:,}; only a range may be longer")


EXPRESSIONS: Mapping[str, Callable[..., Iterable[Any]]] = {
    "range": counted,
    "linear": linear,
    "log": logarithmic,
    "powers_of_two": powers_of_two,
}
