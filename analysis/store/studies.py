"""Studies: which folders of a root are studies, and which a user or a system has left beside them."""

from __future__ import annotations

from analysis.store.declarations import stored_schemas
from analysis.store.errors import StoreError
from analysis.store.parallel import in_parallel
from analysis.store.schema import is_name
from analysis.store.snapshot import files
from analysis.store.storage import Storage


def stored_studies(storage: Storage) -> list[str]:
    """Return the names of the studies below a root; other folders, and copies of a study under another name, are none.

    One that is damaged is among them, so that whoever asks for it hears of it.
    """
    names = [name for name in storage.folders() if is_name(name)]
    chosen = in_parallel(lambda name: _is_study(storage, name), names)
    return [name for name, is_study in zip(names, chosen, strict=True) if is_study]


def _is_study(storage: Storage, name: str) -> bool:
    try:
        declared = stored_schemas(storage, name).values()
        if declared:
            return any(schema.study == name for schema in declared)
        found = files(storage, name)
    except StoreError:
        return True
    return bool(found.parts or found.packs)  # whose declarations are lost
