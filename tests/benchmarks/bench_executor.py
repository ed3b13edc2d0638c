"""No-op trials a second: this executor beside a bare Tune function trainable, in one run.

Both start from a connected Ray; the executor's time includes writing every trial durably, bare Tune writes nothing of
ours but its own files.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import ray
from ray import tune

from raysweep.service.messages import PlannedTrial
from raysweep.service.supply import ListedTrials
from raysweep.service.tune import TuneExecutor, connected
from tests.recipes import WALK, walks
from tests.studies import work_at

OURS, BARE = 4000, 20


def ours_a_second() -> float:
    """Return trials a second of the executor, actors' start included."""
    knobs = [walks(seed=seed) for seed in range(OURS)]
    trials = [PlannedTrial(trial_id=WALK.trial_id(each), knobs=each) for each in knobs]
    with tempfile.TemporaryDirectory() as folder:
        work = work_at(WALK, Path(folder), trials)
        started = time.perf_counter()
        TuneExecutor().run(work, ListedTrials(trials), lambda reports, running: None)
        return OURS / (time.perf_counter() - started)


def bare_a_second() -> float:
    """Return trials a second of `tune.Tuner` over a function that reports once, its default settings kept."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        tune.Tuner(
            lambda config: {"height": float(config["seed"])},
            param_space={"seed": tune.grid_search(list(range(BARE)))},
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        ).fit()
        return BARE / (time.perf_counter() - started)


def main() -> None:
    with connected(None):
        ray.get(ray.remote(lambda: None).remote())
        bare, ours = bare_a_second(), ours_a_second()
    print(f"bare Tune function trainable  {bare:8.1f} trials/s  ({BARE} trials)")
    print(f"raysweep's executor           {ours:8.1f} trials/s  ({OURS} trials, rows durable)")
    print(f"ratio                         {ours / bare:8.0f}        (wanted: at least 40)")


if __name__ == "__main__":
    main()
