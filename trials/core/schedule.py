"""Which steps of a trial are measured."""

from __future__ import annotations

import math


def logarithmic_steps(steps: int, per_decade: int) -> frozenset[int]:
    """Return step 0, `per_decade` steps a decade rounded to whole ones, and the last step.

    The points depend on `steps` only through where they end, so that trials of different lengths share them.
    """
    last = math.floor(per_decade * math.log10(steps))
    spaced = {round(10 ** (index / per_decade)) for index in range(last + 1)}
    return frozenset({0, *spaced, steps})
