"""The executors: the same rows wherever a trial runs, and no trial is lost whatever it does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.store.results import Results
from raysweep.service.driver.cluster import Connection
from raysweep.service.driver.recovery import stored_reports
from raysweep.service.driver.serial import SerialExecutor
from raysweep.service.driver.supply import ListedTrials
from raysweep.service.driver.tune import TuneExecutor
from raysweep.service.errors import ClusterError
from raysweep.service.messages import PlannedTrial
from raysweep.service.study import Recipe, Study
from raysweep.service.worker import execution
from raysweep.service.worker.execution import Worker
from tests.clusters import free_ports, head_node
from tests.raysweep.driver.executions import planned, run
from tests.recipes import WALK, WalkKnobs, walk_many, walking_together, walks
from tests.studies import work_at
from trials.core.context import TrialContext
from trials.core.rows import Diverged, Row


def test_every_outcome_is_a_row_and_the_others_go_on(tmp_path: Path) -> None:
    trials = planned(*(walks(behaviour=b) for b in ("raises", "diverges", "yields_nonsense", "finishes")))
    heard = run(SerialExecutor(), WALK, tmp_path, trials)
    assert [report.outcome for report in heard] == ["failed", "diverged", "failed", "finished"]
    table = Results(tmp_path).trials("walk").set_index("behaviour")
    assert table["outcome"].to_dict() == {
        "raises": "failed",
        "diverges": "diverged",
        "yields_nonsense": "failed",
        "finishes": "finished",
    }
    assert "RuntimeError: the walk was broken off" in table.loc["raises", "error"]
    assert "undeclared columns ['depth']" in table.loc["yields_nonsense", "error"]
    assert table.loc["diverges", "error"] == "step 3: the walk left the ground"
    assert table["steps_recorded"].to_dict() == {"raises": 0, "diverges": 3, "yields_nonsense": 0, "finishes": 3}
    assert table.loc["finishes", "final_height"] == 2.0


def test_an_interrupted_pack_leaves_what_had_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = planned(*(walks(seed=seed) for seed in range(3)))
    worker = Worker(work_at(WALK, tmp_path, trials))

    def interrupted_after_two() -> list[PlannedTrial]:
        yield from trials[:2]  # type: ignore[misc]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker.run_pack(interrupted_after_two())
    assert Results(tmp_path).finished("walk") == {trial.trial_id for trial in trials[:2]}


def test_a_trial_is_reported_only_after_it_is_durable(tmp_path: Path) -> None:
    trials = planned(*(walks(seed=seed) for seed in range(3)))
    durable: list[bool] = []

    def listen(reports: object, running: int) -> None:
        durable.extend(report.trial_id in Results(tmp_path).finished("walk") for report in reports)  # type: ignore[attr-defined]

    SerialExecutor().run(work_at(WALK, tmp_path, trials), ListedTrials(trials), listen)
    assert durable == [True] * 3


@pytest.mark.parametrize("study", [WALK, walking_together()], ids=["alone", "together"])
def test_a_peak_is_of_the_trial_and_of_none_before_it(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in counts as CUDA's allocator does: the largest since it was told to begin."""
    peaks = [0]
    monkeypatch.setattr(execution, "begin_peak", lambda device: peaks.__setitem__(slice(None), [0]))
    monkeypatch.setattr(execution, "peak_bytes", lambda device: max(peaks))

    def weighed(knobs: WalkKnobs, context: TrialContext) -> Iterator[Row]:
        peaks.append(knobs.load)
        yield from WALK.trial(knobs, context)

    def weighed_many(knobs: Sequence[WalkKnobs], context: TrialContext) -> Iterator[tuple[int, Row | Diverged]]:
        peaks.extend(each.load for each in knobs)
        yield from walk_many([replace(each, load=0) for each in knobs], context)

    together = study.together and replace(study.together, run=weighed_many)
    loads = {(1, 3): 9, (2, 3): 5, (3, 1): 2, (4, 1): 1}  # by seed and steps; those of three steps may go together
    trials = planned(*(walks(seed=seed, steps=steps, load=load) for (seed, steps), load in loads.items()))
    Worker(work_at(replace(study, recipe=Recipe(run=weighed, together=together)), tmp_path, trials)).run_pack(trials)
    found = Results(tmp_path).trials("walk").set_index("seed")["peak_memory_bytes"].to_dict()
    assert found == {1: 9, 2: 9 if together else 5, 3: 2, 4: 1}


def test_on_a_cpu_there_is_no_peak(tmp_path: Path) -> None:
    trials = planned(walks())
    Worker(work_at(WALK, tmp_path, trials)).run_pack(trials)
    assert Results(tmp_path).trials("walk")["peak_memory_bytes"].isna().all()


def test_what_a_lost_pack_had_written_is_reported_and_not_run_again(tmp_path: Path) -> None:
    trials = planned(*(walks(seed=seed) for seed in range(3)), walks(behaviour="raises"), walks(behaviour="diverges"))
    work = replace(work_at(WALK, tmp_path, trials), learning=True)
    sent = {report.trial_id: report for report in Worker(work).run_pack([trials[0], *trials[3:]])}
    found = {report.trial_id: report for report in stored_reports(work, trials)}
    assert set(found) == {trials[0].trial_id, trials[4].trial_id}, "a failed row may be an earlier run's"
    for trial_id, report in found.items():
        assert report.outcome == sent[trial_id].outcome
        assert report.values["final_height"] == sent[trial_id].values["final_height"]
        assert report.wall_seconds == pytest.approx(sent[trial_id].wall_seconds)
    assert stored_reports(work, trials[1:3]) == []


@pytest.mark.slow
@pytest.mark.alone
def test_resources_that_no_node_has_and_a_wrong_token_are_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "raysweep.k_phase_diagram", "space=smoke", f"results={tmp_path}"]
    with head_node(cpus=1) as head:
        refused = subprocess.run(
            [*command, "resources.gpus=2", f"address={head.address}"],
            env=dict(head.environment),
            capture_output=True,
            text=True,
            timeout=300,
        )
        stranger = {**head.environment, "RAY_AUTH_TOKEN_PATH": "", "RAY_AUTH_TOKEN": "0" * 64}
        wrong = subprocess.run(
            [*command, f"address={head.address}"], env=stranger, capture_output=True, text=True, timeout=300
        )
    assert refused.returncode == wrong.returncode == 2
    assert refused.stderr.splitlines()[-1] == (
        "error: a trial asks for resources.cpus=1 and resources.gpus=2; this machine has 1 CPUs and 0 GPUs"
    )
    assert f"error: no Ray cluster at {head.address} for this token" in wrong.stderr.splitlines()[-1]


def test_a_wrong_address_is_noticed_at_once(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with pytest.raises(ClusterError, match=rf"no Ray cluster at 127.0.0.1:{port}: .*refused"):
        TuneExecutor(Connection(f"127.0.0.1:{port}")).run(
            work_at(WALK, tmp_path, []), ListedTrials([]), lambda reports, running: None
        )
