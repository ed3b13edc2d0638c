"""Checkpoints: how far a trial has come, so that one that is broken off goes on elsewhere.

A checkpoint only saves time: one that is missing or cannot be read means starting over, never a wrong row.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.store import layout
from analysis.store.errors import KeyAbsent, StoreWarning
from analysis.store.storage import Storage

_HEADER_LENGTH_BYTES = 8
_FIRST_LAYOUT = 1
_START_BYTES = 65_536  # holds most headers, so that one request tells how far a checkpoint is


@dataclass(frozen=True)
class Checkpoint:
    """A trial's state at the beginning of a step.

    Attributes:
        step: The step that comes next.
        arrays: The recipe's state by name.
        rows: The rows yielded so far.
        seconds: Time spent so far.
        layout: Number of what names and shapes of arrays mean to who wrote them; 1 where none was written.
        code_hash: Hash of the modules that had run, empty where it was not written.
        data_hash: Fingerprint of the data that had been read, empty for none.
        rerun: How many times the trial was being computed anew.
    """

    step: int
    arrays: Mapping[str, np.ndarray[Any, Any]]
    rows: Sequence[Mapping[str, Any]]
    seconds: float
    layout: int = _FIRST_LAYOUT
    code_hash: str = ""
    data_hash: str = ""
    rerun: int = 0


@dataclass(frozen=True)
class Reached:
    """How far a checkpoint is and where it comes from: fields as of `Checkpoint`, without arrays and rows."""

    step: int
    seconds: float
    layout: int
    code_hash: str = ""
    rerun: int = 0


class Checkpoints:
    """The checkpoints of one study, at most one a trial, each one object that is replaced as a whole."""

    def __init__(self, storage: Storage, study: str) -> None:
        self._storage = storage
        self._study = study

    def ids(self) -> set[str]:
        """Return the ids of the trials that have left a checkpoint."""
        names = self._storage.listing(layout.checkpoints(self._study))
        return {name.removesuffix(layout.CHECKPOINT) for name in names if name.endswith(layout.CHECKPOINT)}

    def read(self, trial_id: str) -> Checkpoint | None:
        """Return a trial's checkpoint, or None if there is none to be read."""
        key = layout.checkpoint(self._study, trial_id)
        try:
            return _decoded(self._storage.read(key).to_pybytes())
        except KeyAbsent:
            return None
        except (ValueError, KeyError) as error:
            warnings.warn(f"{key} is no checkpoint ({error}); the trial starts over", StoreWarning, stacklevel=2)
            return None

    def reached(self, trial_id: str) -> Reached | None:
        """Return how far a trial's checkpoint is, without its arrays, or None if there is none to be read."""
        key = layout.checkpoint(self._study, trial_id)
        try:
            start = self._storage.read(key, _START_BYTES).to_pybytes()
            if (length := _header_end(start)) > len(start):
                start = self._storage.read(key, length).to_pybytes()
            progress = _progress(start)
            origin = {name: progress[name] for name in ("code_hash", "rerun") if name in progress}
            return Reached(progress["step"], progress["seconds"], progress.get("layout", _FIRST_LAYOUT), **origin)
        except (KeyAbsent, ValueError, KeyError):
            return None

    def write(self, trial_id: str, checkpoint: Checkpoint) -> None:
        """Store a trial's checkpoint in the place of its last one."""
        self._storage.replace(layout.checkpoint(self._study, trial_id), _encoded(checkpoint))

    def delete(self, trial_id: str) -> None:
        """Remove a trial's checkpoint, if there is one."""
        self._storage.delete(layout.checkpoint(self._study, trial_id))


def _encoded(checkpoint: Checkpoint) -> bytes:
    from safetensors.numpy import save

    progress = {
        "step": checkpoint.step,
        "rows": list(checkpoint.rows),
        "seconds": checkpoint.seconds,
        "layout": checkpoint.layout,
        "code_hash": checkpoint.code_hash,
        "data_hash": checkpoint.data_hash,
        "rerun": checkpoint.rerun,
        "names": list(checkpoint.arrays),  # in the order given, which the format does not keep
    }
    arrays = {name: np.array(array, order="C") for name, array in checkpoint.arrays.items()}
    return save(arrays, metadata={"progress": json.dumps(progress)})


def _decoded(content: bytes) -> Checkpoint:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(content)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    progress = _progress(content)
    in_order = {name: arrays[name] for name in progress["names"]}
    layout = progress.get("layout", _FIRST_LAYOUT)
    origin = {name: progress[name] for name in ("code_hash", "data_hash", "rerun") if name in progress}
    return Checkpoint(progress["step"], in_order, progress["rows"], progress["seconds"], layout, **origin)


def _header_end(content: bytes) -> int:
    """Return where the header ends: the format begins with the length of one in JSON."""
    return _HEADER_LENGTH_BYTES + int.from_bytes(content[:_HEADER_LENGTH_BYTES], "little")


def _progress(content: bytes) -> dict[str, Any]:
    """Return what the header tells beside the arrays, which are all that the library returns."""
    header = json.loads(content[_HEADER_LENGTH_BYTES : _header_end(content)])
    progress: dict[str, Any] = json.loads(header["__metadata__"]["progress"])
    return progress
