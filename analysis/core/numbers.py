"""Numbers in words: as many digits as they are worth."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any

_EXACT, _ROUNDED, _MOST = 3, 2, 9  # significant digits
_WHOLE = 1e6  # below it a whole number is written out


def shown_value(value: Any) -> str:
    """Return a knob's value as it stands in titles, legends and tables: 0.0215443 as 0.022, 0.125 as it is."""
    return shown_number(value) if isinstance(value, float) else str(value)


def shown_number(value: float, digits: int = _ROUNDED) -> str:
    """Return a number with few digits: all it has if these are three at most, else `digits` of them."""
    if not math.isfinite(value):
        return "∞" if value == math.inf else str(value)
    if value == int(value) and abs(value) < _WHOLE:
        return str(int(value))
    exact = f"{value:.{_EXACT}g}"
    return _plain(exact if float(exact) == value else f"{value:.{digits}g}")


def shown_numbers(values: Iterable[float]) -> dict[float, str]:
    """Return each number in words, in ascending order, with as many digits as it takes to tell them apart."""
    distinct = sorted(set(values))
    for digits in range(_ROUNDED, _MOST):
        texts = [shown_number(value, digits) for value in distinct]
        # 0.0215443 beside 0.0216 is 0.0215, for 0.022 would be the larger one.
        if all(float(one) < float(other) for one, other in itertools.pairwise(map(_readable, texts))):
            break
    return dict(zip(distinct, texts, strict=True)) if distinct else {}


def _readable(text: str) -> str:
    return text.replace("∞", "inf")


def _plain(text: str) -> str:
    """Return a number as people write it: 1e-05 as 1e-5, 2e+06 as 2e6, 1.2e+02 as 120."""
    mantissa, exponential, exponent = text.partition("e")
    if not exponential:
        return text
    return str(int(float(text))) if 0 < int(exponent) < 6 else f"{mantissa}e{int(exponent)}"
