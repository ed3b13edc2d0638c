"""Values of knobs, held against what their declarations allow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Scalar = bool | int | float | str


def checked(name: str, value: Any, kind: type, metadata: Mapping[str, Any]) -> Scalar:
    """Return a knob's value as its `kind`, one of bool, int, float and str, within bounds and choices of `metadata`.

    Raises:
        ValueError: The value is of another type or not allowed.
    """
    value = _converted(name, value, kind)
    if metadata.get("choices") and value not in metadata["choices"]:
        raise ValueError(f"{name}={value!r} is not one of {', '.join(map(str, metadata['choices']))}")
    at_least, above, at_most = (metadata.get(bound) for bound in ("at_least", "above", "at_most"))
    if at_least is not None and not value >= at_least:
        raise ValueError(f"{name} must be at least {at_least}, got {value!r}")
    if above is not None and not value > above:
        raise ValueError(f"{name} must be above {above}, got {value!r}")
    if at_most is not None and not value <= at_most:
        raise ValueError(f"{name} must be at most {at_most}, got {value!r}")
    return value


def _converted(name: str, value: Any, kind: type) -> Any:
    """Return `value` as a `kind`, where that loses nothing: 8.0 is an int and 1 a float, "8" and True are neither."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and number and math.isfinite(value):
        return float(value) + 0.0
    if kind is int and number and math.isfinite(value) and value == int(value):
        return int(value)
    if kind in (bool, str) and isinstance(value, kind):
        return value
    allowed = {int: "a whole number", float: "a finite number", bool: "true or false", str: "a name"}[kind]
    raise ValueError(f"{name} must be {allowed}, got {value!r}")
