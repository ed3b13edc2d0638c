"""Schemas: the columns of a study's two tables, one frozen declaration a study and revision."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import pyarrow as pa

from analysis.store.common_columns import COMMON
from analysis.store.errors import SchemaConflict
from analysis.store.renames import entry_now

Value = bool | int | float | str | None

FINAL = "final_"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_ARROW = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
_TYPES = {"bool": bool, "int": int, "float": float, "str": str}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One declared column.

    Attributes:
        name: Lower-case name.
        type: One of bool, int, float and str.
        unit: Unit for axis labels; empty for pure numbers and names.
        meaning: One sentence.
        default: Value of a knob in trials older than the knob.
        path: How the command line names a knob, where not by `name`; no part of a table's schema.
        inner_axis: True for a measurement that places a row rather than measures; it gets no `final_` column.
    """

    name: str
    type: type
    unit: str = ""
    meaning: str = ""
    default: bool | int | float | str | None = None
    inner_axis: bool = False
    path: str = ""

    def __post_init__(self) -> None:
        checked_name(self.name, "column")
        if self.type not in _ARROW:
            raise ValueError(f"column {self.name} has type {self.type!r}; it must be one of bool, int, float, str")

    def field(self, prefix: str = "") -> pa.Field:
        """Return the Arrow field, its name behind `prefix`; only a column under its own name has a default."""
        metadata = {"unit": self.unit, "meaning": self.meaning}
        if self.default is not None and not prefix:
            metadata["default"] = json.dumps(self.default)
        return pa.field(prefix + self.name, _ARROW[self.type], metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class StudySchema:
    """The columns of one study at one revision.

    Attributes:
        study: Name of the study.
        revision: Revision of its recipe; a column may change its type only with it.
        knobs: A trial's knobs. A knob `seed` describes the common column of that name.
        measurements: Columns of a measured row besides `trial_id` and `step`, inner axes included.

    Raises:
        ValueError: A name is malformed or stands for two columns.
    """

    study: str
    revision: int
    knobs: tuple[Column, ...]
    measurements: tuple[Column, ...]

    def __post_init__(self) -> None:
        checked_name(self.study, "study")
        if type(self.revision) is not int or self.revision < 0:
            raise ValueError(f"revision must be a whole number of at least 0, got {self.revision!r}")
        _refuse_clashes(self)

    @property
    def knob_columns(self) -> tuple[Column, ...]:
        """The knobs that have a column of their own."""
        return tuple(column for column in self.knobs if column.name != "seed")

    def trials_schema(self) -> pa.Schema:
        """Return the Arrow schema of the trials: common columns, knobs, final measurements."""
        return _trials_schema(self)

    def measurements_schema(self) -> pa.Schema:
        """Return the Arrow schema of the measurements: trial_id, step, then the declared columns."""
        return _measurements_schema(self)

    def to_json(self) -> str:
        """Return the declaration as canonical JSON."""
        document = asdict(self)
        for column in (*document["knobs"], *document["measurements"]):
            column["type"] = column["type"].__name__
        return json.dumps(document, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> StudySchema:
        """Read what `to_json` wrote, with knobs that were renamed since under their names of now."""
        document = json.loads(text)
        knobs = (entry_now(document["study"], entry) for entry in document["knobs"])
        document["knobs"] = tuple(_column(entry) for entry in knobs)
        document["measurements"] = tuple(_column(entry) for entry in document["measurements"])
        return cls(**document)

    def fingerprint(self) -> str:
        """Return the hash of the declaration and of the columns that every study has.

        A store that has yet to meet a column that came to these is told of it by a declaration under a new name.
        """
        return hashlib.sha256("\n".join([self.to_json(), *COMMON]).encode()).hexdigest()[:16]

    def _metadata(self) -> dict[str, str]:
        return {"raysweep_format": "1", "study": self.study, "revision": str(self.revision)}


def checked_name(name: str, what: str) -> str:
    """Return `name` if every reader of the store can use it as a column, table or folder.

    Raises:
        ValueError: It is anything but lower-case letters, digits and underscores after a letter.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"{what} name {name!r} must be lower-case letters, digits and underscores, a letter first")
    return name


def unified(schemas: Iterable[StudySchema]) -> StudySchema:
    """Return one schema that holds the rows of all `schemas`.

    Columns keep the order in which revisions brought them; where types differ, whole numbers widen to floats and
    everything else to text. Of two defaults the older counts, since trials without the column are older still.
    """
    ordered = sorted(schemas, key=lambda schema: (schema.revision, len(schema.knobs), schema.fingerprint()))
    return StudySchema(
        study=ordered[-1].study,
        revision=ordered[-1].revision,
        knobs=_merged(schema.knobs for schema in ordered),
        measurements=_merged(schema.measurements for schema in ordered),
    )


def refuse_type_changes(declared: StudySchema, stored: Collection[StudySchema]) -> None:
    """Compare a declaration with what is stored under the same revision.

    Raises:
        SchemaConflict: A column has another type there, or a name has changed from knob to measurement.
    """
    for other in stored:
        if other.revision != declared.revision:
            continue
        for part in ("knobs", "measurements"):
            _refuse_type_change(declared, getattr(declared, part), getattr(other, part))
    try:
        unified([declared, *stored])
    except ValueError as error:
        raise SchemaConflict(f"{error}; an older declaration of the study has it as the other") from error


def _refuse_type_change(schema: StudySchema, declared: tuple[Column, ...], stored: tuple[Column, ...]) -> None:
    types = {column.name: column.type for column in stored}
    for column in declared:
        before = types.get(column.name, column.type)
        if before is not column.type:
            raise SchemaConflict(
                f"{schema.study}: column {column.name} is stored as {before.__name__} at revision {schema.revision} "
                f"and now declared as {column.type.__name__}; keep the type or bump the study's revision"
            )


def _merged(parts: Iterable[tuple[Column, ...]]) -> tuple[Column, ...]:
    columns: dict[str, Column] = {}
    for part in parts:
        for column in part:
            first = columns.get(column.name)
            columns[column.name] = column if first is None else _joined(first, column)
    return tuple(columns.values())


def _joined(first: Column, later: Column) -> Column:
    default = later.default if first.default is None else first.default
    return replace(later, type=_wider(first.type, later.type), default=default)


def _wider(first: type, second: type) -> type:
    if first is second:
        return first
    return float if {first, second} == {int, float} else str


@functools.lru_cache(maxsize=64)  # every pack and every read asks
def _trials_schema(schema: StudySchema) -> pa.Schema:
    common = [
        pa.field(name, kind, metadata={"unit": unit, "meaning": meaning})
        for name, (kind, unit, meaning) in COMMON.items()
    ]
    knobs = [column.field() for column in schema.knob_columns]
    finals = [column.field(FINAL) for column in schema.measurements if not column.inner_axis]
    return pa.schema(common + knobs + finals, metadata=schema._metadata())


@functools.lru_cache(maxsize=64)  # every pack and every read asks
def _measurements_schema(schema: StudySchema) -> pa.Schema:
    trial_id = pa.field("trial_id", pa.string(), metadata={"unit": "", "meaning": COMMON["trial_id"][2]})
    step = pa.field("step", pa.int64(), metadata={"unit": "steps", "meaning": "optimizer steps taken"})
    fields = [trial_id, step, *(column.field() for column in schema.measurements)]
    return pa.schema(fields, metadata=schema._metadata())


def _column(entry: Mapping[str, Any]) -> Column:
    return Column(**{**entry, "type": _TYPES[entry["type"]]})


def _refuse_clashes(schema: StudySchema) -> None:
    """Refuse names that stand for two columns of the trials, or of measurements joined with knobs."""
    seeds = [column for column in schema.knobs if column.name == "seed"]
    if any(column.type is not int for column in seeds):
        raise ValueError(f"{schema.study}: knob seed must be int")
    finals = [FINAL + column.name for column in schema.measurements]
    _refuse_doubles(schema.study, [*COMMON, *(column.name for column in schema.knob_columns), *finals])
    joined = ["trial_id", "step", "outcome", "seed", *(column.name for column in schema.knob_columns)]
    _refuse_doubles(schema.study, [*joined, *(column.name for column in schema.measurements)])


def _refuse_doubles(study: str, names: list[str]) -> None:
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ValueError(f"{study}: {', '.join(doubled)} would name two columns; rename the knob or measurement")
