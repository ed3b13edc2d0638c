"""What a space says of a boundary to find, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.core.axes import Axis, axis
from search_spaces.core.search_settings import refuse_columns
from trials.core.knobs import TrialKnobs
from trials.core.suggestions import suggestion

_KEYS = ("response", "level", "steepest", "over", "trials", "diverged")
MOST_AXES = 3
MOST_CELLS = 100_000
SHARE = 0.25
"""Share of the dense grid's trials that is spent where a space does not say."""


@dataclass(frozen=True, kw_only=True)
class BoundarySettings:
    """A boundary as a space declares it.

    Attributes:
        response: Column of the table of trials.
        level: The boundary is where the response crosses it; None for where the response changes most steeply.
        over: Column name of a knob -> the values it may take, in ascending order: the fine grid.
        trials: Trials for each combination of the grid's other axes, replicates included; None for a quarter of those
            of the dense grid.
        diverged: What a diverged trial counts as; None for a response below the level and below all others.

    Raises:
        ValueError: A value is not allowed.
    """

    response: str
    level: float | None
    over: Mapping[str, Axis]
    trials: int | None = None
    diverged: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.over) <= MOST_AXES:
            raise ValueError(f"boundary.over needs 1 to {MOST_AXES} knobs, got {len(self.over)}")
        for name, values in self.over.items():
            _require_ascending(name, values)
        if self.cells > MOST_CELLS:
            raise ValueError(f"boundary.over has {self.cells:,} cells; at most {MOST_CELLS:,} can be kept in mind")
        if self.trials is not None and (not isinstance(self.trials, int) or self.trials < 1):
            raise ValueError(f"boundary.trials must be a whole number of at least 1, got {self.trials!r}")
        for name, value in (("level", self.level), ("diverged", self.diverged)):
            if value is not None and not _is_finite_number(value):
                raise ValueError(f"boundary.{name} must be a finite number, got {value!r}")

    @property
    def cells(self) -> int:
        """Cells of the fine grid."""
        return math.prod(self.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(values) for values in self.over.values())

    def budget(self, seeds: int) -> int:
        """Return the number of trials to spend on one diagram."""
        dense = self.cells * seeds
        return min(dense, max(1, math.floor(SHARE * dense)) if self.trials is None else self.trials)


def boundary_settings(
    knobs: type[TrialKnobs], written: Mapping[str, Any], columns: Mapping[str, bool] | None = None
) -> BoundarySettings:
    """Return the boundary that the `boundary` of a space describes.

    Args:
        knobs: The study's knobs.
        written: The keys of `BoundarySettings`, `steepest: true` in the place of a level.
        columns: The columns of the study's table of trials, None where they are not known.

    Raises:
        ValueError: A key, a knob or a column is unknown, or a value is not allowed.
    """
    for key in written:
        if key not in _KEYS:
            raise ValueError(f"boundary.{key} is unknown; {suggestion(key, _KEYS)}")
    if not written.get("response") or not isinstance(written.get("over"), Mapping):
        raise ValueError("boundary needs response, a column of the table of trials, and over, knobs with their values")
    if bool(written.get("steepest")) == (written.get("level") is not None):
        raise ValueError("boundary needs either level, a number, or steepest: true")
    refuse_columns("boundary.response", [written["response"]], columns)
    return BoundarySettings(
        response=written["response"],
        level=written.get("level"),
        over={name: _candidates(knobs, name, values) for name, values in written["over"].items()},
        trials=written.get("trials"),
        diverged=written.get("diverged"),
    )


def _candidates(knobs: type[TrialKnobs], name: str, written: Any) -> Axis:
    declared = {entry.name: entry for entry in knobs.declared() if entry.name != "seed"}
    if name not in declared:
        raise ValueError(f"boundary.over.{knobs.unknown(name, declared)}")
    values = axis(name, written)
    if declared[name].type is not int:
        return values
    # Log-spaced candidates of a whole number: the nearest ones, each once.
    return tuple(dict.fromkeys(value if math.isinf(value) else round(value) for value in values))


def _require_ascending(name: str, values: Axis) -> None:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if not numbers or list(values) != sorted(values):
        raise ValueError(f"boundary.over.{name} needs numbers in ascending order")
    if len(values) < 2:
        raise ValueError(f"boundary.over.{name} needs at least two values")


def _is_finite_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
