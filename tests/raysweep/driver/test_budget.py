"""Budgets end a sweep cleanly, and the same command goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.store.results import Results
from raysweep.k_phase_diagram import STUDY
from raysweep.service.commands.study_command import main
from raysweep.service.driver.budget import Budget, Budgeted
from raysweep.service.driver.supply import ListedTrials
from raysweep.service.messages import PlannedTrial, TrialReport
from tests.recipes import WALK, walks

SERIAL = ("executor=serial", "space=smoke")


def supply(budget: Budget) -> Budgeted:
    knobs = [walks(seed=seed) for seed in range(100)]
    return Budgeted(ListedTrials([PlannedTrial(trial_id=WALK.trial_id(k), knobs=k) for k in knobs]), budget)


def report(gpu_seconds: float = 0.0, dollars: float | None = None) -> TrialReport:
    return TrialReport(
        trial_id="a", outcome="finished", wall_seconds=1.0, gpu_seconds=gpu_seconds, cost_dollars=dollars
    )


def test_a_spent_budget_is_exit_code_3_and_the_same_command_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for stored in (4, 6):
        code = main(STUDY, [*SERIAL, f"results={tmp_path}", "budget.trials=4"])
        assert len(Results(tmp_path).trials(STUDY.name)) == stored
        assert code == (3 if stored == 4 else 0)
    printed = capsys.readouterr().out
    assert printed.count("budget.trials=4 is spent; the same command goes on") == 1
    assert "6 trials, 4 finished, 2 to run" in printed


def test_no_budget_is_no_limit() -> None:
    unlimited = supply(Budget())
    assert len(unlimited.take(1000)) == 100
    assert unlimited.spent == ""


def test_trials_are_counted_when_they_begin() -> None:
    limited = supply(Budget(trials=7))
    assert limited.remaining == 7
    assert [len(limited.take(5)) for _ in range(3)] == [5, 2, 0]
    assert limited.spent == "budget.trials=7"


def test_gpu_hours_are_of_the_share_of_a_gpu() -> None:
    limited = supply(Budget(gpu_hours=1.0))
    limited.take(1)
    limited.told([report(gpu_seconds=900.0)] * 3)
    assert limited.spent == ""
    limited.told([report(gpu_seconds=900.0)])
    assert limited.spent == "budget.gpu_hours=1"
    assert limited.take(1) == []


def test_dollars_count_where_they_are_known() -> None:
    limited = supply(Budget(dollars=1.0))
    limited.told([report(dollars=None), report(dollars=0.6)])
    assert limited.take(1)
    limited.told([report(dollars=0.6)])
    assert limited.take(1) == []


def test_hours_run_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    limited = supply(Budget(hours=1.0))
    assert limited.take(1)
    monkeypatch.setattr("time.monotonic", lambda: 1e9)
    assert limited.take(1) == []
