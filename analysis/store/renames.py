"""Renames: knobs whose columns have another name, and perhaps another measure, than in older files and declarations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

FORMER: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "augmentation_ratio": {"aug_arm": "augmentation", "row_interval": "measurements_per_epoch"},
        "freeze_depth": {
            "optimiser": "optimizer",
            "rows_aug_arm": "rows_augmentation",
            "statistics_fixed": "keep_statistics",
        },
        "k_phase_diagram": {"inner_optimizer": "optimizer", "rows_aug_arm": "rows_augmentation"},
        "spurious_cat_dog": {"augmentation_arm": "augmentation", "rows_aug_arm": "rows_augmentation"},
    }
)
"""Study -> a knob's former column -> its column now. The knobs declare the same by `was`; a test holds them to it."""
RECIPROCAL: Mapping[str, frozenset[str]] = MappingProxyType({"augmentation_ratio": frozenset({"row_interval"})})
"""Study -> those of its former columns that held whole numbers n, of which the column now has 1/n."""


def former(study: str) -> Mapping[str, str]:
    """Return the former columns of a study's knobs, each with its name now."""
    return FORMER.get(study, {})


def value_now(study: str, name: str, value: Any) -> Any:
    """Return what a value under a former name is under the name of now; what is no value there stays."""
    return 1 / value if name in RECIPROCAL.get(study, ()) and type(value) is int and value > 0 else value


def entry_now(study: str, entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a knob's entry in a declaration as it is now: its name, its path on the command line, its measure."""
    before = entry["name"]
    now = former(study).get(before)
    if now is None:
        return entry
    fields, dot, _ = entry.get("path", "").rpartition(".")
    leaf = now.removeprefix(fields.replace(".", "_") + "_")
    entry = {**entry, "name": now, "path": f"{fields}{dot}{leaf}"}
    if before not in RECIPROCAL.get(study, ()):
        return entry
    default = value_now(study, before, entry["default"])
    return {**entry, "type": "float", "unit": "", "default": default, "meaning": f"1 / ({entry['meaning']})"}


def renamed(table: pa.Table, study: str) -> pa.Table:
    """Return a table of trials with its columns under their names of now."""
    names = former(study)
    if names.keys().isdisjoint(table.schema.names):
        return table
    for before in RECIPROCAL.get(study, frozenset()) & set(table.schema.names):
        table = _reciprocal(table, before)
    for before in names.keys() & set(table.schema.names):
        if names[before] in table.schema.names:
            table = _joined(table, before, names[before])
    return table.rename_columns([names.get(name, name) for name in table.schema.names])


def _reciprocal(table: pa.Table, name: str) -> pa.Table:
    """Return a table with one over a column of whole numbers, its default as well."""
    place, field = table.schema.get_field_index(name), table.schema.field(name)
    metadata = dict(field.metadata or {})
    if b"default" in metadata:
        metadata[b"default"] = json.dumps(1 / json.loads(metadata[b"default"])).encode()
    values = pc.divide(1.0, table.column(name).cast(pa.float64()))
    return table.set_column(place, pa.field(name, pa.float64(), metadata=metadata), values)


def _joined(table: pa.Table, before: str, now: str) -> pa.Table:
    """Return a table that has a knob under both names with one column of it.

    An older raysweep that compacts beside this one takes the two for two knobs, and gives each row, under the name that
    its writer did not know, the default.
    """
    field, column = table.schema.field(before), table.column(before)
    default = json.loads((field.metadata or {}).get(b"default", b"null"))
    unset = pc.is_null(column)
    if default is not None:
        unset = pc.or_(unset, pc.fill_null(pc.equal(column, pa.scalar(default, field.type)), False))
    values = pc.if_else(unset, table.column(now), column)
    place = table.schema.get_field_index(now)
    return table.set_column(place, table.schema.field(place), values).drop_columns([before])


def asked_for(columns: Iterable[str], study: str) -> list[str]:
    """Return columns with the former name of each that has one: a file has either, or both."""
    asked = list(columns)
    return [*asked, *(before for before, now in former(study).items() if now in asked)]


def told(study: str, names: Iterable[str]) -> str:
    """Return what to say of columns that a study does not have: what they are called now; empty if none is renamed."""
    measure = dict.fromkeys(RECIPROCAL.get(study, ()), ", with 1/n for what was n")
    names = [name for name in names if name in former(study)]
    return "; ".join(f"{name} is now called {former(study)[name]}{measure.get(name, '')}" for name in names)
