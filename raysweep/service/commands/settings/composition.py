"""Composition: a study's settings, its space and the overrides, put together by Hydra into plain values.

What is no setting is refused, wherever it was written and however deep.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from hydra import compose, initialize
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from analysis.store.storage import default_root
from raysweep.service.commands.settings.hydra_state import apart_from_the_program
from raysweep.service.commands.settings.overrides import Override
from raysweep.service.commands.settings.spaces import AskedSpace, asked_space, default_first
from raysweep.service.driver.budget import Budget
from raysweep.service.errors import UsageError
from raysweep.service.study import Study
from search_spaces.core.space import spoken_of
from trials.core.columns import KnobField
from trials.core.data.records import DATA_SETS
from trials.core.suggestions import suggestion

SPACE_KEYS = ("linked", "computed", "union", "search", "boundary")
"""What a space may say beside its axes; see `search_spaces.core.space`, which knows what is in them."""
MOST_TRIALS = 1_000_000
"""A larger space is run only where `most_trials` says that it is meant."""
REQUIRED = "???"
"""Value of a knob without default that was given none."""


def composed(study: Study, overrides: Sequence[Override]) -> dict[str, Any]:
    """Return every setting of a study: its default, what the space says, and what the overrides say.

    The name of the space is one more, `space_name`.

    Raises:
        UsageError: A name is no setting, a group of settings is given one value, or the space cannot be read.
    """
    settings = _defaults(study)
    for override in overrides:
        if override.key.partition(".")[0] not in (*settings, "space"):
            raise UsageError(_unknown(override.key, settings))
        if override.key not in ("space", "data"):
            _refuse_unknown(study, override.nested(), settings)
    asked = next((str(override.read()) for override in overrides if override.key == "space"), default_first(study)[0])
    space = asked_space(study, asked)
    try:
        with apart_from_the_program(), initialize(version_base="1.3", config_path=None):
            _declare(settings, space)
            told = [_told(override) for override in overrides if override.key != "space"]
            config = OmegaConf.to_container(compose("raysweep", told), resolve=True)
    except OverrideParseException as error:
        raise UsageError(f"cannot read {error.override!r}: {str(error).splitlines()[0]}") from None
    except (HydraException, OmegaConfBaseException) as error:
        raise UsageError(_refusal(settings, error)) from None
    found = _named(config)
    _refuse_unknown(study, found, settings, f"space={space.name}: ")
    _refuse_two_values(found, space, {column for override in overrides for column in override.spoken_of})
    return {**found, "space_name": space.name}


def _told(override: Override) -> str:
    """Return an override for Hydra; what planners look for need not stand in the space already."""
    added = override.key.partition(".")[0] in SPACE_KEYS
    return f"{'++' if added else ''}{override.key}={override.value}"


def _defaults(study: Study) -> dict[str, Any]:
    """Return all settings at their defaults, those of a group below its name."""
    declared = study.knobs.declared()
    settings = _nested(declared)
    if "data" in settings:
        settings["data"]["path"] = None
    place = {"results": default_root(), **dict.fromkeys(("figure", "figures", "address"))}
    budget = dict.fromkeys(entry.name for entry in fields(Budget))
    run = {"executor": "ray", "plan": False, "most_trials": MOST_TRIALS, "budget": budget}
    run |= {"rerun": False, "reuse": "ask", "resources": asdict(study.resources)}
    look = {"axes": dict.fromkeys(entry.name for entry in declared), **dict.fromkeys(SPACE_KEYS)}
    return {**settings, **place, **run, **look}


def _nested(declared: Sequence[KnobField]) -> dict[str, Any]:
    """Return the knobs' defaults as Hydra shows them: those of a nested field below its name."""
    nested: dict[str, Any] = {}
    for entry in declared:
        level = nested
        for part in entry.path[:-1]:
            level = level.setdefault(part, {})
        level[entry.path[-1]] = REQUIRED if entry.required else entry.default
    return nested


