"""Stages: work that trials share, computed once a store and read by everyone else."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analysis.store.results import Results
from trials.core.context import Stage, TrialContext
from trials.core.fingerprints import fingerprint
from trials.core.knobs import Knobs


class StoredStages:
    """Finds the result of a stage in this process, else in the store, else computes it.

    Processes that ask for the same stage at once compute it side by side; the first to finish is kept, and all of them
    go on with what was kept, so that every trial sees the same bytes.

    Args:
        results: The store.
        study: Name of the study.
    """

    def __init__(self, results: Results, study: str) -> None:
        self._results = results
        self._study = study
        self._last: tuple[str, Mapping[str, np.ndarray]] | None = None

    def __call__(self, stage: Stage, knobs: Knobs, context: TrialContext) -> Mapping[str, np.ndarray]:
        """Return the stage's arrays."""
        name = stage_fingerprint(stage, knobs)
        if self._last is None or self._last[0] != name:
            self._last = (name, self._read(name) or self._computed(name, stage, knobs, context))
        return self._last[1]

    def _read(self, name: str) -> Mapping[str, np.ndarray] | None:
        stored = self._results.read_stage(self._study, name)
        return None if stored is None else stored.arrays

    def _computed(self, name: str, stage: Stage, knobs: Knobs, context: TrialContext) -> Mapping[str, np.ndarray]:
        arrays = stage(knobs, context)
        described = {"stage": _name(stage), "knobs": knobs.columns()}
        if self._results.write_stage(self._study, name, arrays, described):
            return arrays
        return self._read(name) or arrays


def stage_fingerprint(stage: Stage, knobs: Knobs) -> str:
    """Return the identity of a stage's result: which stage, and the knobs that are not at their default."""
    return fingerprint([_name(stage), knobs.non_default()])


def _name(stage: Stage) -> str:
    return f"{stage.__module__}.{stage.__qualname__}"
