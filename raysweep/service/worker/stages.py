"""Stages: work that trials share, computed once a store and read by everyone else."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analysis.store.results import Results
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

    Args:
        results: The store.
        study: Name of the study.
    """

    def __init__(self, results: Results, study: str) -> None:
        self._results = results
        self._study = study
        self._kept: dict[str, Mapping[str, np.ndarray]] = {}  # in the order in which they were last asked for

    def __call__(self, stage: Stage, knobs: Knobs, context: TrialContext) -> Mapping[str, np.ndarray]:
        """Return the stage's arrays."""
        name = stage_fingerprint(stage, knobs)
        arrays = self._kept.pop(name, None) or self._read(name) or self._computed(name, stage, knobs, context)
        self._kept[name] = arrays
        while len(self._kept) > 1 and (len(self._kept) > KEPT or self._kept_bytes > KEPT_BYTES):
            del self._kept[next(iter(self._kept))]
        return arrays

    @property
    def _kept_bytes(self) -> int:
        return sum(array.nbytes for arrays in self._kept.values() for array in arrays.values())

    def _read(self, name: str) -> Mapping[str, np.ndarray] | None:
        stored = self._results.read_stage(self._study, name)
        return None if stored is None else stored.arrays

    def _computed(self, name: str, stage: Stage, knobs: Knobs, context: TrialContext) -> Mapping[str, np.ndarray]:
        arrays = stage(knobs, context)
        described = {"stage": stage.name, "knobs": knobs.columns()}
        if self._results.write_stage(self._study, name, arrays, described):
            return arrays
        return self._read(name) or arrays


def stage_fingerprint(stage: Stage, knobs: Knobs) -> str:
    """Return the identity of a stage's result: which stage, and the knobs that are not at their default."""
    return fingerprint([stage.name, knobs.identity()])
