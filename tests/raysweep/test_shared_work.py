"""Work that trials share: computed once, and by trials that begin before those that only wait for it."""

from __future__ import annotations

from pathlib import Path

from analysis.store.results import Results
from raysweep.spurious_cat_dog import STUDY
from tests.studies import run_serially, smallest_sweep

PART_B = ("union=[{axes: {freeze_depth: [0, 2, 3, 4]}}]",)


def test_one_trial_of_each_shared_work_runs_before_all_others() -> None:
    trials = smallest_sweep(STUDY, *PART_B, "seed=range(3)")
    assert [trial.knobs.columns()["seed"] for trial in trials[:3]] == [0, 1, 2]
    rest = [(trial.knobs.columns()["seed"], trial.knobs.columns()["freeze_depth"]) for trial in trials[3:]]
    assert rest == [(seed, depth) for seed in range(3) for depth in (4, 2, 3)]


def test_a_network_is_pretrained_once_a_seed_whatever_the_number_of_depths(tmp_path: Path) -> None:
    trials = smallest_sweep(STUDY, *PART_B)
    outcomes = run_serially(STUDY, tmp_path, trials)
    assert set(outcomes.values()) == {"finished"}
    stages = sorted((tmp_path / STUDY.name / "stages").iterdir())
    assert len(trials) == 8 and len(stages) == 2
    table = Results(tmp_path).trials(STUDY.name)
    assert (table.groupby("seed")["final_acc_pretrained"].nunique() == 1).all()
