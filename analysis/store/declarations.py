"""Declarations: schemas under which a study was ever written, and modules that its trials ran, beside its rows."""

from __future__ import annotations

import json
from collections.abc import Mapping

from analysis.store import layout
from analysis.store.errors import CorruptedPart, KeyAbsent, StoreError
from analysis.store.parallel import in_parallel
from analysis.store.schema import StudySchema, checked_name, refuse_type_changes
from analysis.store.storage import Storage


def declare(storage: Storage, schema: StudySchema) -> None:
    """Store `schema` under its own hash: two writers at once never overwrite each other's.

    Raises:
        SchemaConflict: A column contradicts what is stored under the same revision.
    """
    stored = stored_schemas(storage, schema.study)
    name = f"{schema.revision:06d}-{schema.fingerprint()}.json"
    if name not in stored:
        refuse_type_changes(schema, stored.values())
        storage.create(f"{layout.schemas(schema.study)}/{name}", schema.to_json().encode())


def stored_schemas(storage: Storage, study: str) -> dict[str, StudySchema]:
    """Return every declaration of a study by file name."""
    names = [name for name in storage.listing(layout.schemas(study)) if layout.is_schema(name)]
    return dict(zip(names, in_parallel(lambda name: _read(storage, study, name), names), strict=True))


def stored_studies(storage: Storage) -> list[str]:
    """Return the names of the studies below a root; other folders, and copies of a study under another name, are none.

    One that is damaged is among them, so that whoever asks for it hears of it.
    """
    names = storage.folders()
    chosen = in_parallel(lambda name: _is_study(storage, name), names)
    return [name for name, is_study in zip(names, chosen, strict=True) if is_study]


def _is_study(storage: Storage, name: str) -> bool:
    try:
        checked_name(name, "study")
    except ValueError:
        return False
    try:
        declared = stored_schemas(storage, name).values()
        if declared:
            return any(schema.study == name for schema in declared)
        parts, inbox = storage.listing(f"{name}/trials"), storage.listing(layout.inbox(name))
    except (StoreError, KeyAbsent):
        return True
    # Its declarations are lost.
    return any(layout.part_number(part) is not None for part in parts) or any(
        layout.is_pack_file(file) for file in inbox
    )


def _read(storage: Storage, study: str, name: str) -> StudySchema:
    key = f"{layout.schemas(study)}/{name}"
    try:
        return StudySchema.from_json(storage.read(key).to_pybytes().decode())
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptedPart(f"{key} is no readable schema ({type(error).__name__}); restore it") from error


def declare_code(storage: Storage, study: str, code_hash: str, modules: Mapping[str, str]) -> None:
    """Store which modules, each with the hash of its code, a hash of code stands for."""
    key = layout.code(study, code_hash)
    if not storage.exists(key):
        storage.create(key, json.dumps(dict(modules), sort_keys=True).encode())


def declared_code(storage: Storage, study: str, code_hash: str) -> dict[str, str] | None:
    """Return the modules that a hash of code stands for, each with the hash of its code; None where nobody said."""
    try:
        modules: dict[str, str] = json.loads(storage.read(layout.code(study, code_hash)).to_pybytes())
    except (KeyAbsent, ValueError):
        return None
    return modules
