"""Objectives: what a search makes of stored rows, replicates and divergence included."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from search_spaces.core.planner import StoredRow
from trials.core.fingerprints import fingerprint

DIRECTIONS = ("maximize", "minimize")
MARGIN = 0.1
"""A diverged trial counts as worse than the worst value by this share of the range of values."""

Parameters = tuple[Any, ...]
"""The values of the searched knobs, in the order of their declaration."""
Values = tuple[float, ...]
Told = Values | Literal["diverged", "failed"]


@dataclass(frozen=True)
class Objective:
    """Columns of the table of trials, each to be maximised or minimised.

    Raises:
        ValueError: There is no column, or a direction is neither of `DIRECTIONS`.
    """

    directions: Mapping[str, str]

    def __post_init__(self) -> None:
        if not self.directions:
            raise ValueError("search.objective is empty; write a column and its direction: {final_test_acc: maximize}")
        for column, direction in self.directions.items():
            if direction not in DIRECTIONS:
                raise ValueError(f"search.objective.{column}={direction!r} is not one of {', '.join(DIRECTIONS)}")

    def told(self, row: StoredRow) -> Told:
        """Return what a stored row says: values, or why there are none."""
        if row["outcome"] == "diverged":
            return "diverged"
        if row["outcome"] not in ("finished", "stopped"):
            return "failed"
        values = tuple(_number(row, column) for column in self.directions)
        return values if all(map(math.isfinite, values)) else "failed"


def _number(row: StoredRow, column: str) -> float:
    if column not in row:
        raise ValueError(f"objective {column!r} is no column of the table of trials; it has {', '.join(sorted(row))}")
    return math.nan if row[column] is None else float(row[column])


@dataclass
class Observations:
    """What is known of the configurations of one search: every replicate of each.

    Attributes:
        objective: What to make of a row.
        seeds: The replicates that make a configuration complete.
        replicates: Configuration -> seed -> what was told.
        revision: How many rows were told.
        times: Configuration -> when its last replicate ended, as text; empty where rows do not say.
    """

    objective: Objective
    seeds: Sequence[int]
    replicates: dict[Parameters, dict[int, Told]] = field(default_factory=lambda: defaultdict(dict))
    times: dict[Parameters, str] = field(default_factory=dict)
    revision: int = 0

    def tell(self, parameters: Parameters, seed: int, row: StoredRow) -> None:
        """Learn of one replicate."""
        self.revision += 1
        self.replicates[parameters][seed] = self.objective.told(row)
        self.times[parameters] = max(self.times.get(parameters, ""), str(row.get("finished_at") or ""))

    def missing(self, parameters: Parameters) -> list[int]:
        """Return the seeds that a configuration has not been told of."""
        told = self.replicates.get(parameters, {})
        return [seed for seed in self.seeds if seed not in told]

    def complete(self) -> list[Parameters]:
        """Return the configurations with all replicates, in an order that does not depend on how they were told.

        The oldest come first, as samplers may weigh by age; where rows tell no time, age is as good as drawn by lot.
        """
        complete = [known for known in self.replicates if not self.missing(known)]
        return sorted(complete, key=lambda known: (self.times[known], fingerprint(known)))

    def diverged(self, parameters: Parameters) -> list[int]:
        """Return the seeds with which a configuration diverged."""
        return sorted(seed for seed, told in self.replicates[parameters].items() if told == "diverged")

    def values(self, configurations: Iterable[Parameters]) -> dict[Parameters, Values | None]:
        """Return the mean over the replicates of each configuration, None where every replicate failed.

        A diverged replicate is information: it counts as worse than every value among these configurations.
        """
        asked_for = list(configurations)
        worse = self._worse_than_all(asked_for)
        return {known: self._mean(known, worse) for known in asked_for}

    def _mean(self, parameters: Parameters, worse: Values) -> Values | None:
        told = [worse if said == "diverged" else said for said in self.replicates[parameters].values()]
        columns = list(zip(*(said for said in told if isinstance(said, tuple)), strict=True))
        return tuple(math.fsum(column) / len(column) for column in columns) or None

    def _worse_than_all(self, configurations: Sequence[Parameters]) -> Values:
        """Return the worst value of each objective less a margin, 0 where no value is known."""
        told = [said for known in configurations for said in self.replicates[known].values() if isinstance(said, tuple)]
        columns = zip(*told, strict=True) if told else [(0.0,) for _ in self.objective.directions]
        directions = self.objective.directions.values()
        return tuple(_beyond(column, direction) for column, direction in zip(columns, directions, strict=True))


def _beyond(values: Sequence[float], direction: str) -> float:
    margin = MARGIN * (max(values) - min(values))
    return min(values) - margin if direction == "maximize" else max(values) + margin
