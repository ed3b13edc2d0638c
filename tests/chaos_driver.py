"""The driver of a sweep, to be killed: `python -m tests.chaos_driver ROOT TRIALS [--study hike] [--gpus 0.5]`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from analysis.store.results import Results
from raysweep.service import provenance
from raysweep.service.code import code_of
from raysweep.service.driver.plan import Plan, planned, resumed
from raysweep.service.driver.serial import Executor, SerialExecutor
from raysweep.service.driver.supply import ListedTrials
from raysweep.service.driver.upkeep import Upkeep
from raysweep.service.messages import TrialReport, work_of
from raysweep.service.study import Resources, Study
from tests.hikes import HIKE, HikeKnobs
from tests.recipes import WALK, WalkKnobs

SPACES = {
    WALK.name: (WALK, lambda seed: WalkKnobs(seed=seed, steps=5)),
    HIKE.name: (HIKE, lambda seed: HikeKnobs(seed=seed)),
}
CHECKPOINT_SECONDS = 0.5


def plan_of(root: str, trials: int, name: str, first: int) -> tuple[Study, Plan]:
    """Return a study, and what is still missing of its sweep over the seeds from `first` on."""
    study, knobs = SPACES[name]
    space = (knobs(seed) for seed in range(first, first + trials))
    return study, planned(study, space, Results(root).outcomes(name))


def sweep(root: str, trials: int, executor: Executor, name: str = WALK.name, first: int = 0, gpus: float = 0.0) -> int:
    """Run what is missing, compacting all the while; return how many trials are still missing."""
    results = Results(root)
    study, plan = plan_of(root, trials, name, first)
    results.prepare(study.schema)
    work = work_of(study, root, {}, provenance.captured(code=code_of(study)), Resources(gpus=gpus))
    work = replace(work, checkpoint_seconds=CHECKPOINT_SECONDS)
    missing = resumed(study, plan, results.checkpoints(name).ids(), [])
    with Upkeep(results, name, every_seconds=1.0, enough_packs=5):
        executor.run(work, ListedTrials(missing), _said)
    return len(plan_of(root, trials, name, first)[1].missing)


def undisturbed(root: str, trials: int, name: str = WALK.name, first: int = 0) -> None:
    """Run the same sweep in this process."""
    assert sweep(root, trials, SerialExecutor(), name, first) == 0


def _said(reports: Sequence[TrialReport], running: int) -> None:
    if reports:
        print(len(reports), flush=True)


def main() -> int:
    """Run a sweep on the cluster of RAY_ADDRESS; return 1 if trials are missing in the end."""
    from raysweep.service.driver.tune import TuneExecutor

    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("trials", type=int)
    parser.add_argument("--study", default=WALK.name, choices=SPACES)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--gpus", type=float, default=0.0)
    given = parser.parse_args()
    return 1 if sweep(given.root, given.trials, TuneExecutor(), given.study, given.first, given.gpus) else 0


if __name__ == "__main__":
    raise SystemExit(main())
