"""What a sweep costs its driver: memory and time against the number of trials, and the share of overhead.

Memory and time are those of a process of its own for each size, so that none inherits another's heap. The share of
overhead is taken from the stored times: what of the actors' time between the first trial's start and the last one's end
was spent in no trial.
"""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from analysis.store.results import Results
from raysweep.k_phase_diagram import STUDY
from raysweep.service.commands.configuration import read_settings
from raysweep.service.driver.cluster import connected
from raysweep.service.driver.plan import planned
from raysweep.service.driver.supply import ListedTrials
from raysweep.service.driver.tune import TuneExecutor
from raysweep.service.messages import PlannedTrial
from raysweep.service.study import Resources
from tests import recipes
from tests.recipes import WALK, walks
from tests.studies import work_at

SIZES = (10_000, 100_000)
TRIALS_OF = {0.1: 600, 1.0: 60, 10.0: 8}
SLOTS = 2


def megabytes() -> float:
    """Return the most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def planning(trials: int) -> dict[str, float]:
    """Return the CPU time and the memory of planning a grid."""
    settings = read_settings(STUDY, ["space=none", f"seed=range({trials})"])
    before, began = megabytes(), time.process_time()
    plan = planned(STUDY, settings.planner.grid, {})  # type: ignore[union-attr]
    assert len(plan.missing) == trials
    return {"seconds": time.process_time() - began, "megabytes": megabytes() - before}


def sweeping(trials: int) -> dict[str, float]:
    """Return the driver's CPU time and memory of running trials that do nothing."""
    listed = [PlannedTrial(trial_id=WALK.trial_id(each), knobs=each) for each in map(_walk, range(trials))]
    with tempfile.TemporaryDirectory() as folder, connected(None):
        work = work_at(WALK, Path(folder), listed)
        before, began = megabytes(), time.process_time()
        TuneExecutor().run(work, ListedTrials(listed), lambda reports, running: None)
        assert len(Results(folder).finished(WALK.name)) == trials
    return {"seconds": time.process_time() - began, "megabytes": megabytes() - before}


def _walk(seed: int) -> recipes.WalkKnobs:
    return walks(seed=seed, steps=1)


def overhead_share(seconds: float) -> float:
    """Return the share of the actors' time that went to no trial, at trials of this length."""
    os.environ[recipes.SECONDS] = str(seconds)  # actors of a cluster that is started now see it
    listed = [PlannedTrial(trial_id=WALK.trial_id(each), knobs=each) for each in map(_walk, range(TRIALS_OF[seconds]))]
    with tempfile.TemporaryDirectory() as folder, connected(None):
        work = work_at(WALK, Path(folder), listed)
        TuneExecutor().run(work, ListedTrials(listed), lambda reports, running: None)
        trials = Results(folder).trials(WALK.name)
    assert isinstance(work.resources, Resources)
    span = (trials["finished_at"].max() - trials["started_at"].min()).total_seconds()
    return float(1 - trials["wall_seconds"].sum() / (SLOTS * span))


def in_a_process(what: str, trials: int) -> Mapping[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, what, str(trials)], capture_output=True, text=True, check=True, env=os.environ
    )
    found: Mapping[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    for what, said in (("planning", "planning a grid"), ("sweeping", "running no-op trials")):
        found = [in_a_process(what, trials) for trials in SIZES]
        for trials, each in zip(SIZES, found, strict=True):
            memory = f"{each['megabytes']:6.0f} MB ({each['megabytes'] / trials * 1e3:.1f} kB each)"
            print(f"{said}, {trials:>7,}: {each['seconds']:7.1f} s CPU, {memory}")
        exponents = {
            name: math.log(found[1][name] / max(found[0][name], 1e-9)) / math.log(SIZES[1] / SIZES[0])
            for name in found[0]
        }
        print(
            f"{said}: grows as trials^{exponents['seconds']:.2f} in time, trials^{exponents['megabytes']:.2f} in memory"
        )
    for seconds in TRIALS_OF:
        share = overhead_share(seconds)
        print(f"trials of {seconds:4g} s: {share:6.1%} of the actors' time in no trial (wanted: under 5 %)")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps({"planning": planning, "sweeping": sweeping}[sys.argv[1]](int(sys.argv[2]))))
    else:
        main()
