"""The command line as researchers know it: Hydra overrides, resolved on the driver into plain frozen values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from analysis.store.storage import located, root_of
from raysweep.service.commands.settings.composition import REQUIRED, SPACE_KEYS, composed
from raysweep.service.commands.settings.overrides import DATA_NAME, understood
from raysweep.service.commands.settings.own_places import placed
from raysweep.service.driver.budget import Budget
from raysweep.service.errors import UsageError
from raysweep.service.study import Resources, Study
from search_spaces.core.axes import axis
from search_spaces.core.planner import GridPlanner
from search_spaces.core.space import space_of, without
from search_spaces.core.stopping import Stopping
from trials.core.columns import KnobField
from trials.core.data.arrays import load_arrays
from trials.core.data.own import own_content
from trials.core.data.records import DATA_SETS
from trials.core.fingerprints import fingerprint

if TYPE_CHECKING:
    from search_spaces.core.boundary import BoundaryPlanner
    from search_spaces.core.search import SearchPlanner

EXECUTORS = ("ray", "serial")
REUSES = ("ask", "always", "never")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One run of a study, resolved.

    Attributes:
        overrides: What it was resolved from, as on the command line.
        space: Name of the search space.
        planner: Where to look.
        results: Root of the results store.
        asked: Fingerprint of what the space and the knobs say: two runs with the same one ask for the same sweep.
        figure: File of the main figure, None for the default place.
        figures: `all` or `main`; None for all, or with `figure` the main one alone.
        executor: One of `EXECUTORS`.
        address: Address of a Ray cluster; None means RAY_ADDRESS, or else a local Ray.
        data_sets: Names of the data sets that its trials read.
        data_path: Folder or URL of the data set, None for its default place.
        resources: What one actor takes.
        budget: What this run may spend.
        plan_only: Print the plan and run nothing.
        rerun: Compute anew what is stored of other code or data, or all of it where nothing differs.
        reuse: One of `REUSES`: whether stored trials of other code or data are gone on with.

    Raises:
        ValueError: The space has more trials than `most_trials` allows.
    """

    overrides: tuple[str, ...]
    space: str
    planner: GridPlanner | SearchPlanner | BoundaryPlanner
    results: str
    asked: str
    figure: str | None
    figures: str | None
    executor: str
    address: str | None
    data_sets: tuple[str, ...]
    data_path: str | None
    resources: Resources
    budget: Budget
    plan_only: bool
    rerun: bool
    reuse: str

    @property
    def search(self) -> SearchPlanner | None:
        """The planner if it is a search."""
        if isinstance(self.planner, GridPlanner):
            return None
        from search_spaces.core.search import SearchPlanner

        return self.planner if isinstance(self.planner, SearchPlanner) else None

    @property
    def stopping(self) -> Stopping | None:
        """How trials are stopped early, None if they are not."""
        return self.search.settings.stopping if self.search else None

    @property
    def objective(self) -> Mapping[str, str]:
        """What a search looks for, empty for other planners."""
        return self.search.settings.objective.directions if self.search else {}


