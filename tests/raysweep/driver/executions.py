"""What an executor was given and left, for the tests that compare executors."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.store.results import Results
from raysweep.service.driver.serial import Executor
from raysweep.service.driver.supply import ListedTrials
from raysweep.service.messages import PlannedTrial, TrialReport
from raysweep.service.study import Study
from tests.recipes import WALK, WalkKnobs
from tests.studies import work_at

TIMES = ["started_at", "finished_at", "wall_seconds", "gpu_seconds", "peak_memory_bytes"]


def planned(*knobs: WalkKnobs) -> list[PlannedTrial]:
    return [PlannedTrial(trial_id=WALK.trial_id(each), knobs=each) for each in knobs]


def run(executor: Executor, study: Study, root: Path, trials: list[PlannedTrial]) -> list[TrialReport]:
    heard: list[TrialReport] = []
    executor.run(work_at(study, root, trials), ListedTrials(trials), lambda reports, running: heard.extend(reports))
    return heard


def tables(root: Path, study: Study) -> tuple[pd.DataFrame, pd.DataFrame]:
    results = Results(root)
    trials = results.trials(study.name).sort_values("trial_id", ignore_index=True)
    rows = results.measurements(study.name).sort_values(["trial_id", "step"], ignore_index=True)
    return trials.drop(columns=TIMES), rows
