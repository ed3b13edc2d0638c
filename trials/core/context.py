"""The trial's context: where data, shared work and the device come from, so that a recipe need not know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from trials.core.checkpoints import Checkpoints, NoCheckpoints
from trials.core.data.arrays import Arrays, load_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import torch

    from trials.core.data.examples import Examples
    from trials.core.data.knobs import DataKnobs
    from trials.core.knobs import Knobs
    from trials.core.stages import Stage


def computed_here(stage: Stage, knobs: Knobs, context: TrialContext) -> Mapping[str, np.ndarray]:
    """Return the stage's arrays, computed anew: what a trial outside any sweep does."""
    return stage(knobs, context)


def _cpu() -> torch.device:
    import torch  # here, since plans and help know of contexts and need no torch

    return torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class TrialContext:
    """What surrounds a trial. The defaults serve a test or a debugger; an executor gives its own.

    Attributes:
        device: Where the trial's tensors live.
        arrays: Name of a data set -> its raw uint8 arrays; an executor hands out arrays loaded once a node.
        checkpoints: Where the trial saves its state and finds it again; an executor keeps it in the store.
        stage_results: How `result_of` finds the result of a stage; an executor looks into the store first.
    """

    device: torch.device = field(default_factory=_cpu)
    arrays: Callable[[str], Arrays] = load_arrays
    checkpoints: Checkpoints = field(default_factory=NoCheckpoints)
    stage_results: Callable[[Stage, Knobs, TrialContext], Mapping[str, np.ndarray]] = computed_here

    def data(self, knobs: DataKnobs) -> tuple[Examples, Examples]:
        """Return the training and the test examples on this trial's device."""
        from trials.core.data.examples import prepared

        return prepared(self.arrays(knobs.name), knobs, self.device)

    def result_of(self, stage: Stage, knobs: Knobs) -> Mapping[str, np.ndarray]:
        """Return the arrays of a stage, computed once a store under the knobs' own fingerprint."""
        # The trial's checkpoints are its own: a stage that offered its state to them would take the trial's place.
        return self.stage_results(stage, knobs, replace(self, checkpoints=NoCheckpoints()))
