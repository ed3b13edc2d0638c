"""Rows: what a trial yields and at which steps, checked against what it declared, and when it has diverged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Value = bool | int | float | str | None
Row = Mapping[str, Value]

GROWTH_LIMIT = 1e4  # times the initial loss


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

    It was noticed at `step`; `reason` says what was not finite, or how large it had grown.
    """

    def __init__(self, step: int, reason: str) -> None:
        # Both arguments reach the base class, which is what lets the exception travel between processes.
        super().__init__(step, reason)
        self.step, self.reason = step, reason

    def __str__(self) -> str:
        return f"step {self.step}: {self.reason}"


@dataclass(frozen=True)
class Losses:
    """What rows leave for later ones that only need to know whether training diverges: the training loss at each."""

    losses: tuple[float, ...] = ()

    def then(self, loss: float) -> Losses:
        """Return what a row of this loss leaves."""
        return Losses((*self.losses, loss))


def refuse_divergence(row: Row, training_losses: Sequence[float], *, last: bool) -> None:
    """Raise when a row is not finite, or the training loss stays far above where it began.

    The training losses are those at every check so far, this row's last. Two checks in a row must exceed the limit,
    since a large step that recovers is no divergence; at the last check, after which nothing recovers, one is enough.

    Raises:
        Diverged: The trial has diverged at the row's step.
    """
    step = int(row["step"] or 0)
    for name, value in row.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise Diverged(step, f"{name} is {value}")
    recent = training_losses[-1:] if last else training_losses[-2:]
    if min(recent) > GROWTH_LIMIT * training_losses[0]:
        raise Diverged(step, f"the training loss is {recent[-1]:.3g}, at first it was {training_losses[0]:.3g}")


def logarithmic_steps(steps: int, per_decade: int) -> frozenset[int]:
    """Return step 0, `per_decade` steps a decade rounded to whole ones, and the last step.

    The points depend on `steps` only through where they end, so that trials of different lengths share them.
    """
    last = math.floor(per_decade * math.log10(steps))
    return frozenset({0, *(round(10 ** (index / per_decade)) for index in range(last + 1)), steps})


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
