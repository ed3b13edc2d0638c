"""Records: what a store keeps beside its two tables: sweeps, requests, code, stages and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.store import declarations, stages, sweeps
from analysis.store.checkpoints import Checkpoints
from analysis.store.schema import checked_name
from analysis.store.stages import Arrays, Stage
from analysis.store.storage import Storage
from analysis.store.sweeps import Reruns, Sweep


class Records:
    """What the studies of a storage keep beside their tables.

    Args:
        storage: Where they lie.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def record_sweep(self, study: str, sweep_id: str, document: Mapping[str, Any], trial_ids: Sequence[str]) -> bool:
        """Store which trials a sweep planned; return False and keep the first record where there is one."""
        checked_name(study, "study")
        return sweeps.record_sweep(self._storage, study, sweep_id, document, trial_ids)

    def sweeps(self, study: str) -> list[Sweep]:
        """Return the recorded sweeps of a study, by id."""
        return sweeps.recorded_sweeps(self._storage, checked_name(study, "study"))

    def amend_sweep(self, study: str, sweep_id: str, changes: Mapping[str, Any]) -> None:
        """Change entries of what a recorded sweep's writer said about it."""
        sweeps.amend_sweep(self._storage, checked_name(study, "study"), sweep_id, changes)

    def forget_sweep(self, study: str, sweep_id: str) -> None:
        """Remove the record of a sweep; its trials stay."""
        sweeps.forget_sweep(self._storage, checked_name(study, "study"), sweep_id)

    def read_stage(self, study: str, fingerprint: str, origin: str = "") -> Stage | None:
        """Return arrays and metadata of a stage of some origin, or None if nobody has written it to its end."""
        return stages.read_stage(self._storage, checked_name(study, "study"), fingerprint, origin)

    def stage_origins(self, study: str, fingerprint: str) -> list[str]:
        """Return the origins of which a stage has been written; "" for one that nobody wrote down."""
        return stages.stage_origins(self._storage, checked_name(study, "study"), fingerprint)

    def write_stage(
        self,
        study: str,
        fingerprint: str,
        arrays: Arrays,
        metadata: Mapping[str, Any] | None = None,
        origin: str = "",
    ) -> bool:
        """Store a stage whole or not at all; return False and keep the first where there is one."""
        checked_name(study, "study")
        return stages.write_stage(self._storage, study, fingerprint, arrays, metadata or {}, origin)

    def checkpoints(self, study: str) -> Checkpoints:
        """Return the checkpoints of a study's unfinished trials, and of those that longer trials may go on from."""
        return Checkpoints(self._storage, checked_name(study, "study"))

    def reruns(self, study: str) -> Reruns:
        """Return the requests to compute trials of a study anew."""
        return Reruns(self._storage, checked_name(study, "study"))

    def declare_code(self, study: str, code_hash: str, modules: Mapping[str, str]) -> None:
        """Store which modules, each with the hash of its code, a hash of code stands for."""
        declarations.declare_code(self._storage, checked_name(study, "study"), code_hash, modules)

    def code(self, study: str, code_hash: str) -> dict[str, str] | None:
        """Return the modules that a hash of code stands for; None where nobody said."""
        return declarations.declared_code(self._storage, checked_name(study, "study"), code_hash)
