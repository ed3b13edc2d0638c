"""Early stopping: unpromising trials of a search end before their last step, and bias no grid."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from analysis.store.results import Results
from raysweep.k_phase_diagram import STUDY
from raysweep.service.commands.configuration import read_settings
from raysweep.service.commands.study_command import main
from raysweep.service.driver.stopping import scheduler_of
from raysweep.service.errors import UsageError
from raysweep.service.messages import STOPPED, PlannedTrial, stopped_id
from raysweep.service.worker.execution import FinishedTrial, Worker
from search_spaces.core.stopping import Stopping
from tests.recipes import WALK, walks
from tests.studies import work_at

STEPS = 200
SEARCH = (
    "space=search",
    "search.trials=12",
    "search.sampler=random",
    "search.over.learning_rate={low: 1.0e-5, high: 0.3, log: true}",
    "search.stopping={rule: asha, grace_steps: 5, reduction: 3}",
    "axes.feature_update_interval=[1]",
    "axes.seed=[0]",
    f"steps={STEPS}",
    "data.train_size=200",
)


def watched(root: Path, planned: PlannedTrial) -> list[FinishedTrial]:
    worker = Worker(dataclasses.replace(work_at(WALK, root, [planned]), learning=True))
    return list(worker.watched(planned))


def test_a_watched_trial_can_be_stored_at_every_row_and_is_durable_at_its_end(tmp_path: Path) -> None:
    knobs = walks(seed=3, steps=4)
    planned = PlannedTrial(trial_id=WALK.trial_id(knobs), knobs=knobs)
    *on_the_way, last = watched(tmp_path, planned)
    assert [trial.report.outcome for trial in on_the_way] == [STOPPED] * 4
    assert [trial.row["final_height"] for trial in on_the_way] == [3.0, 4.0, 5.0, 6.0]
    assert {trial.row["trial_id"] for trial in on_the_way} == {stopped_id(planned.trial_id)}
    assert last.report.outcome == "finished"
    assert Results(tmp_path).outcomes(WALK.name) == {planned.trial_id: "finished"}


@pytest.mark.parametrize("rule", ["asha", "median"])
def test_the_rules_are_tunes(rule: str) -> None:
    stopping = Stopping(rule=rule, grace_steps=10)
    assert scheduler_of(stopping, {"final_test_acc_lin": "maximize"}).metric == "final_test_acc_lin"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["search.stopping={rule: hyperband, grace_steps: 5}"], "rule='hyperband' is not one of asha, median"),
        (["search.stopping={patience: 3}"], "search.stopping needs rule and grace_steps"),
        (["search.stopping={rule: asha, grace_steps: 0}"], "grace_steps must be a whole number of at least 1, got 0"),
        (
            ["search.objective={final_test_acc_lin: maximize, wall_seconds: minimize}", "search.sampler=random"],
            "compares trials by one objective",
        ),
        (["executor=serial"], "search.stopping compares trials that run side by side; it needs executor=ray"),
    ],
)
def test_bad_input_says_in_one_line_what_is_allowed(overrides: list[str], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_settings(STUDY, [*SEARCH, *overrides])
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_grid_cannot_stop_its_trials() -> None:
    with pytest.raises(UsageError, match=r"unknown setting 'stopping\.rule'"):
        read_settings(STUDY, ["space=smoke", "stopping.rule=asha"])


@pytest.mark.slow
def test_a_search_stops_what_lags_behind_and_a_grid_runs_it_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = f"results={tmp_path}"
    assert main(STUDY, [*SEARCH, root]) == 0
    results = Results(tmp_path)
    trials = results.trials(STUDY.name)
    stopped, whole = (trials[trials["outcome"] == outcome] for outcome in (STOPPED, "finished"))
    assert len(stopped) + len(whole) == 12
    assert len(stopped) >= 3, "ASHA with a reduction of 3 lets few of 12 go on"
    last = results.measurements(STUDY.name).groupby("trial_id")["step"].max()
    assert (last[stopped["trial_id"]] < STEPS).all()
    assert (last[stopped["trial_id"]] >= 5).all()
    assert (last[whole["trial_id"]] == STEPS).all()
    assert stopped["final_test_acc_lin"].mean() < whole["final_test_acc_lin"].mean()
    capsys.readouterr()

    assert main(STUDY, [*SEARCH, root]) == 0
    assert len(results.trials(STUDY.name)) == 12, "a stopped trial is known to the search that stopped it"

    rate = float(stopped["learning_rate"].iloc[0])
    grid = ["space=none", "feature_update_interval=1", "seed=0", f"learning_rate={rate!r}", f"steps={STEPS}"]
    assert main(STUDY, [*grid, "data.train_size=200", root, "executor=serial"]) == 0
    assert "0 finished, 1 to run" in capsys.readouterr().out, "for a grid it has yet to run"
    again = results.trials(STUDY.name)
    assert sorted(again.loc[again["learning_rate"] == rate, "outcome"]) == ["finished", STOPPED]
    assert results.check(STUDY.name) == []
