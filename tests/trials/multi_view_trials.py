"""What tests of the patch model share: trials trained together, and their last rows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from trials.core.context import TrialContext
from trials.core.rows import checked
from trials.multi_view import MEASUREMENTS, MultiViewKnobs, run_many

SEEDS = range(5)


def knobs(**changes: Any) -> MultiViewKnobs:
    return MultiViewKnobs(**changes)


def together(trials: list[MultiViewKnobs]) -> list[list[Mapping[str, Any]]]:
    """Return the rows of each trial."""
    rows: list[list[Mapping[str, Any]]] = [[] for _ in trials]
    for index, row in run_many(trials, TrialContext()):
        assert isinstance(row, Mapping)
        rows[index].append(row)
    return [list(checked(told, MEASUREMENTS)) for told in rows]


@lru_cache
def ends(noise: float, seeds: range = SEEDS, **changes: Any) -> list[Mapping[str, Any]]:
    """Return the last row of each seed."""
    return [rows[-1] for rows in together([knobs(noise_magnitude=noise, seed=seed, **changes) for seed in seeds])]


def mean(rows: list[Mapping[str, Any]], column: str) -> float:
    return sum(row[column] for row in rows) / len(rows)
