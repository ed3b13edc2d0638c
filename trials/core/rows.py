"""Rows: what a trial yields, checked against what it declared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

Value = bool | int | float | str | None
Row = Mapping[str, Value]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One column of a study's measurements.

    Attributes:
        meaning: One sentence: which function is measured, on which data.
        unit: Unit for the axis label; empty for names and flags.
        type: Type of the stored value; None is stored as null.
        inner_axis: True for an axis whose points share one trial (a damping, a layer) rather than a measured value.
    """

    meaning: str
    unit: str = ""
    type: type = float
    inner_axis: bool = False


Measurements = Mapping[str, Measurement]


class Diverged(Exception):
    """Raised by a recipe when its numbers stop being finite: the trial ends with outcome `diverged` and keeps its rows.

    Attributes:
        step: The step at which it was noticed.
        reason: What was not finite, or how large it had grown.
    """

    def __init__(self, step: int, reason: str) -> None:
        # Both arguments reach the base class, which is what lets the exception travel between processes.
        super().__init__(step, reason)
        self.step, self.reason = step, reason

    def __str__(self) -> str:
        return f"step {self.step}: {self.reason}"


def checked(rows: Iterable[Row], measurements: Measurements) -> Iterator[dict[str, Value]]:
    """Yield `rows` with every declared column, refusing what was not declared.

    Raises:
        ValueError: A row has an undeclared column, a value of another type, or no `step`.
    """
    for row in rows:
        undeclared = set(row) - set(measurements) - {"step"}
        if undeclared:
            raise ValueError(
                f"row has undeclared columns {sorted(undeclared)}; MEASUREMENTS has {sorted(measurements)}"
            )
        if not isinstance(row.get("step"), int):
            raise ValueError(f"row must have a whole number as step, got {row.get('step')!r}")
        values = {name: _typed(name, row.get(name), entry.type) for name, entry in measurements.items()}
        yield {"step": row["step"], **values}


def _typed(name: str, value: Value, kind: type) -> Value:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if value is None or type(value) is kind:
        return value
    raise ValueError(f"{name} must be {kind.__name__} or None, got {value!r}")
