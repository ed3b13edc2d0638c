"""The command line as researchers know it: Hydra overrides, resolved on the driver into plain frozen values."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from hydra import compose, initialize
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from raysweep.service.commands.hydra_state import apart_from_the_program
from raysweep.service.commands.overrides import column_of, refusal_of, translated
from raysweep.service.commands.own_places import placed
from raysweep.service.commands.spaces import NO_SPACE, default_first, spaces
from raysweep.service.driver.budget import Budget
from raysweep.service.errors import UsageError
from raysweep.service.study import Resources, Study
from search_spaces.core.axes import axis
from search_spaces.core.boundary import BoundaryPlanner
from search_spaces.core.planner import GridPlanner
from search_spaces.core.search import SearchPlanner
from search_spaces.core.space import space_of, without
from search_spaces.core.stopping import Stopping
from trials.core.columns import KnobField
from trials.core.data.arrays import load_arrays
from trials.core.data.own import own_content
from trials.core.data.records import DATA_SETS
from trials.core.fingerprints import fingerprint

EXECUTORS = ("ray", "serial")
SPACE_KEYS = ("linked", "computed", "union", "search", "boundary")
"""What a space may say beside its axes; see `search_spaces.core.space`."""
MOST_TRIALS = 1_000_000
"""A larger space is run only where `most_trials` says that it is meant."""


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

    @property
    def stopping(self) -> Stopping | None:
        """How trials are stopped early, None if they are not."""
        return self.planner.settings.stopping if isinstance(self.planner, SearchPlanner) else None

    @property
    def objective(self) -> Mapping[str, str]:
        """What a search looks for, empty for other planners."""
        return self.planner.settings.objective.directions if isinstance(self.planner, SearchPlanner) else {}


def read_settings(study: Study, overrides: Sequence[str]) -> Settings:
    """Return the settings that Hydra overrides describe.

    Raises:
        UsageError: An override is misspelt, or a value is not allowed.
    """
    columns = {declared.name: declared for declared in study.knobs.declared()}
    written = [translated(override, columns) for override in placed(overrides, columns)]
    config = _composed(study, written)
    given = {column_of(override.partition("=")[0]) for override in written}
    as_axes = {name.removeprefix("axes.") for name in given if name.startswith("axes.")}
    axes = {name: written for name, written in config.pop("axes").items() if written is not None}
    space = {"axes": axes, **{name: config[name] for name in SPACE_KEYS if config[name] is not None}}
    try:
        # What is given goes before whatever the space says of it.
        space = without(space, given | as_axes, study.knobs)
        space["axes"] |= {name: axes[name] for name in as_axes if name in axes}
        return _settings(study, overrides, config, space, columns)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _settings(
    study: Study,
    overrides: Sequence[str],
    config: dict[str, Any],
    space: Mapping[str, Any],
    columns: Mapping[str, KnobField],
) -> Settings:
    if config["executor"] not in EXECUTORS:
        raise ValueError(f"executor={config['executor']!r} is not one of {', '.join(EXECUTORS)}")
    data = config.get("data") or {}
    path = data.pop("path", None)
    values, axes = dict(_flattened(config)), space["axes"]
    for name in sorted(values.keys() & study.knobs.renamed().keys()):
        raise ValueError(f"space={config['space_name']}: {study.knobs.unknown(name)}")
    fixed = {name: values[name] for name in columns if name not in axes and values[name] != "???"}
    data_sets = tuple(map(str, axis("data_name", axes.get("data_name", fixed.get("data_name", []))))) if data else ()
    data_path = None if path is None else str(path)
    fixed |= _brought(data_sets, data_path, fixed)
    told = study.schema.trials_schema().names
    planner = space_of(study.knobs, {"fixed": fixed, **space}, told)
    _refuse_too_many(len(planner), config["most_trials"])
    settings = Settings(
        overrides=tuple(overrides),
        space=config["space_name"],
        planner=planner,
        results=str(config["results"]),
        asked=fingerprint([study.name, study.revision, {"fixed": fixed, **space}]),
        figure=None if config["figure"] is None else str(config["figure"]),
        figures=config["figures"],
        executor=config["executor"],
        address=config["address"],
        data_sets=data_sets,
        data_path=data_path,
        resources=Resources(**config["resources"]),
        budget=Budget(**config["budget"]),
        plan_only=bool(config["plan"]),
    )
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


def _refuse_too_many(trials: int, allowed: Any) -> None:
    """Compare the size of a space with what was allowed; it is counted without being made."""
    if not isinstance(allowed, int) or isinstance(allowed, bool) or allowed < 1:
        raise ValueError(f"most_trials must be a whole number of at least 1, got {allowed!r}")
    if trials > allowed:
        raise ValueError(
            f"the space has {trials:,} trials, more than most_trials={allowed}; narrow it, or add most_trials={trials}"
        )


def _composed(study: Study, overrides: list[str]) -> dict[str, Any]:
    try:
        with apart_from_the_program(), initialize(version_base="1.3", config_path=None):
            _declare(study)
            config = OmegaConf.to_container(compose("raysweep", overrides=overrides), resolve=True)
    except OverrideParseException as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"cannot read {error.override!r}: {reason}") from None
    except (HydraException, OmegaConfBaseException) as error:
        raise UsageError(refusal_of(study, error)) from None
    assert isinstance(config, dict)
    return {str(name): value for name, value in config.items()}


def _declare(study: Study) -> None:
    """Tell Hydra the study's settings: every knob at its default, its data sets and its spaces."""
    store = ConfigStore.instance()
    settings = _nested(study.knobs.declared())
    data = settings.pop("data", None)
    defaults: list[Any] = [
        "_self_",
        *([{"data": data["name"]}] if data else []),
        {"space": next(iter(default_first(study)))},
    ]
    place = {
        "results": os.environ.get("RAYSWEEP_RESULTS", "results"),
        **dict.fromkeys(("figure", "figures", "address")),
    }
    budget: dict[str, Any] = dict.fromkeys(entry.name for entry in fields(Budget))
    run = {"executor": "ray", "plan": False, "most_trials": MOST_TRIALS, "budget": budget}
    run["resources"] = asdict(study.resources)
    look = {"axes": dict.fromkeys(_declared(study)), **dict.fromkeys(SPACE_KEYS), "space_name": "???"}
    store.store("raysweep", {"defaults": defaults, **settings, **place, **run, **look})
    for name in DATA_SETS if data else ():
        store.store(name, {**data, "name": name, "path": None}, group="data")
    store.store(NO_SPACE, {"space_name": NO_SPACE}, group="space", package="_global_")
    for name, file in spaces(study).items():
        node = OmegaConf.create(file.read_text(encoding="utf-8"))
        store.store(name, OmegaConf.merge(node, {"space_name": name}), group="space", package="_global_")


def _declared(study: Study) -> dict[str, KnobField]:
    return {declared.name: declared for declared in study.knobs.declared()}


def _nested(declared: Sequence[KnobField]) -> dict[str, Any]:
    """Return the knobs' defaults as Hydra shows them: those of a nested field below its name."""
    nested: dict[str, Any] = {}
    for entry in declared:
        level = nested
        for part in entry.path[:-1]:
            level = level.setdefault(part, {})
        level[entry.path[-1]] = "???" if entry.required else entry.default
    return nested


def _flattened(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{name}_")
        else:
            yield f"{prefix}{name}", value
