"""The driver of a sweep of many short trials, to be killed: `python -m tests.chaos_driver ROOT TRIALS`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from analysis.core.results import Results
from raysweep.service import provenance
from raysweep.service.messages import TrialReport, work_of
from raysweep.service.plan import Plan, planned
from raysweep.service.serial import Executor, SerialExecutor
from raysweep.service.supply import ListedTrials
from raysweep.service.upkeep import Upkeep
from tests.recipes import WALK, walks


def plan_of(root: str, trials: int) -> Plan:
    """Return what is still missing of the sweep."""
    space = (walks(seed=seed, steps=5) for seed in range(trials))
    return planned(WALK, space, Results(root).outcomes(WALK.name))


def sweep(root: str, trials: int, executor: Executor) -> int:
    """Run what is missing, compacting all the while; return how many trials are still missing."""
    results = Results(root)
    results.prepare(WALK.schema)
    missing = plan_of(root, trials).missing
    work = work_of(WALK, root, {}, provenance.captured({}), WALK.resources)
    with Upkeep(results, WALK.name, every_seconds=1.0, enough_packs=5):
        executor.run(work, ListedTrials(missing), _said)
    return len(plan_of(root, trials).missing)


def undisturbed(root: str, trials: int) -> None:
    """Run the same sweep in this process."""
    assert sweep(root, trials, SerialExecutor()) == 0


def _said(reports: Sequence[TrialReport], running: int) -> None:
    if reports:
        print(len(reports), flush=True)


if __name__ == "__main__":
    from raysweep.service.tune import TuneExecutor

    raise SystemExit(1 if sweep(sys.argv[1], int(sys.argv[2]), TuneExecutor()) else 0)
