"""Renames: knobs whose columns have another name now than in files and declarations that are older."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc

FORMER: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "augmentation_ratio": {"aug_arm": "augmentation"},
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


def former(study: str) -> Mapping[str, str]:
    """Return the former columns of a study's knobs, each with its name now."""
    return FORMER.get(study, {})


def renamed(table: pa.Table, study: str) -> pa.Table:
    """Return a table of trials with its columns under their names of now."""
    names = former(study)
    if names.keys().isdisjoint(table.schema.names):
        return table
    for before in names.keys() & set(table.schema.names):
        if names[before] in table.schema.names:
            table = _joined(table, before, names[before])
    return table.rename_columns([names.get(name, name) for name in table.schema.names])


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
    return "; ".join(f"{name} is now called {former(study)[name]}" for name in names if name in former(study))
