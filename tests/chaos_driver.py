"""The driver of a sweep, to be killed: `python -m tests.chaos_driver ROOT TRIALS [STUDY [FIRST]]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from analysis.core.results import Results
from raysweep.service import provenance
from raysweep.service.messages import TrialReport, work_of
from raysweep.service.plan import Plan, planned, resumed
from raysweep.service.serial import Executor, SerialExecutor
from raysweep.service.study import Study
from raysweep.service.supply import ListedTrials
from raysweep.service.upkeep import Upkeep
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


def sweep(root: str, trials: int, executor: Executor, name: str = WALK.name, first: int = 0) -> int:
    """Run what is missing, compacting all the while; return how many trials are still missing."""
    results = Results(root)
    study, plan = plan_of(root, trials, name, first)
    results.prepare(study.schema)
    work = replace(
        work_of(study, root, {}, provenance.captured({}), study.resources), checkpoint_seconds=CHECKPOINT_SECONDS
    )
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


if __name__ == "__main__":
    from raysweep.service.tune import TuneExecutor

    root, count, *rest = sys.argv[1:]
    name, first = (rest[0] if rest else WALK.name), int(rest[1]) if len(rest) > 1 else 0
    raise SystemExit(1 if sweep(root, int(count), TuneExecutor(), name, first) else 0)
