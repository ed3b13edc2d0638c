"""Planners: what says which trials to run next, given those that are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from trials.core.knobs import TrialKnobs

StoredRow = Mapping[str, Any]
"""A row of the table of trials: `outcome`, and a column `final_*` for each measurement."""


class Planner(Protocol):
    """Says which trials to run next.

    A planner has no memory but what it is told, and what it is told may come in any order and more than once: told the
    stored rows of its study, a new planner goes on where one that was lost had come to. Tell it of failed trials only
    what failed in this run; a failure it has not been told of is asked for again.
    """

    def ask(self, count: int) -> list[TrialKnobs]:
        """Return at most `count` trials to run, none of which was returned or told before.

        Fewer, or none, means that the planner waits to be told of those under way, or that it is `finished`.
        """

    def tell(self, knobs: TrialKnobs, row: StoredRow) -> bool:
        """Learn of a trial in the store, whoever asked for it; return whether it is one of the space, or ignored."""

    @property
    def finished(self) -> bool:
        """Whether nothing will be asked for any more, whatever is told; trials asked for may still be under way."""

    def __len__(self) -> int:
        """Return the number of trials of the whole space, at most."""


class SizedGrid(Protocol):
    """Trials that are counted without being made."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[TrialKnobs]: ...


class GridPlanner:
    """Asks for every trial of a grid in the grid's order."""

    def __init__(self, grid: SizedGrid) -> None:
        self.grid = grid
        self._waiting = iter(grid)
        self._following: tuple[str, TrialKnobs] | None = None
        self._known: set[str] = set()

    def __len__(self) -> int:
        return len(self.grid)

    def __iter__(self) -> Iterator[TrialKnobs]:
        """Yield every trial, known or not."""
        return iter(self.grid)

    def ask(self, count: int) -> list[TrialKnobs]:
        asked: list[TrialKnobs] = []
        while len(asked) < count and (following := self._peek()) is not None:
            self._known.add(following[0])
            asked.append(following[1])
        return asked

    def tell(self, knobs: TrialKnobs, row: StoredRow) -> bool:
        """Take a trial as done; a grid does not look whether it holds it."""
        self._known.add(knobs.fingerprint())
        return True

    @property
    def finished(self) -> bool:
        return self._peek() is None

    def _peek(self) -> tuple[str, TrialKnobs] | None:
        """Return the next trial that is not known, and its fingerprint; two cells may be the same trial."""
        while self._following is None or self._following[0] in self._known:
            knobs = next(self._waiting, None)
            if knobs is None:
                return None
            self._following = knobs.fingerprint(), knobs
        return self._following
