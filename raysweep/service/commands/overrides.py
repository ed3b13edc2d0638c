"""Overrides as researchers write them: what Hydra is told instead, and what is said of those that it refuses."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from raysweep.service.commands.spaces import NO_SPACE, spaces
from raysweep.service.errors import UsageError
from raysweep.service.study import Study
from trials.core.data.records import DATA_SETS
from trials.core.knobs import KnobField

_PLANNERS = ("search.", "boundary.")
_OF_KNOBS = ("axes.", "search.over.", "boundary.over.")


def translated(override: str, columns: Mapping[str, KnobField]) -> str:
    """Return the override with what Hydra would take for a multi-run written as an axis.

    `seed=range(5)`, `seed=[0,1]` and `width=64,128` become axes, for a knob is one value; expressions reach
    `search_spaces.core.axes` as text.
    """
    key, separator, value = override.partition("=")
    if not separator:
        raise UsageError(f"{override!r} is no override; write name=value, for example seed=1 (--help lists the names)")
    plain = key.lstrip("+~")
    _refuse_former(plain, columns)
    several = re.fullmatch(r"\w+\(.*\)", value) or ("," in value and value[:1] not in "[{'\"")
    if (several or re.fullmatch(r"\[.*\]", value)) and column_of(plain) in columns:
        key = f"axes.{column_of(plain)}"
    elif plain.startswith("axes."):
        key = f"axes.{column_of(plain.removeprefix('axes.'))}"
    if several and key.startswith("axes."):
        return f"{key}='{value}'"
    if plain.startswith(_PLANNERS):
        return f"++{plain}={value}"  # a planner's setting need not stand in the space; the planner knows its own
    return f"{key}={value}"


def _refuse_former(key: str, columns: Mapping[str, KnobField]) -> None:
    """Raise a UsageError for a setting that goes by the former name of a knob."""
    former = {declared.identity: declared for declared in columns.values() if declared.was}
    place = next((place for place in _OF_KNOBS if key.startswith(place)), "")
    written = key.removeprefix(place)
    if place.endswith("over."):
        name, dot, rest = written.partition(".")
    else:
        name, dot, rest = written.replace(".", "_"), "", ""
    if name in former:
        now = former[name].name if place else ".".join(former[name].path)
        raise UsageError(f"{key} is now called {place}{now}{dot}{rest}")


def column_of(path: str) -> str:
    """Return the column's name of a dotted path; of a path below `axes` the path itself."""
    return path if path.startswith("axes.") else path.replace(".", "_")


def refusal_of(study: Study, error: Exception) -> str:
    """Return Hydra's message in one line that says what is allowed."""
    first = next(line.strip() for line in str(error).splitlines() if line.strip())
    missing = re.search(r"Could not (?:override|find) '([^']+)'", str(error))
    if not missing:
        return first
    name = missing[1]
    if name.startswith("space/"):
        return (
            f"space={name.removeprefix('space/')} is unknown; {study.name} has {', '.join([*spaces(study), NO_SPACE])}"
        )
    if name.startswith("data/"):
        return f"data={name.removeprefix('data/')} is unknown; allowed are {', '.join(DATA_SETS)}"
    return f"unknown setting {name!r}; {_suggestion(study, name)}"


def _suggestion(study: Study, name: str) -> str:
    declared = study.knobs.declared()
    knobs = [".".join(entry.path) for entry in declared]
    places = [
        "space",
        "data.path",
        "results",
        "figure",
        "figures",
        "executor",
        "address",
        "plan",
        "rerun",
        "reuse",
        "most_trials",
        "resources.cpus",
        "resources.gpus",
    ]
    allowed = [*knobs, *places] if not name.startswith("axes.") else [f"axes.{entry.name}" for entry in declared]
    close = difflib.get_close_matches(name, allowed, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else f"allowed are {', '.join(allowed)}"
