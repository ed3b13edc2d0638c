"""Values of knobs, held against what their declarations allow."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

Scalar = bool | int | float | str
LARGEST_WHOLE = 2**63 - 1

_ROUNDED = 0.025
"""How far from 1/n a value may lie, relative to it: two digits of 1/6 are 0.17, which is 2 % off."""


def is_own(value: Any) -> bool:
    """Return whether a value names something of a user's own, as `package.module:function`."""
    return isinstance(value, str) and re.fullmatch(r"[^\W\d][\w.]*:[^\W\d][\w.]*", value) is not None


def own_module(value: str) -> tuple[str, ...]:
    """Return the module that a value names with something of a user's own, none for any other value."""
    return (value.partition(":")[0],) if is_own(value) else ()


def checked(name: str, value: Any, kind: type, metadata: Mapping[str, Any]) -> Scalar:
    """Return a knob's value as its `kind`, one of bool, int, float and str, within bounds and choices of `metadata`.

    Raises:
        ValueError: The value is of another type or not allowed.
    """
    value = _converted(name, value, kind)
    if metadata.get("choices") and value not in metadata["choices"] and not (metadata.get("own") and is_own(value)):
        or_own = ", package.module:function" if metadata.get("own") else ""
        raise ValueError(f"{name}={value!r} is not one of {', '.join(map(str, metadata['choices']))}{or_own}")
    at_least, above, at_most = (metadata.get(bound) for bound in ("at_least", "above", "at_most"))
    if at_least is not None and not value >= at_least:
        raise ValueError(f"{name} must be at least {at_least}, got {value!r}")
    if above is not None and not value > above:
        raise ValueError(f"{name} must be above {above}, got {value!r}")
    if at_most is not None and not value <= at_most:
        raise ValueError(f"{name} must be at most {at_most}, got {value!r}")
    return _reciprocal(name, value) if metadata.get("reciprocal") else value


def _reciprocal(name: str, value: float) -> float:
    """Return the 1/n that a value stands for: what is typed of it has few digits."""
    whole = round(1 / value)
    if abs(value * whole - 1) > _ROUNDED:
        raise ValueError(f"{name} must be 1/n of a whole number n (1, 0.5, 0.33, 0.25, ...), got {value!r}")
    return 1 / whole


def _converted(name: str, value: Any, kind: type) -> Any:
    """Return `value` as a `kind`, where that loses nothing: 8.0 is an int and 1 a float, "8" and True are neither."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    finite = number and abs(value) <= sys.float_info.max
    if kind is float and finite:
        return float(value) + 0.0
    if kind is int and finite and value == int(value):
        return _storable(name, int(value))
    if kind in (bool, str) and isinstance(value, kind):
        return value
    allowed = {int: "a whole number", float: "a finite number", bool: "true or false", str: "a name"}[kind]
    raise ValueError(f"{name} must be {allowed}, got {value!r}")


def _storable(name: str, value: int) -> int:
    """Return a whole number that a column of the store can hold, 64 bits and a sign."""
    if not -LARGEST_WHOLE - 1 <= value <= LARGEST_WHOLE:
        raise ValueError(f"{name} must be a whole number of at most {LARGEST_WHOLE}, got {value}")
    return value
