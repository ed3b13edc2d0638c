"""The command that repeats one trial, from what the store knows of it."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.store.schema import StudySchema
from analysis.store.storage import default_root, root_of
from analysis.store.sweeps import Sweep
from raysweep.service.commands.settings.keywords import as_override

_DATA_PATH = "data.path"


def repeating(
    schema: StudySchema,
    knobs: Mapping[str, Any],
    module: str,
    *,
    results: str,
    data_path: str | None = None,
    again: bool = True,
) -> str:
    """Return the command that runs one trial in its own process, with the knobs that are not at their default.

    Args:
        schema: The columns of its study.
        knobs: Its knobs by column; null where the trial is older than the knob.
        module: The study's module.
        results: Root of the store.
        data_path: Where its data lie, None for their own place.
        again: Whether the trial is stored and would be found finished.
    """
    place = _place(results)
    settings = {"space": "none", **_knobs(schema, knobs, data_path), "executor": "serial", **place}
    return _joined(module, settings, ["--rerun"] if again else [])


def with_seeds(
    schema: StudySchema,
    knobs: Mapping[str, Any],
    module: str,
    seeds: range,
    *,
    results: str,
    data_path: str | None = None,
) -> str:
    """Return the command that runs the training of one trial with other seeds; arguments as for `repeating`."""
    given = {name: value for name, value in _knobs(schema, knobs, data_path).items() if name != "seed"}
    settings = {"space": "none", **given, **_place(results)}
    return _joined(module, settings, [f"seed=range({seeds.start},{seeds.stop})"])


def _knobs(schema: StudySchema, knobs: Mapping[str, Any], data_path: str | None) -> dict[str, Any]:
    given = {
        column.path or column.name: knobs[column.name]
        for column in schema.knobs
        if column.name != "data_name" and knobs.get(column.name) not in (None, column.default)
    }
    data = {name: value for name, value in (("data", knobs.get("data_name")), (_DATA_PATH, data_path)) if value}
    return {**data, **given}


def _place(results: str) -> dict[str, str]:
    """Return where results are, unless a command finds them by itself."""
    return {} if results == root_of(default_root()) else {"results": results}


def _joined(module: str, settings: Mapping[str, Any], further: Sequence[str]) -> str:
    overrides = [as_override(name, value) for name, value in settings.items()]
    return shlex.join(["python", "-m", module, *overrides, *further])


def repeating_stored(schema: StudySchema, row: Mapping[str, Any], sweeps: Sequence[Sweep], results: str) -> str:
    """Return the command that repeats a stored trial, given its row and the sweeps of its study.

    Where its data lie is known from the last sweep that planned it.
    """
    stored = json.loads(row["knobs_json"]) if row["knobs_json"] else row
    knobs = {column.name: stored.get(column.name, row[column.name]) for column in schema.knobs}
    planned = [sweep.document for sweep in sweeps if row["trial_id"] in sweep.trial_ids]
    last = max(planned, key=lambda document: str(document.get("started_at", "")), default={})
    modules = [sweep.document["module"] for sweep in sweeps if sweep.document.get("module")]
    module = (modules or [f"raysweep.{schema.study}"])[-1]
    return repeating(schema, knobs, module, results=results, data_path=_data_path(last))


def _data_path(document: Mapping[str, Any]) -> str | None:
    """Return where the data of a sweep lay, as it has recorded it or, before it did, as its command says."""
    if "data_path" in document:
        return None if document["data_path"] is None else str(document["data_path"])
    with contextlib.suppress(ValueError):
        words = [word.partition("=") for word in shlex.split(str(document.get("command", "")))]
        return next((value.strip("'\"") for name, _, value in reversed(words) if name == _DATA_PATH), None)
    return None
