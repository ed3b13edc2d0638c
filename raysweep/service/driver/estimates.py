"""Estimates: how long trials will take, from stored ones of like cost."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from analysis.store.results import Results
from raysweep.service.messages import PlannedTrial
from raysweep.service.study import Study

_CLOSE, _SCALED, _NEAR = 0.25, 0.5, 0.75
"""Least relative width of a range: from equal trials, from those of another length, of another main knob."""
_FEW = 3

Shape = tuple[Any, ...]


@dataclass(frozen=True)
class Duration:
    """Seconds that something will take, with a range.

    Attributes:
        seconds: What is expected.
        spread: Width of the range on either side, relative to it.
    """

    seconds: float
    spread: float

    @property
    def low(self) -> float:
        return self.seconds / (1 + self.spread)

    @property
    def high(self) -> float:
        return self.seconds * (1 + self.spread)


@dataclass
class _Ended:
    """Trials of one shape and length that have ended: their number, and sums over them."""

    count: int = 0
    seconds: float = 0.0
    squares: float = 0.0
    rows: float = 0.0

    def tell(self, seconds: float, rows: float | None) -> None:
        self.count += 1
        self.seconds += seconds
        self.squares += seconds * seconds
        self.rows += rows or 0.0

    @property
    def mean(self) -> float:
        return self.seconds / self.count

    @property
    def mean_rows(self) -> float:
        return self.rows / self.count

    @property
    def spread(self) -> float:
        """Relative width of the range that these tell: their own, and more where they are few."""
        variance = max(0.0, self.squares / self.count - self.mean**2)
        own = math.sqrt(variance) / self.mean if self.mean else 0.0
        return max(_CLOSE if self.count >= _FEW else _SCALED, own)


def _by_length() -> dict[float, _Ended]:
    return defaultdict(_Ended)


@dataclass
class Estimates:
    """What trials of a study take, by shape and length.

    Trials are of like cost where all their knobs agree but the seed and real numbers: data, network and method then do,
    and a learning rate costs nothing. What a longer or shorter trial takes is scaled from them, by its steps and by the
    rows that it measures. Where none is alike, those are taken that differ in the study's main knob alone, at its
    nearest value.

    Attributes:
        study: The study.
        used: Number of trials that estimates have been made from.
    """

    study: Study
    _shaping: tuple[str, ...] = field(init=False)
    _by_shape: dict[Shape, dict[float, _Ended]] = field(default_factory=lambda: defaultdict(_by_length))
    _near: dict[Shape, set[Any]] = field(default_factory=lambda: defaultdict(set))
    _used: set[tuple[Shape, float]] = field(default_factory=set)

    def __post_init__(self) -> None:
        free = {"seed", self.study.extendable}
        self._shaping = tuple(
            declared.name
            for declared in self.study.knobs.declared()
            if declared.name not in free and (declared.type is not float or declared.name == self.study.across)
        )

    def tell(self, columns: Mapping[str, Any], seconds: float, rows: float | None = None) -> None:
        """Learn of a trial that has ended, given its knobs by column."""
        shape = self._shape(columns)
        self._by_shape[shape][self._length(columns)].tell(seconds, rows)
        self._near[self._without_main(shape)].add(columns[self.study.across])

    def of(self, columns: Mapping[str, Any]) -> Duration | None:
        """Return what a trial will take, None where nothing like it has ended."""
        shape, length = self._shape(columns), self._length(columns)
        if shape in self._by_shape:
            return self._scaled(shape, length)
        here = columns[self.study.across]
        values = self._near.get(self._without_main(shape), set())
        nearest = min(values, key=lambda value: _distance(value, here), default=None)
        if nearest is None or math.isinf(_distance(nearest, here)):
            return None
        found = self._scaled(self._shape({**columns, self.study.across: nearest}), length)
        return Duration(found.seconds, max(found.spread, _NEAR))

    def kind(self, columns: Mapping[str, Any]) -> Shape:
        """Return what all trials share that take the same."""
        return (*self._shape(columns), self._length(columns))

    @property
    def used(self) -> int:
        return sum(self._by_shape[shape][length].count for shape, length in self._used)

    def _scaled(self, shape: Shape, length: float) -> Duration:
        """Return what a trial of a known shape takes; of another length, by the two nearest lengths or the nearest."""
        known = self._by_shape[shape]
        if length in known:
            self._used.add((shape, length))
            return Duration(known[length].mean, known[length].spread)
        nearest = sorted(known, key=lambda other: _distance(other, length))[:2]
        self._used |= {(shape, other) for other in nearest}
        fitted = _fitted({other: known[other] for other in nearest}, length) if len(nearest) > 1 else None
        if fitted is not None:
            return Duration(fitted, max(_SCALED, *(known[other].spread for other in nearest)))
        # Between what it takes if all time goes into rows, of which there are as many a decade, and all into steps.
        first, (by_rows, by_steps) = (
            known[nearest[0]],
            (math.log1p(length) / math.log1p(nearest[0]), length / nearest[0]),
        )
        apart = math.sqrt(max(by_steps, by_rows) / min(by_steps, by_rows)) - 1
        return Duration(first.mean * math.sqrt(by_steps * by_rows), max(first.spread, _SCALED, apart))

    def _shape(self, columns: Mapping[str, Any]) -> Shape:
        return tuple((name, columns[name]) for name in self._shaping)

    def _without_main(self, shape: Shape) -> Shape:
        return tuple(entry for entry in shape if entry[0] != self.study.across)

    def _length(self, columns: Mapping[str, Any]) -> float:
        return float(columns[self.study.extendable]) if self.study.extendable else 0.0


@dataclass(frozen=True)
class Total:
    """What several trials will take together.

    Attributes:
        duration: Of those of which something is known, None where nothing is known of any.
        known: Their number.
        unknown: The number of the others.
        told_by: Number of ended trials that this is estimated from.
    """

    duration: Duration | None
    known: int
    unknown: int
    told_by: int


def total_of(estimates: Estimates, trials: Iterable[PlannedTrial]) -> Total:
    """Return what trials take together, one after another."""
    found = [estimates.of(trial.knobs.columns()) for trial in trials]
    known = [duration for duration in found if duration is not None]
    seconds = math.fsum(duration.seconds for duration in known)
    spread = math.fsum(duration.seconds * duration.spread for duration in known) / seconds if seconds else 0.0
    duration = Duration(seconds, spread) if known else None
    return Total(duration, len(known), len(found) - len(known), estimates.used)


def stored_times(study: Study, results: Results) -> tuple[Estimates, dict[str, float]]:
    """Return what the stored trials of a study tell, and the seconds that each took that need not run again."""
    estimates, seconds = Estimates(study), dict[str, float]()
    if not results.outcomes(study.name):
        return estimates, seconds
    table: pa.Table = results.arrow().trials(study.name)
    defaults = {declared.name: declared.default for declared in study.knobs.declared()}
    stored = [name for name in defaults if name in table.schema.names]  # a store that is read alone may be older
    for told in table.select([*stored, "trial_id", "outcome", "wall_seconds", "steps_recorded"]).to_pylist():
        row = {**defaults, **told}
        if row["outcome"] != "failed":
            seconds[row["trial_id"]] = row["wall_seconds"] or 0.0
        if row["outcome"] == "finished" and row["wall_seconds"] is not None:
            estimates.tell(row, row["wall_seconds"], row["steps_recorded"])
    return estimates, seconds


def _distance(value: Any, other: Any) -> float:
    """Return how far two values of a knob lie apart: large numbers by their ratio, texts not at all or infinitely."""
    if value == other:
        return 0.0
    numbers = isinstance(value, int | float) and isinstance(other, int | float)
    return abs(math.asinh(value) - math.asinh(other)) if numbers else math.inf


def _fitted(known: Mapping[float, _Ended], length: float) -> float | None:
    """Return the time at a length where a time a step and a time a row explain two others; None where none do.

    Rows lie evenly on a logarithmic scale of steps in most studies, so their number follows the logarithm.
    """
    (first, one), (second, other) = known.items()
    determinant = first * other.mean_rows - second * one.mean_rows
    if min(first, second, length) <= 1 or not determinant:
        return None
    a_step = (one.mean * other.mean_rows - other.mean * one.mean_rows) / determinant
    a_row = (first * other.mean - second * one.mean) / determinant
    if a_step < 0 or a_row < 0:
        return None
    slope = (other.mean_rows - one.mean_rows) / math.log(second / first)
    rows = max(0.0, one.mean_rows + slope * math.log(length / first))
    return a_step * length + a_row * rows
