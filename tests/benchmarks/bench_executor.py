"""No-op trials a second: this executor beside bare Tune and a plain loop of Ray tasks, in one run.

All start from a connected Ray. The executor's time includes the start of its actors and writing every trial durably;
bare Tune writes its own files, the loop keeps its results in memory and loses them with the driver.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import ray
from ray import tune

from raysweep.service.driver.cluster import connected
from raysweep.service.driver.supply import ListedTrials
from raysweep.service.driver.tune import TuneExecutor
from raysweep.service.messages import PlannedTrial
from tests.recipes import WALK, walk, walks
from tests.studies import work_at
from trials.core.context import TrialContext

OURS, LOOP, BARE = 4000, 1000, 20


def ours_a_second() -> float:
    """Return trials a second of the executor, actors' start included."""
    knobs = [walks(seed=seed) for seed in range(OURS)]
    trials = [PlannedTrial(trial_id=WALK.trial_id(each), knobs=each) for each in knobs]
    with tempfile.TemporaryDirectory() as folder:
        work = work_at(WALK, Path(folder), trials)
        started = time.perf_counter()
        TuneExecutor().run(work, ListedTrials(trials), lambda reports, running: None)
        return OURS / (time.perf_counter() - started)


def loop_a_second() -> float:
    """Return trials a second of one `ray.remote` task a trial, with a window of tasks in flight."""

    @ray.remote
    def task(seed: int) -> list[object]:
        return list(walk(walks(seed=seed), TrialContext()))

    started = time.perf_counter()
    flying = [task.remote(seed) for seed in range(16)]
    for seed in range(16, LOOP):
        ready, flying = ray.wait(flying)
        ray.get(ready)
        flying.append(task.remote(seed))
    ray.get(flying)
    return LOOP / (time.perf_counter() - started)


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
        bare, loop, ours = bare_a_second(), loop_a_second(), ours_a_second()
    print(f"bare Tune function trainable  {bare:8.1f} trials/s  ({BARE} trials)")
    print(f"plain loop of Ray tasks       {loop:8.1f} trials/s  ({LOOP} trials, nothing kept)")
    print(f"raysweep's executor           {ours:8.1f} trials/s  ({OURS} trials, rows durable; wanted: at least 200)")
    print(f"over bare Tune                {ours / bare:8.0f}  (wanted: at least 40)")
    print(f"over the loop                 {ours / loop:8.2f}")


if __name__ == "__main__":
    main()
