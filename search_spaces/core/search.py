"""Search: Optuna's samplers look for the best knobs, for each combination of the grid's axes."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces.core.grid import SEED, Cell
from search_spaces.core.objectives import Observations, Parameters
from search_spaces.core.planner import StoredRow
from search_spaces.core.proposals import proposals
from search_spaces.core.ranges import contains, ends, meant
from search_spaces.core.search_settings import SearchSettings, refuse_values_not_allowed
from trials.core.knobs import TrialKnobs


class SearchPlanner:
    """One search for each cell of a grid, side by side; every configuration is run with every seed.

    A grid axis asks "the best learning rate at each width": its values are never traded against one another. A knob
    whose best value is sought belongs to `over`, as a range or as choices. The searches of all cells have the same
    seed, so that those of a fixed sequence look at the same configurations in each.

    Args:
        knobs: The class of knobs to build.
        cells: The combinations of the grid's axes but the seed's, as columns.
        fixed: Values of the other knobs.
        seeds: Replicates of every configuration; its objective is their mean.
        settings: The search.

    Raises:
        ValueError: The knobs refuse a corner of what is searched.
    """

    def __init__(
        self,
        *,
        knobs: type[TrialKnobs],
        cells: Sequence[Cell],
        fixed: Mapping[str, Any],
        seeds: Sequence[int],
        settings: SearchSettings,
    ) -> None:
        self.settings = settings
        self.knobs = knobs
        for cell in cells[:1]:
            refuse_values_not_allowed(knobs, {**fixed, **cell}, settings)
        searches = [CellSearch(knobs, {**fixed, **cell}, cell, seeds, settings) for cell in cells]
        self._by_cell = {search.identity(search.trial(search.corner, seeds[0])): search for search in searches}
        self._asked: dict[str, CellSearch] = {}

    @property
    def searches(self) -> list[CellSearch]:
        """The searches; cells that mean the same trials share one."""
        return list(self._by_cell.values())

    def __len__(self) -> int:
        """Return the number of trials: cells times configurations times seeds."""
        return sum(self.settings.trials * len(search.observations.seeds) for search in self.searches)

    def ask(self, count: int) -> list[TrialKnobs]:
        asked: list[TrialKnobs] = []
        while len(asked) < count and (following := self._following()) is not None:
            asked.append(following)
        return asked

    def tell(self, knobs: TrialKnobs, row: StoredRow) -> bool:
        any_search = next(iter(self._by_cell.values()))
        search = self._asked.get(knobs.fingerprint()) or self._by_cell.get(any_search.identity(knobs))
        return search is not None and search.tell(knobs, row)

    @property
    def finished(self) -> bool:
        return all(search.finished for search in self.searches)

    def _following(self) -> TrialKnobs | None:
        """Return a trial of the search that has come least far and has one."""
        for search in sorted(self.searches, key=lambda search: search.progress):
            following = search.following()
            if following is not None:
                self._asked[following.fingerprint()] = search
                return following
        return None


class CellSearch:
    """The search in one cell of the grid."""

    def __init__(
        self,
        knobs: type[TrialKnobs],
        fixed: Mapping[str, Any],
        cell: Cell,
        seeds: Sequence[int],
        settings: SearchSettings,
    ) -> None:
        self.cell = cell
        self.observations = Observations(settings.objective, seeds)
        self.corner: Parameters = tuple(ends(distribution)[-1] for distribution in settings.over.values())
        self._knobs, self._fixed, self._settings = knobs, fixed, settings
        self._proposals = proposals(settings, self._settled)
        self._known: dict[Parameters, None] = {}
        self._owed: deque[tuple[Parameters, int]] = deque()
        self._asked: dict[str, tuple[Parameters, int]] = {}

    def trial(self, parameters: Parameters, seed: int) -> TrialKnobs:
        """Return the knobs of a configuration's replicate."""
        searched = dict(zip(self._settings.over, parameters, strict=True))
        return self._knobs.from_columns({**self._fixed, **searched, SEED: seed})

    def identity(self, knobs: TrialKnobs) -> tuple[Any, ...]:
        """Return what tells the cells apart: every knob but the seed, those searched at the end of their range."""
        searched = dict(zip(self._settings.over, self.corner, strict=True))
        columns = knobs.columns()
        with contextlib.suppress(ValueError):  # values of another space, which cannot be combined
            columns = self._knobs.from_columns({**columns, **searched}).columns()
        return tuple(value for name, value in columns.items() if name != SEED and name not in searched)

    @property
    def progress(self) -> int:
        """The number of configurations that are known or under way."""
        return len(self._known)

    @property
    def finished(self) -> bool:
        return not self._open_replicates() and self._proposals.finished(self.observations, self._known)

    def following(self) -> TrialKnobs | None:
        """Return the next trial, None while results are awaited or when the search is over."""
        if not self._open_replicates():
            parameters = self._proposals.following(self.observations, self._known)
            if parameters is None:
                return None
            self._note(parameters)
        trial = self.trial(*self._owed[0])
        self._asked[trial.fingerprint()] = self._owed.popleft()
        return trial

    def tell(self, knobs: TrialKnobs, row: StoredRow) -> bool:
        """Learn of a trial; one outside the ranges or with another seed is ignored."""
        parameters, seed = self._asked.get(knobs.fingerprint()) or (self._searched(knobs), knobs.seed)
        if not self._inside(parameters) or seed not in self.observations.seeds:
            return False
        parameters = tuple(map(meant, self._settings.over.values(), parameters))  # an older store has others
        self.observations.tell(parameters, seed, row)
        self._note(parameters)
        return True

    def _note(self, parameters: Parameters) -> None:
        """Remember a configuration, and owe what it lacks of its replicates."""
        if parameters not in self._known:
            self._known[parameters] = None
            self._owed.extend((parameters, seed) for seed in self.observations.seeds)

    def _open_replicates(self) -> bool:
        """Return whether a replicate is owed, after forgetting those asked for or told meanwhile."""
        while self._owed and not self._is_open(*self._owed[0]):
            self._owed.popleft()
        return bool(self._owed)

    def _is_open(self, parameters: Parameters, seed: int) -> bool:
        told = seed not in self.observations.missing(parameters)
        return not told and self.trial(parameters, seed).fingerprint() not in self._asked

    def _searched(self, knobs: TrialKnobs) -> Parameters:
        columns = knobs.columns()
        return tuple(columns[name] for name in self._settings.over)

    def _settled(self, parameters: Parameters) -> Parameters:
        settled = self._searched(self.trial(parameters, self.observations.seeds[0]))
        return settled if self._inside(settled) else parameters

    def _inside(self, parameters: Parameters) -> bool:
        return all(map(contains, self._settings.over.values(), parameters))
