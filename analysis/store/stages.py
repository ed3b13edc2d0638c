"""Stages: arrays that trials share, kept under the fingerprint of the knobs that made them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.store import layout
from analysis.store.errors import CorruptedPart, KeyAbsent
from analysis.store.storage import Storage, stored_first

Arrays = Mapping[str, np.ndarray[Any, Any]]

_UNKNOWN = "pointer"
"""Name of the pointer of a stage of unknown origin."""
_POINTER = ".json"


@dataclass(frozen=True)
class Stage:
    """A stored artefact.

    Attributes:
        arrays: Arrays by name.
        metadata: What its writer said about it, JSON-like.
    """

    arrays: dict[str, np.ndarray[Any, Any]]
    metadata: dict[str, Any]


def read_stage(storage: Storage, study: str, fingerprint: str, origin: str = "") -> Stage | None:
    """Return the stage of `fingerprint` and an origin, or None if nobody has written it to its end.

    Args:
        storage: Where it lies.
        study: Name of the study.
        fingerprint: Of what is computed.
        origin: Fingerprint of the code and the data that it came of; empty where nobody wrote it down.

    Raises:
        CorruptedPart: Its bytes are not those that were written.
    """
    from safetensors.numpy import load

    folder = layout.stage(study, fingerprint)
    key = f"{folder}/{origin or _UNKNOWN}{_POINTER}"
    try:
        pointer = json.loads(storage.read(key).to_pybytes())
    except KeyAbsent:
        return None
    except ValueError as error:
        raise CorruptedPart(f"{key} is no JSON; remove it to compute the stage again") from error
    return Stage(load(_verified(storage, folder, pointer)), pointer["metadata"])


def stage_origins(storage: Storage, study: str, fingerprint: str) -> list[str]:
    """Return the origins of which a stage has been written; "" for one that nobody wrote down."""
    names = [
        name.removesuffix(_POINTER)
        for name in storage.listing(layout.stage(study, fingerprint))
        if layout.is_token(name) and name.endswith(_POINTER)
    ]
    return ["" if name == _UNKNOWN else name for name in names]


def write_stage(
    storage: Storage, study: str, fingerprint: str, arrays: Arrays, metadata: Mapping[str, Any], origin: str = ""
) -> bool:
    """Store a stage; return False and leave the first one where another has been written meanwhile.

    The arrays lie under the hash of their bytes, so that two writers never mix; the pointer makes one of them count.
    """
    from safetensors.numpy import save

    folder = layout.stage(study, fingerprint)
    content = save({name: np.array(arrays[name], order="C") for name in sorted(arrays)})
    digest = hashlib.sha256(content).hexdigest()
    name = f"{digest[:32]}.safetensors"
    pointer = {"arrays": name, "sha256": digest, "metadata": dict(metadata)}
    text = json.dumps(pointer, sort_keys=True).encode()
    key = f"{folder}/{origin or _UNKNOWN}{_POINTER}"
    if storage.exists(key):
        return False
    storage.create(f"{folder}/{name}", content)
    return stored_first(storage, key, text)


def _verified(storage: Storage, folder: str, pointer: Mapping[str, Any]) -> bytes:
    key = f"{folder}/{pointer['arrays']}"
    try:
        content: bytes = storage.read(key).to_pybytes()
    except KeyAbsent as absent:
        raise CorruptedPart(f"{key} is missing; remove {folder} to compute the stage again") from absent
    if hashlib.sha256(content).hexdigest() != pointer["sha256"]:
        raise CorruptedPart(f"{key} has other bytes than were written; remove {folder} to compute the stage again")
    return content
