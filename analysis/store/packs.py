"""Packs: a finished group of trials as the two tables and the name under which they enter the store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from analysis.store import layout
from analysis.store.common_columns import OUTCOMES, TIME
from analysis.store.errors import CorruptedPart, KeyAbsent
from analysis.store.parquet import decoded, encoded_pack
from analysis.store.schema import StudySchema
from analysis.store.storage import Storage

Row = Mapping[str, Any]

_REQUIRED = ("trial_id", "seed", "outcome")


@dataclass(frozen=True)
class Pack:
    """The rows of a few trials that become visible together.

    Attributes:
        name: Depends on ids, outcomes, numbers of reruns and measured rows alone, so that the same work done twice has
            one name.
    """

    name: str
    trials: pa.Table
    measurements: pa.Table


def packed(schema: StudySchema, trials: Sequence[Row], measurements: Mapping[str, Sequence[Row]]) -> Pack:
    """Return the pack of `trials` and their rows, checked against `schema`.

    Raises:
        ValueError: A row has an undeclared column, a value of another type, or lacks what every trial has.
    """
    ordered = sorted(trials, key=lambda row: str(row.get("trial_id")))
    identities = [str(row.get("trial_id")) for row in ordered]
    if not ordered or len(set(identities)) < len(identities):
        raise ValueError(f"a pack needs trials with distinct trial_id, got {identities}")
    strangers = set(measurements) - set(identities)
    if strangers:
        raise ValueError(f"measurements of {sorted(strangers)} have no row in trials")
    rows = [row for name in identities for row in measurements.get(name, ())]
    owners = [name for name in identities for _ in measurements.get(name, ())]
    complete = [_completed(schema, row, len(measurements.get(row["trial_id"], ()))) for row in ordered]
    trials_table = _table(complete, schema.trials_schema(), [row["trial_id"] for row in complete])
    measurements_table = _table(rows, schema.measurements_schema(), owners)
    return Pack(_name(complete, measurements_table), trials_table, measurements_table)


def stored(storage: Storage, study: str, pack: Pack) -> None:
    """Put `pack` into the inbox; the second file makes its trials finished.

    A file that exists has equal rows, since its name says so: leaving it is success. That covers both a rival's work
    and our own put whose answer was lost.
    """
    measurements_key = layout.pack_measurements(study, pack.name)
    measurements = encoded_pack(pack.measurements, without_nulls=False)
    created = _stored(storage, measurements_key, measurements)
    # Of what a trial has, many columns are empty in all of them, and a reader of many packs spends its time on columns.
    trials = encoded_pack(pack.trials, without_nulls=True)
    _stored(storage, layout.pack_trials(study, pack.name), trials)
    # Between our refusal and now a compactor may have settled the rival's pack and removed its files.
    if not created and not storage.exists(measurements_key):
        _stored(storage, measurements_key, measurements)


def _stored(storage: Storage, key: str, content: bytes) -> bool:
    created = storage.create(key, content)
    if not created:
        _mended(storage, key, content)
    return created


def _mended(storage: Storage, key: str, content: bytes) -> None:
    """Replace what stands in our place if it is damaged: it would make a finished trial unreadable."""
    try:
        decoded(storage.read(key), key)
    except CorruptedPart:
        storage.replace(key, content)
    except KeyAbsent:
        storage.create(key, content)


def _completed(schema: StudySchema, row: Row, recorded: int) -> dict[str, Any]:
    """Return `row` with what the store itself knows."""
    known = {"study": schema.study, "revision": schema.revision, "steps_recorded": recorded}
    for name, value in known.items():
        if row.get(name, value) != value:
            raise ValueError(f"trial {row['trial_id']}: {name} is {row[name]!r}, expected {value!r}")
    knobs = {column.name: column.default for column in schema.knobs if column.default is not None}
    complete = {**knobs, **row, **known}
    required = {*_REQUIRED, *(column.name for column in schema.knobs)}
    absent = sorted(name for name in required if complete.get(name) is None)
    if absent:
        raise ValueError(f"trial {row['trial_id']} lacks {', '.join(absent)}")
    if complete["outcome"] not in OUTCOMES:
        raise ValueError(f"outcome {complete['outcome']!r} is not one of {', '.join(OUTCOMES)}")
    return complete


def _table(rows: Sequence[Row], schema: pa.Schema, owners: Sequence[str]) -> pa.Table:
    """Return `rows` as a table, its trial_id from `owners`: to which trial each row belongs."""
    present = set().union(*rows)
    undeclared = sorted(present.difference(schema.names))
    if undeclared:
        raise ValueError(f"undeclared columns {', '.join(undeclared)}; the schema has {', '.join(schema.names)}")

    def column(field: pa.Field) -> pa.Array:
        if field.name == "trial_id":
            return _array(owners, field)
        if field.name not in present:
            return pa.nulls(len(rows), field.type)
        return _array([row.get(field.name) for row in rows], field)

    return pa.Table.from_arrays([column(field) for field in schema], schema=schema)


def _array(values: Sequence[Any], field: pa.Field) -> pa.Array:
    """Return an Arrow array; unlike Arrow's own conversion it takes no bool for a number and no text for a time."""
    kind = field.type
    exact, check = _CHECKS[kind.id]
    if exact.issuperset(map(type, values)):
        try:
            return pa.array(values, kind)  # many times faster than a look at each value
        except UnicodeEncodeError:
            pass
    return pa.array([None if value is None else check(field.name, value) for value in values], kind)


def _exactly(kind: type) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        value = value.item() if isinstance(value, np.generic) else value
        if type(value) is int and kind is float:
            return float(value)
        if isinstance(value, str) and kind is str:
            return value.encode(errors="replace").decode()  # a traceback may hold half a character
        if type(value) is not kind:
            raise ValueError(f"{name} must be {kind.__name__} or None, got {value!r}")
        return value

    return check


def _moment(name: str, value: Any) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(f"{name} must be a datetime with a time zone, got {value!r}")
    return value.astimezone(UTC)


# By Arrow's number of a type, which is found faster than the type: what may pass unseen, and what looks at the rest.
_CHECKS: dict[int, tuple[set[type], Callable[[str, Any], Any]]] = {
    pa.bool_().id: ({bool, type(None)}, _exactly(bool)),
    pa.int64().id: ({int, type(None)}, _exactly(int)),
    pa.float64().id: ({float, type(None)}, _exactly(float)),
    pa.string().id: ({str, type(None)}, _exactly(str)),
    TIME.id: ({type(None)}, _moment),
}


def _name(trials: Sequence[Row], measurements: pa.Table) -> str:
    digest = hashlib.sha256()
    for row in trials:
        again = f":{row['rerun']}" if row.get("rerun") else ""
        digest.update(f"{row['trial_id']}:{row['outcome']}{again};".encode())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, measurements.schema.remove_metadata()) as stream:
        stream.write_table(measurements.replace_schema_metadata(None))
    digest.update(sink.getvalue())
    return digest.hexdigest()[:32]
