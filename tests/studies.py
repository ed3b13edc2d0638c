"""What tests share about studies: every one that exists, and its smallest sweep."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path

import raysweep
from analysis.core.results import Results
from raysweep.service import provenance
from raysweep.service.configuration import read_settings
from raysweep.service.messages import PlannedTrial, Work, work_of
from raysweep.service.plan import planned
from raysweep.service.serial import SerialExecutor
from raysweep.service.study import Study
from raysweep.service.supply import ListedTrials
from trials.core.data.arrays import load_arrays


def every_study() -> list[Study]:
    """Return the declaration of every study in the menu."""
    menu = (module.name for module in pkgutil.iter_modules(raysweep.__path__))
    names = [name for name in menu if name not in ("service", "__main__")]
    return [importlib.import_module(f"raysweep.{name}").STUDY for name in names]


def smallest_sweep(study: Study, *overrides: str) -> list[PlannedTrial]:
    """Return the trials of the study's space `smoke`."""
    grid = read_settings(study, ["space=smoke", *overrides]).planner.grid
    return list(planned(study, grid, {}).trials)


def work_at(study: Study, root: Path | str, trials: list[PlannedTrial]) -> Work:
    """Return what an executor needs to run the trials into a store at `root`."""
    data_sets = {str(trial.knobs.columns().get("data_name", "digits")) for trial in trials}
    arrays = {name: load_arrays(name) for name in data_sets}
    Results(root).prepare(study.schema)
    return work_of(study, str(root), arrays, provenance.captured(arrays), study.resources)


def run_serially(study: Study, root: Path | str, trials: list[PlannedTrial]) -> Mapping[str, str]:
    """Run the trials in this process and return their outcomes."""
    outcomes: dict[str, str] = {}
    SerialExecutor().run(
        work_at(study, root, trials),
        ListedTrials(trials),
        lambda reports, running: outcomes.update({report.trial_id: report.outcome for report in reports}),
    )
    return outcomes
