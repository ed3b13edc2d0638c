"""Stages: work that trials share, computed once a store and read by everyone else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from analysis.store.results import Results
from raysweep.service.code import stage_code
from raysweep.service.messages import Work
from trials.core.context import Stage, TrialContext
from trials.core.fingerprints import fingerprint
from trials.core.knobs import Knobs

KEPT, KEPT_BYTES = 4, 2**29


class StoredStages:
    """Finds the result of a stage in this process, else in the store, else computes it.

    The process keeps the last `KEPT` results that were asked for, and of them no more than `KEPT_BYTES` hold, but for
    the last, which it keeps whatever its size.

    Processes that ask for the same stage at once compute it side by side; the first to finish is kept, and all of them
    go on with what was kept, so that every trial sees the same bytes.

    A result goes by the code and the data that it came of as well: one of another origin is not taken unless the sweep
    says so, and stays beside the new one.

    Args:
        results: The store.
        study: Name of the study.
        data_hashes: Name of a data set -> fingerprint of what it holds.
        reused: Which other results are gone on with: `none`, those of `unknown` origin, or `any`.
    """

    def __init__(
        self,
        results: Results,
        study: str,
        data_hashes: Mapping[str, str] = MappingProxyType({}),
        reused: str = "unknown",
    ) -> None:
        self._results = results
        self._study = study
        self._data_hashes = data_hashes
        self._reused = reused
        self._kept: dict[str, Mapping[str, np.ndarray]] = {}  # in the order in which they were last asked for

    def __call__(self, stage: Stage, knobs: Knobs, context: TrialContext) -> Mapping[str, np.ndarray]:
        """Return the stage's arrays."""
        name = stage_fingerprint(stage, knobs)
        arrays = self._kept.pop(name, None) or self._found(name, stage, knobs, context)
        self._kept[name] = arrays
        while len(self._kept) > 1 and (len(self._kept) > KEPT or self._kept_bytes > KEPT_BYTES):
            del self._kept[next(iter(self._kept))]
        return arrays

    @property
    def _kept_bytes(self) -> int:
        return sum(array.nbytes for arrays in self._kept.values() for array in arrays.values())

    def _found(self, name: str, stage: Stage, knobs: Knobs, context: TrialContext) -> Mapping[str, np.ndarray]:
        """Return the arrays from the store, else computed and stored."""
        values = knobs.columns()
        read = {data: held for data, held in self._data_hashes.items() if data in values.values()}
        origin = fingerprint([stage_code(stage.compute), read])
        for other in self._fitting(origin, self._results.stage_origins(self._study, name)):
            if (arrays := self._read(name, other)) is not None:
                return arrays
        arrays = stage(knobs, context)
        described = {"stage": stage.name, "knobs": values}
        if self._results.write_stage(self._study, name, arrays, described, origin):
            return arrays
        return self._read(name, origin) or arrays

    def _fitting(self, own: str, stored: Sequence[str]) -> list[str]:
        """Return those origins of stored results that may be gone on with, the best first."""
        allowed = {"none": (own,), "unknown": (own, ""), "any": (own, "", *stored)}[self._reused]
        return [origin for origin in dict.fromkeys(allowed) if origin in stored]

    def _read(self, name: str, origin: str) -> Mapping[str, np.ndarray] | None:
        stored = self._results.read_stage(self._study, name, origin)
        return None if stored is None else stored.arrays


def stage_fingerprint(stage: Stage, knobs: Knobs) -> str:
    """Return the identity of a stage's result: which stage, and the knobs that are not at their default."""
    return fingerprint([stage.name, knobs.identity()])


def stages_of(work: Work, results: Results) -> StoredStages:
    """Return the stages of a sweep."""
    return StoredStages(results, work.schema.study, work.provenance.data_hashes, work.reused_stages)
