"""What surrounds a trial: where its data, its device and work that trials share come from, and who trains beside it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from trials.core.checkpoints import Checkpoints, NoCheckpoints
from trials.core.data.arrays import Arrays, load_arrays
from trials.core.data.knobs import DataKnobs
from trials.core.knobs import Knobs
from trials.core.rows import Diverged, Row

if TYPE_CHECKING:
    import torch

    from trials.core.data.examples import Examples

Computed = Callable[[Any, "TrialContext"], Mapping[str, np.ndarray]]
"""(a stage's own knobs, context) -> arrays by name."""
TogetherRun = Callable[[Sequence[Any], "TrialContext"], Iterator[tuple[int, Row | Diverged]]]


@dataclass(frozen=True)
class Stage:
    """Work that trials share; called, it is computed here and now.

    Attributes:
        name: What its results are stored under, beside its knobs: another name computes all of them anew.
        compute: Its arrays from its knobs; what it needs of another stage it asks the context for.
    """

    name: str
    compute: Computed

    def __call__(self, knobs: Any, context: TrialContext) -> Mapping[str, np.ndarray]:
        return self.compute(knobs, context)


def stage(name: str) -> Callable[[Computed], Stage]:
    """Make a function a stage of this name, which stays what it is when the function moves or is renamed."""
    return lambda compute: Stage(name, compute)


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
        from trials.core.data.examples import examples_of

        return examples_of(self.arrays(knobs.name), knobs, self.device)

    def result_of(self, stage: Stage, knobs: Knobs) -> Mapping[str, np.ndarray]:
        """Return the arrays of a stage, computed once a store under the knobs' own fingerprint."""
        # The trial's checkpoints are its own: a stage that offered its state to them would take the trial's place.
        return self.stage_results(stage, knobs, replace(self, checkpoints=NoCheckpoints()))


@dataclass(frozen=True, kw_only=True)
class Together:
    """How a recipe trains several trials at once, where that costs less than one after another.

    Attributes:
        run: (knobs of several trials, context) -> (index into the knobs, row) as rows arise, in step order for each
            index; (index, Diverged) ends that trial, the others go on.
        key: knobs -> hashable; trials of equal key may train together; None: this trial only by itself.
        most: Largest number of trials in one group.
        tolerance: How far a row's values may be from those of the recipe's `run`, over the largest value of the column
            in the trial: float32 adds up in another order. Stated in docs and tested. Where a unit's sign hangs on
            rounding, a recipe says which columns may differ by more.
    """

    run: TogetherRun
    key: Callable[[Any], Hashable | None]
    most: int = 32
    tolerance: float = 1e-4
