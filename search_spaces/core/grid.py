"""The grid: every combination of the axes, coarse picture first."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.core.axes import Axis
from trials.core.knobs import TrialKnobs


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Every combination of the axes' values, over fixed values of the other knobs.

    Attributes:
        knobs: The class of knobs to build.
        axes: Column name of a knob -> its values.
        fixed: Column name of a knob -> its one value; knobs in neither are at their default.

    Raises:
        ValueError: An axis or a fixed value names no knob (when iterated: a value is not allowed).
    """

    knobs: type[TrialKnobs]
    axes: Mapping[str, Axis]
    fixed: Mapping[str, Any]

    def __post_init__(self) -> None:
        names = [declared.name for declared in self.knobs.declared()]
        unknown = sorted((set(self.axes) | set(self.fixed)) - set(names))
        if unknown:
            raise ValueError(f"{unknown[0]} is no knob of this study; allowed are {', '.join(names)}")

    def __len__(self) -> int:
        """Return the number of combinations."""
        return math.prod(len(values) for values in self.axes.values())

    def __iter__(self) -> Iterator[TrialKnobs]:
        """Yield the knobs of every combination, seed by seed, and within a seed from a coarse grid to the full one."""
        for cell in self._cells():
            yield self.knobs.from_columns({**self.fixed, **cell})

    def _cells(self) -> Iterator[dict[str, Any]]:
        seeds = self.axes.get("seed")
        others = {name: values for name, values in self.axes.items() if name != "seed"}
        levels = {name: refinement_levels(len(values)) for name, values in others.items()}
        finest = max((max(level) for level in levels.values()), default=0)
        for seed in seeds or (None,):
            for level in range(finest + 1):
                for positions in itertools.product(*(range(len(values)) for values in others.values())):
                    reached = (levels[name][position] for name, position in zip(others, positions, strict=True))
                    if max(reached, default=0) == level:
                        cell = {name: others[name][at] for name, at in zip(others, positions, strict=True)}
                        yield cell if seed is None else {**cell, "seed": seed}


def refinement_levels(count: int) -> list[int]:
    """Return for each of `count` positions the round of bisection that first visits it, 0 for the two ends."""
    levels = [0] * count
    intervals, level = [(0, count - 1)], 1
    while intervals:
        middles = [((low + high) // 2, low, high) for low, high in intervals if high - low > 1]
        for middle, _, _ in middles:
            levels[middle] = level
        intervals = [half for middle, low, high in middles for half in ((low, middle), (middle, high))]
        level += 1
    return levels
