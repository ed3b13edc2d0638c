"""What tests share about studies: every one that exists, and its smallest sweep."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.store.results import Results
from raysweep.service import provenance
from raysweep.service.code import code_of
from raysweep.service.commands.configuration import read_settings
from raysweep.service.driver.plan import planned
from raysweep.service.driver.serial import SerialExecutor
from raysweep.service.driver.supply import ListedTrials
from raysweep.service.messages import PlannedTrial, Work, work_of
from raysweep.service.studies import built_in, study_named
from raysweep.service.study import Study
from raysweep.service.worker.groups import Group, Told, grouped, told_together
from trials.core.context import TrialContext
from trials.core.data.arrays import load_arrays
from trials.core.rows import Diverged, checked

OWN = "RAYSWEEP_TEST_STUDIES"
"""Environment variable with the modules of studies outside the repository that are tested as well, by commas."""


def every_study() -> list[Study]:
    """Return the declaration of every study in the menu, and of those outside the repository that `OWN` names."""
    own = filter(None, os.environ.get(OWN, "").split(","))
    return [study_named(name) for name in (*built_in(), *own)]


def smallest_sweep(study: Study, *overrides: str) -> list[PlannedTrial]:
    """Return the trials of the study's space `smoke`."""
    return sweep_of(study, "smoke", *overrides)


def sweep_of(study: Study, space: str, *overrides: str) -> list[PlannedTrial]:
    """Return the trials of one of the study's spaces."""
    grid = read_settings(study, [f"space={space}", *overrides]).planner.grid
    return list(planned(study, grid, {}).trials)


def work_at(study: Study, root: Path | str, trials: list[PlannedTrial]) -> Work:
    """Return what an executor needs to run the trials into a store at `root`."""
    data_sets = {str(trial.knobs.columns().get("data_name", "digits")) for trial in trials}
    arrays = {name: load_arrays(name) for name in data_sets}
    Results(root).prepare(study.schema)
    return work_of(
        study,
        str(root),
        arrays,
        provenance.captured({name: each.digest() for name, each in arrays.items()}, code_of(study)),
        study.resources,
    )


def run_serially(study: Study, root: Path | str, trials: list[PlannedTrial]) -> Mapping[str, str]:
    """Run the trials in this process and return their outcomes."""
    outcomes: dict[str, str] = {}
    SerialExecutor().run(
        work_at(study, root, trials),
        ListedTrials(trials),
        lambda reports, running: outcomes.update({report.trial_id: report.outcome for report in reports}),
    )
    return outcomes


def groups_of(study: Study, trials: Sequence[PlannedTrial]) -> list[Group]:
    """Return the groups of two and more that the trials make."""
    return [group for group in grouped(trials, study.together) if len(group.trials) > 1]


def assert_group_tells_as_alone(study: Study, trials: Sequence[PlannedTrial]) -> None:
    """Train the trials at once and each by itself, and hold their rows to the tolerance that the recipe declares.

    Numbers may differ by it relative to the largest value of their column in the trial, so that a difference of nearly
    equal numbers is not asked for digits that float32 does not have. Everything else is equal.
    """
    together = study.together
    assert together is not None
    told = told_together(together, trials, TrialContext(), study.measurements, lambda: False)
    for planned_trial, several in zip(trials, told, strict=True):
        alone = _told_alone(study, planned_trial)
        assert several.outcome == alone.outcome
        assert [row["step"] for row in several.rows] == [row["step"] for row in alone.rows]
        for name in study.measurements:
            columns = [[row[name] for row in each.rows] for each in (several, alone)]
            _assert_close(columns[0], columns[1], together.tolerance, name)


def _told_alone(study: Study, trial: PlannedTrial) -> Told:
    told = Told()
    try:
        for row in checked(study.trial(trial.knobs, TrialContext()), study.measurements):
            told.rows.append(row)
    except Diverged as divergence:
        told.outcome, told.error = "diverged", str(divergence)
    return told


def _assert_close(several: list[Any], alone: list[Any], tolerance: float, name: str) -> None:
    largest = max((abs(value) for value in alone if isinstance(value, float)), default=0.0)
    for one, other in zip(several, alone, strict=True):
        if isinstance(other, float):
            close = isinstance(one, float) and math.isclose(one, other, rel_tol=0.0, abs_tol=tolerance * largest)
            assert close, f"{name}: {one!r} together, {other!r} alone, of at most {largest!r}"
        else:
            assert one == other, name
