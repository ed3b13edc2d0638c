"""What passes between the driver and its actors: trials to run, what they need, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analysis.store.schema import StudySchema
from raysweep.service.declared import own_places
from raysweep.service.provenance import Provenance
from raysweep.service.study import Resources, Study, Trial
from search_spaces.core.stopping import Stopping
from trials.core.context import Together
from trials.core.data.arrays import Arrays
from trials.core.fingerprints import fingerprint
from trials.core.knobs import TrialKnobs
from trials.core.rows import Measurements

STOPPED = "stopped"
"""Outcome of a trial that a search ended before its last step."""

TIME = "step"
"""The column by whose values the rules of early stopping compare trials."""


def stopped_id(trial_id: str) -> str:
    """Return the identity under which a trial is stored that was stopped early.

    It is another than that of the whole trial: whoever asks for the whole one, a grid above all, finds it not yet run.
    """
    return fingerprint([trial_id, STOPPED])


@dataclass(frozen=True, kw_only=True)
class PlannedTrial:
    """One trial to run.

    Attributes:
        trial_id: Its identity.
        knobs: All that decides its outcome.
        goes_on_from: Ids of the trials whose checkpoints it may go on from, the best first: its own, and shorter
            trials of the same training.
        rerun: How many times it has been computed anew on request, this time included.
    """

    trial_id: str
    knobs: TrialKnobs
    goes_on_from: tuple[str, ...] = ()
    rerun: int = 0


@dataclass(frozen=True, kw_only=True)
class TrialReport:
    """What the driver hears of a trial, after its rows are durable.

    Attributes:
        error: Traceback of a failed trial, reason of a diverged one.
        gpu_seconds: Wall time times its share of a GPU.
        cost_dollars: What it cost, where the price of its node is known.
        values: Final measurements and costs, where a planner wants to know them.
    """

    trial_id: str
    outcome: str
    wall_seconds: float
    error: str | None = None
    gpu_seconds: float = 0.0
    cost_dollars: float | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Work:
    """What an actor needs to run any trial of a sweep, shipped once.

    Attributes:
        results: Root of the store.
        arrays: The raw data sets by name.
        checkpoint_seconds: Time between the checkpoints of a trial.
        learning: Whether a planner learns from the trials, so that reports carry what they found.
        objective: Column of the table of trials -> `maximize` or `minimize`, by which trials are stopped early.
        stopping: Ends unpromising trials early, None to let every trial go to its end.
        together: How the recipe trains several trials at once; None if it does not.
        own: Folders and files that a study of a user's own needs on another machine.
        reused_stages: Which stages of the store are gone on with beside those of this code and these data: `none`,
            those of `unknown` origin, or `any`.
    """

    trial: Trial
    measurements: Measurements
    schema: StudySchema
    results: str
    arrays: Mapping[str, Arrays]
    provenance: Provenance
    resources: Resources
    checkpoint_seconds: float = 60.0
    learning: bool = False
    objective: Mapping[str, str] = field(default_factory=dict)
    stopping: Stopping | None = None
    together: Together | None = None
    own: tuple[Path, ...] = ()
    reused_stages: str = "unknown"


def teaches(column: str) -> bool:
    """Return whether a planner learns from this column of a trial's row."""
    return column.startswith("final_") or column in ("wall_seconds", "gpu_seconds", "cost_dollars")


def work_of(
    study: Study, results: str, arrays: Mapping[str, Arrays], provenance: Provenance, resources: Resources
) -> Work:
    """Return a study's work as an actor needs it, without what only the driver uses."""
    return Work(
        trial=study.trial,
        measurements=study.measurements,
        schema=study.schema,
        results=results if "://" in results else str(Path(results).absolute()),  # an actor works in another folder
        arrays=arrays,
        provenance=provenance,
        resources=resources,
        together=study.together,
        own=tuple(own_places(study.module)),
    )


class LeavingNodeError(Exception):
    """Raised by an actor that is handed work while its node is being drained."""
