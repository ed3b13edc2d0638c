"""Work that trials share: computed once, and by trials that begin before those that only wait for it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import trials
from analysis.store.results import Results
from raysweep.freeze_depth import STUDY as FREEZE_DEPTH
from raysweep.service.driver.plan import planned
from raysweep.service.study import Recipe
from raysweep.service.worker import stages as stored
from raysweep.service.worker.stages import StoredStages, stage_fingerprint
from raysweep.spurious_cat_dog import STUDY
from tests.recipes import WALK
from tests.studies import run_serially, smallest_sweep
from trials.core.context import Stage, TrialContext, stage
from trials.core.data.knobs import DataKnobs
from trials.core.knobs import Knobs, TrialKnobs, knob
from trials.core.rows import Row
from trials.freeze_depth.birds import knobs as bird_knobs
from trials.freeze_depth.birds import pretraining as birds
from trials.spurious_cat_dog import knobs as cat_dog
from trials.spurious_cat_dog import pretraining as spurious

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


# By the stage's name: fingerprints of its default knobs, of seed 3 and of the first trial of the space `smoke`.
PINNED = {
    "trials.core.birds.pretraining.pretrained": (
        "ea48e5f73738c079378d",
        "49f7da6854c3aaf267cb",
        "48670fd60300c3cd4111",
    ),
    "trials.core.spurious.pretraining.pretrained": (
        "a43dbd3798884d3c1ba4",
        "9eede08704319019978a",
        "e20436a1a45959b7257c",
    ),
}


@pytest.mark.parametrize(
    ("of_study", "pretrained", "knobs"),
    [(FREEZE_DEPTH, birds.pretrained, bird_knobs.StageKnobs), (STUDY, spurious.pretrained, cat_dog.PretrainingKnobs)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_stored_stages_are_found_wherever_their_code_lies(of_study, pretrained: Stage, knobs: type[Knobs]) -> None:
    (asked,) = of_study.shared_work(smallest_sweep(of_study)[0].knobs)
    assert isinstance(asked, knobs)
    found = (knobs(), knobs(seed=3), asked)
    assert tuple(stage_fingerprint(pretrained, each) for each in found) == PINNED[pretrained.name]


def test_every_stage_has_a_name_of_its_own_and_is_pinned() -> None:
    modules = (module.name for module in pkgutil.walk_packages(trials.__path__, "trials."))
    found = {id(value): value for name in modules for value in vars(importlib.import_module(name)).values()}
    assert sorted(value.name for value in found.values() if isinstance(value, Stage)) == sorted(PINNED)


calls: list[str] = []


@stage("tests.squares")
def squares(knobs: DataKnobs, context: TrialContext) -> dict[str, np.ndarray]:
    calls.append(f"squares {knobs.train_size}")
    return {"squares": np.arange(knobs.train_size) ** 2}


def test_a_stage_is_computed_once_a_store(tmp_path: Path) -> None:
    calls.clear()
    for size in (3, 4, 3, 4):
        context = TrialContext(stage_results=StoredStages(Results(tmp_path), WALK.name))  # another process
        for _ in range(2):
            arrays = context.result_of(squares, DataKnobs(train_size=size))
            assert arrays["squares"].tolist() == [n * n for n in range(size)]
    assert calls == ["squares 3", "squares 4"]


def test_a_process_keeps_the_last_few_stages_and_of_large_ones_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Results(tmp_path)
    context = TrialContext(stage_results=StoredStages(results, WALK.name))
    read: list[str] = []
    looking = Results.stage_origins

    def noted(self: Results, study: str, name: str):
        read.append(name)
        return looking(self, study, name)

    monkeypatch.setattr(Results, "stage_origins", noted)

    def reads(*sizes: int) -> int:
        read.clear()
        for size in sizes:
            context.result_of(squares, DataKnobs(train_size=size))
        return len(read)

    few = range(1, 1 + stored.KEPT)
    assert reads(*few) == len(few)
    assert reads(*few, *reversed(few)) == 0
    assert reads(1, 100) == 1  # the last of the few was asked for longest ago
    assert reads(*few) == 1
    monkeypatch.setattr(stored, "KEPT_BYTES", 8 * 150)
    assert reads(100, 40) == 2
    assert reads(100, 40) == 0
    assert reads(160, 160) == 1
    assert reads(100, 40) == 2


def test_a_stage_of_other_code_or_data_is_computed_anew_unless_the_sweep_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, knobs = Results(tmp_path), DataKnobs(name="mnist", train_size=3)

    def computed(reused: str = "unknown", data: str = "first") -> int:
        """Return how many results a new process computes."""
        calls.clear()
        stages = StoredStages(results, WALK.name, {"mnist": data, "cifar10": data}, reused)
        assert stages(squares, knobs, TrialContext())["squares"].tolist() == [0, 1, 4]
        return len(calls)

    results.write_stage(WALK.name, stage_fingerprint(squares, knobs), {"squares": np.arange(3) ** 2})
    assert [computed(), computed("any"), computed("none"), computed("none")] == [0, 0, 1, 0]
    assert [computed("none", data="second"), computed(data="second")] == [1, 0]
    with monkeypatch.context() as changed:
        changed.setattr(stored, "stage_code", lambda compute: "other code")
        assert [computed("any"), computed("none"), computed("none")] == [0, 1, 0]
    assert computed("none") == 0
    assert len(results.stage_origins(WALK.name, stage_fingerprint(squares, knobs))) == 4


def test_askers_at_the_same_time_go_on_with_the_same_bytes(tmp_path: Path) -> None:
    results = Results(tmp_path)
    mine, other = (StoredStages(results, WALK.name) for _ in range(2))

    @stage("tests.slow")
    def slow(knobs: Knobs, context: TrialContext) -> dict[str, np.ndarray]:
        if context.stage_results is mine:
            other(slow, knobs, TrialContext(stage_results=other))  # finishes first
            return {"value": np.array([1.0])}
        return {"value": np.array([2.0])}

    arrays = mine(slow, DataKnobs(), TrialContext(stage_results=mine))
    assert arrays["value"].tolist() == [2.0]


@dataclass(frozen=True, kw_only=True)
class TeacherKnobs(Knobs):
    seed: int = knob("seed", 0)


@dataclass(frozen=True, kw_only=True)
class StudentKnobs(Knobs):
    share: float = knob("share of the teacher", 1.0)
    teacher: TeacherKnobs = TeacherKnobs()


@dataclass(frozen=True, kw_only=True)
class LessonKnobs(TrialKnobs):
    share: float = knob("share of the teacher", 1.0)
    length: int = knob("rows", 2)


@stage("tests.teacher")
def teacher(knobs: TeacherKnobs, context: TrialContext) -> dict[str, np.ndarray]:
    calls.append(f"teacher {knobs.seed}")
    return {"weights": np.array(10.0 + knobs.seed)}


@stage("tests.student")
def student(knobs: StudentKnobs, context: TrialContext) -> dict[str, np.ndarray]:
    calls.append(f"student {knobs.teacher.seed} {knobs.share}")
    return {"weights": knobs.share * context.result_of(teacher, knobs.teacher)["weights"]}


def stages_of(knobs: LessonKnobs) -> tuple[Knobs, ...]:
    taught = TeacherKnobs(seed=knobs.seed)
    return (taught,) if knobs.share == 0 else (taught, StudentKnobs(share=knobs.share, teacher=taught))


def lesson(knobs: LessonKnobs, context: TrialContext) -> Iterator[Row]:
    weights = context.result_of(teacher, TeacherKnobs(seed=knobs.seed))["weights"]
    for asked in stages_of(knobs)[1:]:
        weights = context.result_of(student, asked)["weights"]
    yield from ({"step": step, "height": float(weights)} for step in range(knobs.length))


LESSON = replace(WALK, name="lesson", knobs=LessonKnobs, recipe=Recipe(run=lesson), shared_work=stages_of)
LESSONS = [
    LessonKnobs(seed=seed, share=share, length=n) for n in (1, 2) for share in (0.0, 0.5, 1.0) for seed in (0, 1)
]


def test_the_first_trial_of_each_stage_comes_after_that_of_the_stage_it_needs() -> None:
    told = [(trial.knobs.seed, trial.knobs.share) for trial in planned(LESSON, LESSONS, {}).trials]
    assert told[:2] == [(0, 0.0), (1, 0.0)]
    assert told[2:6] == [(0, 0.5), (1, 0.5), (0, 1.0), (1, 1.0)]
    assert sorted(told) == sorted((each.seed, each.share) for each in LESSONS)
    both_at_once = planned(LESSON, LESSONS[2:], {}).trials  # whoever computes a student computes its teacher before
    assert [trial.knobs.share for trial in both_at_once[:4]] == [0.5, 0.5, 1.0, 1.0]


def test_every_stage_of_a_trial_is_computed_once_a_store(tmp_path: Path) -> None:
    calls.clear()
    listed = list(planned(LESSON, LESSONS, {}).trials)
    assert set(run_serially(LESSON, tmp_path, listed[:7]).values()) == {"finished"}
    assert set(run_serially(LESSON, tmp_path, listed[7:]).values()) == {"finished"}  # another process
    assert sorted(calls) == [
        *("student 0 0.5", "student 0 1.0", "student 1 0.5", "student 1 1.0"),
        *("teacher 0", "teacher 1"),
    ]
    table = Results(tmp_path).trials(LESSON.name)
    assert (table["final_height"] == (10 + table["seed"]) * table["share"].where(table["share"] > 0, 1)).all()