def _declare(settings: Mapping[str, Any], space: AskedSpace) -> None:
    """Tell Hydra the settings, the data sets and the space that is asked for, with those that it inherits from."""
    store = ConfigStore.instance()
    data = settings.get("data")
    defaults: list[Any] = ["_self_", *([{"data": data["name"]}] if data else []), {"space": space.option}]
    plain = {name: value for name, value in settings.items() if name != "data"}
    # A root from the environment is text, whatever it looks like.
    plain["results"] = plain["results"].replace("${", "\\${")
    store.store("raysweep", {"defaults": defaults, **plain})
    for name in DATA_SETS:
        store.store(name, {**(data or {}), "name": name}, group="data")
    for name, node in space.written.items():
        store.store(name, node, group="space", package="_global_")


def _named(config: Any) -> Any:
    """Return a configuration whose keys are text, which YAML does not ask for."""
    return {str(name): _named(value) for name, value in config.items()} if isinstance(config, Mapping) else config


def _refuse_unknown(study: Study, found: Mapping[str, Any], settings: Mapping[str, Any], place: str = "") -> None:
    """Raise a UsageError for what is no setting or has not a setting's form; `place` says who has it."""
    for path, wrong_form in _problems(found, settings):
        column = path.replace(".", "_")
        renamed = study.knobs.unknown(column) if column in study.knobs.renamed() else ""
        raise UsageError(f"{place}{wrong_form or renamed or _unknown(path, settings)}")


def _refuse_two_values(found: Mapping[str, Any], space: AskedSpace, given: Collection[str]) -> None:
    """Raise a UsageError where a space, or one that it inherits from, gives a knob a value that another part hides.

    What is given on the command line goes before whatever the space says.
    """
    looked = {
        key: found[key] for key in ("axes", *SPACE_KEYS) if key != "union"
    }  # a part of one may vary what others fix
    looked["axes"] = {name: values for name, values in found["axes"].items() if values is not None}
    varied = set(spoken_of(looked)) - set(given)
    for node in space.written.values():
        written = _named(OmegaConf.to_container(node))
        for path in _paths({key: value for key, value in written.items() if key not in looked}):
            if (column := path.replace(".", "_")) in varied:
                advice = f"keep one (`axes: {{{column}: null}}` takes an inherited axis away)"
                raise UsageError(f"space={space.name}: {path} has one value and is varied as well; {advice}")


def _problems(found: Mapping[str, Any], settings: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, str]]:
    """Yield what is no setting, with nothing to say of it, and what is of another form than `settings` has."""
    for name, value in found.items():
        path = f"{place}{name}"
        if name not in settings:
            yield path, ""
        elif path in SPACE_KEYS:
            continue  # planners know their own
        elif not isinstance(settings[name], Mapping):
            if isinstance(value, Mapping | list):
                yield path, f"{path} is one value, got {value}; several values of a knob are an axis: axes.{path}"
        elif not isinstance(value, Mapping):
            yield path, f"{path} is a group of settings, got {value!r}; write {path}.{next(iter(settings[name]))}=..."
        elif path != "axes":  # an axis that is no knob may serve a formula
            yield from _problems(value, settings[name], f"{path}.")


def _unknown(name: str, settings: Mapping[str, Any]) -> str:
    of_axes = name.startswith("axes.")
    known = [f"axes.{knob}" for knob in settings["axes"]] if of_axes else [*_paths({**settings, "axes": ""}), "space"]
    return f"unknown setting {name!r}; {suggestion(name, known)}"


def _paths(settings: Mapping[str, Any], place: str = "") -> Iterator[str]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _paths(value, f"{place}{name}.")
        else:
            yield f"{place}{name}"


def _refusal(settings: Mapping[str, Any], error: Exception) -> str:
    """Return Hydra's message in one line that says what is allowed."""
    missing = re.search(r"Could not (?:override|find) '([^']+)'", str(error))
    if not missing:
        return next(line.strip() for line in str(error).splitlines() if line.strip())
    group, slash, name = missing[1].partition("/")
    if slash and group == "data":
        return f"data={name} is unknown; {suggestion(name, DATA_SETS)}"
    return _unknown(missing[1], settings)
