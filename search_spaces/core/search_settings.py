"""What a space says of a search, checked."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution

from search_spaces.core.objectives import Objective
from search_spaces.core.ranges import ends, searched_range
from search_spaces.core.samplers import SAMPLERS, sampler_named
from search_spaces.core.stopping import Stopping, stopping_of
from trials.core.knobs import TrialKnobs
from trials.core.suggestions import suggestion

_KEYS = ("sampler", "trials", "objective", "over", "seed", "generation", "stopping")
_MOST_CORNERS = 256


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """A search as a space declares it.

    Attributes:
        sampler: One of `SAMPLERS`.
        trials: Configurations to look at for each combination of the grid's axes; each is run with every seed.
        objective: Columns of the table of trials to maximise or minimise.
        over: Column name of a knob -> where to look for its value.
        seed: Seed of the sampler; the trials' seeds are an axis.
        generation: Configurations that cmaes and nsga2 propose together, None for a default.
        stopping: Ends unpromising trials early, None to let every trial go to its last step.

    Raises:
        ValueError: The sampler is unknown or does not suit the rest, or there is nothing to search.
    """

    sampler: str
    trials: int
    objective: Objective
    over: Mapping[str, BaseDistribution] = field(default_factory=dict)
    seed: int = 0
    generation: int | None = None
    stopping: Stopping | None = None

    def __post_init__(self) -> None:
        for name, value, least in (("trials", self.trials, 1), ("seed", self.seed, 0)):
            _require_whole(f"search.{name}", value, least)
        if self.generation is not None:
            _require_whole("search.generation", self.generation, 2)
        if self.stopping and len(self.objective.directions) > 1:
            raise ValueError("search.stopping compares trials by one objective; this search has several")
        if not self.over:
            raise ValueError("search.over is empty; write a knob and its range: {learning_rate: {low: 1e-3, high: 1}}")
        sampler_named(self.sampler, self.over, list(self.objective.directions))

    @property
    def size_of_generation(self) -> int:
        return self.generation or SAMPLERS[self.sampler].generation(len(self.over), self.trials)


def search_settings(
    knobs: type[TrialKnobs], written: Mapping[str, Any], columns: Mapping[str, bool] | None = None
) -> SearchSettings:
    """Return the search that the `search` of a space describes.

    Args:
        knobs: The study's knobs.
        written: The keys of `SearchSettings`; `objective` and `over` as mappings.
        columns: The columns of the study's table of trials -> whether they hold numbers, None where they are not known.

    Raises:
        ValueError: A key, a knob or a column is unknown, a column holds no numbers, or a value is not allowed.
    """
    for key in written:
        if key not in _KEYS:
            raise ValueError(f"search.{key} is unknown; {suggestion(key, _KEYS)}")
    missing = [key for key in ("trials", "objective", "over") if written.get(key) is None]
    if missing:
        raise ValueError(f"search.{missing[0]} is missing; a search needs trials, objective and over")
    objective = Objective(_mapping("objective", written["objective"]))
    refuse_columns("search.objective", objective.directions, columns)
    return SearchSettings(
        **{
            "sampler": "tpe",
            **written,
            "objective": objective,
            "stopping": stopping_of(written.get("stopping")),
            "over": _ranges(knobs, _mapping("over", written["over"])),
        }
    )


def refuse_columns(place: str, named: Collection[str], columns: Mapping[str, bool] | None) -> None:
    """Raise a ValueError if a column is none of the study's, or holds no numbers.

    Args:
        place: What names them.
        named: The columns.
        columns: Those of the study's table of trials -> whether they hold numbers, None where they are not known.
    """
    for column in named if columns is not None else ():
        numbers = [name for name, is_number in columns.items() if is_number] if columns else []
        if columns is not None and column not in columns:
            close = difflib.get_close_matches(column, numbers, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(numbers)}"
            raise ValueError(f"{place}={column!r} is no column of the table of trials; {hint}")
        if column not in numbers:
            raise ValueError(f"{place}={column!r} holds no numbers; {', '.join(numbers)} do")


def refuse_values_not_allowed(knobs: type[TrialKnobs], fixed: Mapping[str, Any], settings: SearchSettings) -> None:
    """Raise a ValueError if the knobs refuse a corner of what is searched."""
    corners = itertools.product(*map(ends, settings.over.values()))
    for corner in itertools.islice(corners, _MOST_CORNERS):
        try:
            knobs.from_columns({**fixed, **dict(zip(settings.over, corner, strict=True))})
        except ValueError as error:
            raise ValueError(f"search.over: {error}") from None


def _ranges(knobs: type[TrialKnobs], written: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    declared = {entry.name: entry for entry in knobs.declared() if entry.name != "seed"}
    if "seed" in written:
        raise ValueError("search.over.seed: seeds are replicates, not searched; give them as axes.seed")
    unknown = sorted(set(written) - set(declared))
    if unknown:
        raise ValueError(f"search.over.{knobs.unknown(unknown[0], declared)}")
    return {name: searched_range(declared[name], entry) for name, entry in written.items()}


def _mapping(name: str, written: Any) -> Mapping[str, Any]:
    if not isinstance(written, Mapping):
        raise ValueError(f"search.{name} must be a mapping, got {written!r}")
    return written


def _require_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
