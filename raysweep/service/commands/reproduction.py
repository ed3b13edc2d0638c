"""The command that repeats one trial, from what the store knows of it."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from analysis.store.schema import StudySchema
from analysis.store.sweeps import Sweep
from trials.core.values import Scalar

_PLAIN = re.compile(r"(?!(?:null|true|false|inf|nan)$)[a-z_/][\w/.-]*", flags=re.IGNORECASE)
_DATA_PATH = "data.path"


def repeating(
    schema: StudySchema,
    knobs: Mapping[str, Any],
    *,
    results: str,
    data_path: str | None = None,
    module: str = "",
    again: bool = True,
) -> str:
    """Return the command that runs one trial in its own process, with the knobs that are not at their default.

    Args:
        schema: The columns of its study.
        knobs: Its knobs by column; null where the trial is older than the knob.
        results: Root of the store.
        data_path: Where its data lie, None for their own place.
        module: The study's module, `raysweep.NAME` if none is given.
        again: Whether the trial is stored and would be found finished.
    """
    given = [
        f"{column.path or column.name}={written(knobs[column.name])}"
        for column in schema.knobs
        if column.name != "data_name" and knobs.get(column.name) not in (None, column.default)
    ]
    data = [f"data={knobs['data_name']}"] if knobs.get("data_name") else []
    data += [f"{_DATA_PATH}={written(data_path)}"] if data_path else []
    place = [] if results == os.environ.get("RAYSWEEP_RESULTS", "results") else [f"results={written(results)}"]
    command = ["python", "-m", module or f"raysweep.{schema.study}", "space=none", *data, *given, "executor=serial"]
    return shlex.join([*command, *place, *(["--rerun"] if again else [])])


def repeating_stored(schema: StudySchema, row: Mapping[str, Any], sweeps: Iterable[Sweep], results: str) -> str:
    """Return the command that repeats a stored trial, given its row and the sweeps of its study.

    Where its data lie is known from the last sweep that planned it.
    """
    stored = json.loads(row["knobs_json"]) if row["knobs_json"] else row
    knobs = {column.name: stored.get(column.name, row[column.name]) for column in schema.knobs}
    planned = [sweep.document for sweep in sweeps if row["trial_id"] in sweep.trial_ids]
    last = max(planned, key=lambda document: str(document.get("started_at", "")), default={})
    command = _words(last)
    module = command[2] if command[:2] == ["python", "-m"] and len(command) > 2 else ""
    return repeating(schema, knobs, results=results, data_path=_data_path(last, command), module=module)


def written(value: Scalar) -> str:
    """Return a value as an override: text that Hydra would take for something else is quoted."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str) or _PLAIN.fullmatch(value):
        return str(value)
    escaped = re.sub(r"(\\*)('|\$\{|$)", _escaped, value)
    return f"'{escaped}'"


def _escaped(found: re.Match[str]) -> str:
    """Return what ends or opens something in Hydra's quotes with a backslash before it, and those before it doubled."""
    return found[1] * 2 + (f"\\{found[2]}" if found[2] else "")


def _words(document: Mapping[str, Any]) -> Sequence[str]:
    try:
        return shlex.split(str(document.get("command", "")))
    except ValueError:
        return ()


def _data_path(document: Mapping[str, Any], command: Sequence[str]) -> str | None:
    if "data_path" in document:
        path = document["data_path"]
        return None if path is None else str(path)
    typed = [word.partition("=")[2] for word in command if word.partition("=")[0] == _DATA_PATH]
    return typed[-1].strip("'\"") if typed else None
