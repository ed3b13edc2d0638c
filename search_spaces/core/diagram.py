"""One phase diagram whose boundary is sought: its cells, their replicates, and where to look next."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from scipy.stats import qmc

from search_spaces.core.boundary_settings import BoundarySettings
from search_spaces.core.level_set import Posterior, most_telling, posterior, steepest_level
from search_spaces.core.planner import StoredRow

FIRST_SHARE = 0.15
"""Share of the trials that is spread evenly before the boundary is sought."""

Response = float | Literal["diverged", "nothing"]


@dataclass
class Diagram:
    """What is known of one diagram; its next trials depend on nothing else.

    Attributes:
        settings: What is sought.
        seeds: Replicates that a cell may have.
        responses: Cell -> seed -> response.
        under_way: Cell -> seeds asked for and not told.
    """

    settings: BoundarySettings
    seeds: Sequence[int]
    responses: dict[int, dict[int, Response]] = field(default_factory=lambda: defaultdict(dict))
    under_way: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))

    @property
    def spent(self) -> int:
        """The number of trials told or under way."""
        return sum(map(len, self.responses.values())) + sum(map(len, self.under_way.values()))

    @property
    def finished(self) -> bool:
        return self.spent >= self.settings.budget(len(self.seeds))

    def tell(self, cell: int, seed: int, row: StoredRow) -> None:
        """Learn of one replicate."""
        self.under_way[cell].discard(seed)
        self.responses[cell][seed] = _response(row, self.settings.response)
        self.__dict__.pop("known", None)

    def following(self, count: int) -> list[tuple[int, int]]:
        """Return the cells and seeds of the next trials, at most `count`, and take them to be under way."""
        count = min(count, self.settings.budget(len(self.seeds)) - self.spent)
        chosen: list[tuple[int, int]] = []
        while len(chosen) < count and (spread := self._next_spread()) is not None:
            chosen.append(self._next_replicate(spread))
        if len(chosen) < count:
            running = [cell for cell, seeds in self.under_way.items() for _ in seeds]
            telling = most_telling(self.known, sorted(running), self._free(), count - len(chosen))
            chosen += [self._next_replicate(cell) for cell in telling]
        return chosen

    @cached_property
    def coordinates(self) -> np.ndarray:
        """The cells' places, cells x axes, in [0, 1]: candidate values count as evenly spaced, whatever they are."""
        axes = [np.linspace(0.0, 1.0, length) for length in self.settings.shape]
        return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)

    @cached_property
    def known(self) -> Posterior:
        """What the replicates say of every cell."""
        return posterior(self.coordinates, self.told, self.level)

    @property
    def level(self) -> float:
        """The response at the boundary."""
        if self.settings.level is not None:
            return self.settings.level
        return steepest_level(self.coordinates, self.settings.shape, self.told)

    @property
    def told(self) -> dict[int, list[float]]:
        """The responses of each cell that has any, a diverged one as the value it counts as."""
        diverged = self._value_of_diverged()
        of_cells = {
            cell: [diverged if told == "diverged" else told for told in of_cell.values() if told != "nothing"]
            for cell, of_cell in self.responses.items()
        }
        return {cell: values for cell, values in of_cells.items() if values}

    def _value_of_diverged(self) -> float:
        """Return the declared value, or the lowest response, and one as far below the level as the highest is above."""
        if self.settings.diverged is not None:
            return self.settings.diverged
        level = self.settings.level
        measured = [
            told for of_cell in self.responses.values() for told in of_cell.values() if not isinstance(told, str)
        ]
        if not measured:
            return -1.0 if level is None else level - 1.0
        return min(measured) if level is None else min(*measured, 2 * level - max(measured))

    def _next_replicate(self, cell: int) -> tuple[int, int]:
        seed = next(seed for seed in self.seeds if seed not in {*self.responses[cell], *self.under_way[cell]})
        self.under_way[cell].add(seed)
        return cell, seed

    def _next_spread(self) -> int | None:
        """Return a cell of the even spread, None if there is one on enough of it to seek the boundary."""
        wanted = self._first
        touched = {cell for seen in (self.responses, self.under_way) for cell, seeds in seen.items() if seeds}
        if len(touched) >= wanted and len(self.told) >= min(wanted / 2, self.settings.cells / 2):
            return None
        return next((cell for cell in self._spread if cell not in touched), None)

    @property
    def _first(self) -> int:
        least = 4 * len(self.settings.over)
        return min(self.settings.cells, max(least, round(FIRST_SHARE * self.settings.budget(len(self.seeds)))))

    @cached_property
    def _spread(self) -> list[int]:
        """Every cell, so ordered that the first of them cover the diagram evenly, for any number of them."""
        shape = self.settings.shape
        points = qmc.Sobol(len(shape), scramble=False).random_base2(math.ceil(math.log2(4 * self.settings.cells)))
        places = np.ravel_multi_index(tuple(np.floor(points * shape).astype(int).T), shape)
        return list(dict.fromkeys([*places.tolist(), *range(self.settings.cells)]))

    def _free(self) -> np.ndarray:
        """Return for each cell how many replicates may still be asked for."""
        free = np.full(self.settings.cells, len(self.seeds))
        for seen in (self.responses, self.under_way):
            for cell, seeds in seen.items():
                free[cell] -= len(seeds)
        return free


def _response(row: StoredRow, column: str) -> Response:
    """Return what a row says; a trial that was stopped early says nothing, for it would bias the diagram."""
    if row["outcome"] == "diverged":
        return "diverged"
    if column not in row:
        raise ValueError(f"response {column!r} is no column of the table of trials; it has {', '.join(sorted(row))}")
    value = row[column]
    if row["outcome"] != "finished" or value is None or not math.isfinite(value):
        return "nothing"
    return float(value)