def read_settings(study: Study, overrides: Sequence[str]) -> Settings:
    """Return the settings that Hydra overrides describe.

    Raises:
        UsageError: An override is misspelt, or a value is not allowed.
    """
    columns = {declared.name: declared for declared in study.knobs.declared()}
    written = understood(list(placed(overrides, columns)), columns)
    config = composed(study, written)
    axes = {name: values for name, values in config["axes"].items() if values is not None}
    space = {"axes": axes, **{name: config[name] for name in SPACE_KEYS if config[name] is not None}}
    try:
        # What is given goes before whatever the space says of it.
        given = {name: override.is_axis for override in written for name in override.gives}
        space = without(space, given, study.knobs)
        space["axes"] |= {name: axes[name] for name, as_axis in given.items() if as_axis and name in axes}
        return _settings(study, overrides, config, space, columns)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _settings(
    study: Study,
    overrides: Sequence[str],
    config: Mapping[str, Any],
    space: Mapping[str, Any],
    columns: Mapping[str, KnobField],
) -> Settings:
    for name, allowed in (("executor", EXECUTORS), ("reuse", REUSES)):
        if config[name] not in allowed:
            raise ValueError(f"{name}={config[name]!r} is not one of {', '.join(allowed)}")
    for name in ("plan", "rerun"):
        if not isinstance(config[name], bool):
            raise ValueError(f"{name} must be true or false, got {config[name]!r}")
    data, axes = config.get("data"), space["axes"]
    values = {name: reduce(getitem, declared.path, config) for name, declared in columns.items()}
    fixed: dict[str, Any] = {name: value for name, value in values.items() if name not in axes and value != REQUIRED}
    data_sets = tuple(map(str, axis(DATA_NAME, axes.get(DATA_NAME, fixed.get(DATA_NAME, []))))) if data else ()
    data_path = _path("data.path", data["path"]) if data else None
    fixed |= _brought(data_sets, data_path, fixed)
    told = {column.name: _is_number(column.type) for column in study.schema.trials_schema()}
    planner = space_of(study.knobs, {"fixed": fixed, **space}, told)
    _refuse_too_many(planner, config["most_trials"])
    settings = Settings(
        overrides=tuple(overrides),
        space=config["space_name"],
        planner=planner,
        results=root_of(_path("results", config["results"]) or ""),
        asked=fingerprint([study.name, study.revision, {"fixed": fixed, **space}]),
        figure=_path("figure", config["figure"]),
        figures=config["figures"],
        executor=config["executor"],
        address=None if config["address"] is None else str(config["address"]),
        data_sets=data_sets,
        data_path=data_path,
        resources=Resources(**config["resources"]),
        budget=Budget(**config["budget"]),
        plan_only=config["plan"],
        rerun=config["rerun"],
        reuse=config["reuse"],
    )
    if settings.rerun and settings.reuse == "always":
        raise ValueError("--rerun computes stored trials anew, and --reuse goes on with them; give one of the two")
    if settings.stopping and settings.executor == "serial":
        raise ValueError("search.stopping compares trials that run side by side; it needs executor=ray")
    return settings


def _brought(data_sets: Sequence[str], path: str | None, fixed: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the knob by which trials on data of the user's own go by what these hold; none for data known by name."""
    brought = [name for name in data_sets if name in DATA_SETS and DATA_SETS[name].brought]
    if not brought:
        return {}
    if len(data_sets) > 1:
        raise ValueError(f"data={brought[0]} is of your own; sweep it by itself, not beside {', '.join(data_sets)}")
    held, asked = own_content(load_arrays(brought[0], path)), fixed.get("data_content")
    if asked and asked != held:
        raise ValueError(f"data.content={asked} is asked for, and the data at {path!r} are {held}")
    return {"data_content": held}


def _path(name: str, written: Any) -> str | None:
    """Return a path of a space's YAML or of an override, None where there is none."""
    if written is not None and not isinstance(written, str):
        raise ValueError(f"{name} must be text, got {written!r}; YAML wants quotes around it")
    return None if written is None else located(written)


def _refuse_too_many(planner: GridPlanner | SearchPlanner | BoundaryPlanner, allowed: Any) -> None:
    """Compare the size of a space with what was allowed; it is counted without being made."""
    if not isinstance(allowed, int) or isinstance(allowed, bool) or allowed < 1:
        raise ValueError(f"most_trials must be a whole number of at least 1, got {allowed!r}")
    try:
        trials = len(planner)
    except OverflowError:
        raise ValueError("the space has more trials than can be counted; narrow it") from None
    if trials > allowed:
        raise ValueError(
            f"the space has {trials:,} trials, more than most_trials={allowed}; narrow it, or add most_trials={trials}"
        )


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
