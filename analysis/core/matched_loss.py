"""Trials at matched training loss: what each measured when its loss first fell to a level.

Trials that train at different speeds are unlike at equal time for two reasons, what they learn and how much of it.
At equal training loss the second is gone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

_MANTISSAS = (1.0, 2.0, 5.0)
_LOWEST = 1e-4  # below it, levels only say how long the training was
_SMALLEST_POSITIVE = np.finfo(float).tiny


def loss_levels(rows: pd.DataFrame, loss: str, lowest: float = _LOWEST) -> list[float]:
    """Return the levels 1, 2 and 5 times powers of ten that trials passed, highest first.

    Args:
        rows: Measurements with columns `trial_id`, `step` and `loss`.
        loss: Column of the loss.
        lowest: No level is below this.
    """
    first = rows.sort_values("step").groupby("trial_id")[loss].first().median()
    least = max(rows[loss].min(), lowest)
    exponents = range(int(np.floor(np.log10(least))), int(np.ceil(np.log10(max(first, least)))) + 1)
    levels = (float(f"{mantissa:g}e{exponent}") for exponent in exponents for mantissa in _MANTISSAS)
    return sorted((level for level in levels if least <= level < first), reverse=True)


def at_matched_loss(rows: pd.DataFrame, levels: Sequence[float], loss: str, measured: Sequence[str]) -> pd.DataFrame:
    """Return where each trial's loss first fell to each level; no row where it never did.

    Between the two rows around the first crossing, steps and measurements are interpolated linearly in the logarithm
    of the loss. A trial whose first row is at the level already counts with that row.

    Args:
        rows: Measurements with columns `trial_id`, `step`, `loss` and `measured`.
        levels: Losses above 0.
        loss: Column of the loss.
        measured: Columns to read at the crossing.

    Returns:
        Columns `trial_id`, `level`, `step` and `measured`.
    """
    columns = ["step", *measured]
    found = []
    for trial_id, of_trial in rows.dropna(subset=[loss]).sort_values("step").groupby("trial_id"):
        losses, values = of_trial[loss].to_numpy(float), of_trial[columns].to_numpy(float)
        for level in levels:
            below = losses <= level
            if below.any():
                crossed = _at_crossing(losses, values, int(np.argmax(below)), level)
                found.append([trial_id, level, *crossed])
    table = pd.DataFrame(found, columns=["trial_id", "level", *columns])
    return table.astype(dict.fromkeys(["level", *columns], float))  # a table without rows has no types of its own


def _at_crossing(losses: np.ndarray, values: np.ndarray, after: int, level: float) -> np.ndarray:
    """Return the values at the level, between row `after` and the one before it."""
    if after == 0:
        return values[0]
    before, beyond = np.log(losses[after - 1]), np.log(max(losses[after], _SMALLEST_POSITIVE))
    share = (before - np.log(level)) / (before - beyond)
    return (1 - share) * values[after - 1] + share * values[after]
