"""Trials that train together: the rows of trials that train alone, and no trial pays for another's failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch

from analysis.store.results import Results
from raysweep.service.driver.packs import resuming
from raysweep.service.messages import PlannedTrial, TrialReport
from raysweep.service.provenance import captured
from raysweep.service.study import Study
from raysweep.service.worker.execution import Worker
from raysweep.service.worker.groups import grouped
from raysweep.service.worker.survival import StoredCheckpoints
from tests.recipes import SECONDS, WALK, WalkKnobs, walk_many, walking_together, walks
from tests.studies import assert_group_tells_as_alone, work_at
from trials.core.context import TrialContext
from trials.core.rows import Diverged, Row

TIMES = ["started_at", "finished_at", "wall_seconds", "gpu_seconds", "peak_memory_bytes"]
Run = Callable[..., Iterator[tuple[int, Row | Diverged]]]


class Witness:
    """Notes how many trials a recipe is asked to train at once."""

    def __init__(self, run: Run = walk_many) -> None:
        self._run = run
        self.sizes: list[int] = []

    def __call__(self, knobs: Sequence[WalkKnobs], context: TrialContext) -> Iterator[tuple[int, Row | Diverged]]:
        self.sizes.append(len(knobs))
        return self._run(knobs, context)


def planned(*knobs: WalkKnobs) -> list[PlannedTrial]:
    return [PlannedTrial(trial_id=WALK.trial_id(each), knobs=each) for each in knobs]


def reports(study: Study, root: Path, trials: list[PlannedTrial]) -> list[TrialReport]:
    return Worker(work_at(study, root, trials)).run_pack(trials)


def tables(root: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    results = Results(root)
    trials = results.trials("walk").sort_values("trial_id", ignore_index=True)
    rows = results.measurements("walk").sort_values(["trial_id", "step"], ignore_index=True)
    return trials.drop(columns=[*TIMES, "code_hash"]), rows  # of recipes that are different functions


def assert_as_alone(root: Path, study: Study, trials: list[PlannedTrial]) -> None:
    reports(study, root / "together", trials)
    reports(WALK, root / "alone", trials)
    for together, alone in zip(tables(root / "together"), tables(root / "alone"), strict=True):
        pd.testing.assert_frame_equal(together, alone)


def test_a_pack_is_grouped_by_key_in_its_order() -> None:
    steps = (2, 1, 3, 2, 1, 3, 2)
    trials = planned(*(walks(seed=seed, steps=count) for seed, count in enumerate(steps)))
    groups = list(grouped(trials, walking_together().together))
    assert [(group.key, [trial.knobs.seed for trial in group.trials]) for group in groups] == [
        (2, [0, 3, 6]),
        (None, [1]),
        (3, [2, 5]),
        (None, [4]),
    ]


def test_without_run_many_a_pack_is_read_as_it_is_trained() -> None:
    asked: list[int] = []

    def pack() -> Iterator[PlannedTrial]:
        for number, trial in enumerate(planned(*(walks(seed=seed) for seed in range(3)))):
            asked.append(number)
            yield trial

    next(grouped(pack(), None))
    assert asked == [0]


def test_groups_give_the_rows_of_trials_alone(tmp_path: Path) -> None:
    witness = Witness()
    trials = planned(
        *(walks(seed=seed, steps=steps) for steps in (1, 2, 5) for seed in range(40)),
        *(walks(seed=seed, steps=5, behaviour="diverges") for seed in range(3)),
    )
    assert_as_alone(tmp_path, walking_together(witness), trials)
    assert witness.sizes == [32, 8, 32, 11]


def test_one_that_diverges_keeps_its_rows_and_the_others_go_on(tmp_path: Path) -> None:
    trials = planned(walks(), walks(behaviour="diverges"), walks(seed=1))
    told = reports(walking_together(), tmp_path, trials)
    assert [report.outcome for report in told] == ["finished", "diverged", "finished"]
    table = Results(tmp_path).trials("walk").set_index("trial_id").loc[[trial.trial_id for trial in trials]]
    assert table["steps_recorded"].tolist() == [3, 3, 3]
    assert table["error"].iloc[1] == "step 3: the walk left the ground"


@pytest.mark.parametrize("behaviour", ["raises", "yields_nonsense"])
def test_an_error_is_stored_with_the_trial_it_belongs_to(behaviour: str, tmp_path: Path) -> None:
    trials = planned(walks(), walks(behaviour=behaviour), walks(seed=1), walks(behaviour="diverges"))
    told = {report.trial_id: report for report in reports(walking_together(), tmp_path, trials)}
    assert [told[trial.trial_id].outcome for trial in trials] == ["finished", "failed", "finished", "diverged"]
    error = told[trials[1].trial_id].error
    assert error is not None and {"raises": "broken off", "yields_nonsense": "['depth']"}[behaviour] in error
    assert set(Results(tmp_path).finished("walk")) == {trials[0].trial_id, trials[2].trial_id, trials[3].trial_id}


def silent(knobs: Sequence[WalkKnobs], context: TrialContext) -> Iterator[tuple[int, Row | Diverged]]:
    return (each for each in walk_many(knobs, context) if each[0] != 1)


def beyond(knobs: Sequence[WalkKnobs], context: TrialContext) -> Iterator[tuple[int, Row | Diverged]]:
    return ((index + 1, row) for index, row in walk_many(knobs, context))


def after_the_end(knobs: Sequence[WalkKnobs], context: TrialContext) -> Iterator[tuple[int, Row | Diverged]]:
    yield 0, Diverged(0, "too early")
    yield from walk_many(knobs, context)


def broken(knobs: Sequence[WalkKnobs], context: TrialContext) -> Iterator[tuple[int, Row | Diverged]]:
    raise KeyError("momentum")


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (silent, r"told nothing of trials \[1\]"),
        (beyond, "told of trial 3, which is none of the 3 that are training"),
        (after_the_end, "told of trial 0, which is none"),
        (broken, r"walk: run_many fails where run does not: KeyError\('momentum'\)"),
    ],
)
def test_a_wrong_run_many_costs_time_and_no_row(run: Run, message: str, tmp_path: Path) -> None:
    with pytest.warns(RuntimeWarning, match=message):
        assert_as_alone(tmp_path, walking_together(run), planned(*(walks(seed=seed) for seed in range(3))))


def test_memory_that_ends_halves_the_group_and_is_remembered(tmp_path: Path) -> None:
    witness = Witness(partial(walk_many, holding=5))
    study = walking_together(witness)
    trials = planned(*(walks(seed=seed, steps=steps) for steps in (3, 4) for seed in range(20)))
    worker = Worker(work_at(study, tmp_path, trials))
    assert {report.outcome for report in worker.run_pack(trials[:20])} == {"finished"}
    assert witness.sizes == [20, 10, 5, 5, 5, 5]
    witness.sizes.clear()
    worker.run_pack(planned(*(walks(seed=seed) for seed in range(20, 32))))
    assert witness.sizes == [5, 5, 2]
    witness.sizes.clear()
    worker.run_pack(trials[20:])
    assert witness.sizes == [20, 10, 5, 5, 5, 5], "what fits is known by key"


def test_a_group_that_never_fits_trains_one_by_one(tmp_path: Path) -> None:
    witness = Witness(partial(walk_many, holding=0))
    assert_as_alone(tmp_path, walking_together(witness), planned(*(walks(seed=seed) for seed in range(5))))
    assert witness.sizes == [5, 2]


@pytest.mark.parametrize("study", [WALK, walking_together()], ids=["alone", "together"])
def test_a_trial_that_wants_too_much_fails_and_its_neighbours_finish(study: Study, tmp_path: Path) -> None:
    trials = planned(*(walks(seed=seed) for seed in range(4)), walks(behaviour="needs_memory"))
    told = {report.trial_id: report for report in reports(study, tmp_path, trials)}
    assert [told[trial.trial_id].outcome for trial in trials] == ["finished"] * 4 + ["failed"]
    error = told[trials[-1].trial_id].error
    assert error is not None
    assert error.startswith("out of memory: the trial asked for more than this machine has left")
    assert "in walk" in error, "and where it was"


def test_the_group_s_time_is_shared_and_its_size_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECONDS, "0.1")
    trials = planned(*(walks(seed=seed) for seed in range(5)))
    told = reports(walking_together(), tmp_path, trials)
    table = Results(tmp_path).trials("walk")
    assert len(set(table["wall_seconds"])) == 1
    assert sum(report.wall_seconds for report in told) == pytest.approx(table["wall_seconds"].sum())
    lasted = (table["finished_at"] - table["started_at"]).dt.total_seconds()
    assert (lasted / table["wall_seconds"]).round().tolist() == [5.0] * 5


def test_a_trial_that_goes_on_from_a_checkpoint_trains_alone(tmp_path: Path) -> None:
    witness = Witness()
    study = walking_together(witness)
    trials = planned(*(walks(seed=seed) for seed in range(4)))
    work = work_at(study, tmp_path, trials)
    checkpoints = Results(work.results).checkpoints("walk")
    StoredCheckpoints(checkpoints, trials[2], captured(), 0.0, lambda: False).offer(
        1, lambda: {"at": torch.zeros(1)}, last=False
    )
    told = Worker(work).run_pack([resuming(trial) for trial in trials])
    assert len(told) == 4
    assert witness.sizes == [3], "those that left no checkpoint still go together"


@pytest.mark.parametrize("asked", [0, 3, 11, 14])
def test_a_group_that_is_interrupted_is_not_reported(asked: int, tmp_path: Path) -> None:
    left = iter(range(asked))
    trials = planned(*(walks(seed=seed, steps=steps) for steps in (3, 4) for seed in range(4)))
    work = work_at(walking_together(), tmp_path, trials)
    told = Worker(work, leaving=lambda: next(left, None) is None).run_pack(trials)
    assert [report.trial_id for report in told] == [trial.trial_id for trial in trials[: 4 * (asked // 12)]]
    assert Results(tmp_path).finished("walk") == {report.trial_id for report in told}


def rounded(knobs: Sequence[WalkKnobs], context: TrialContext) -> Iterator[tuple[int, Row | Diverged]]:
    for index, row in walk_many(knobs, context):
        yield index, row if isinstance(row, Diverged) else {**row, "height": float(row["height"] or 0) * (1 + 1e-9)}


def test_rows_within_the_tolerance_pass_and_others_do_not() -> None:
    trials = planned(walks(), walks(seed=3), walks(behaviour="diverges"))
    assert_group_tells_as_alone(walking_together(), trials)
    with pytest.raises(AssertionError, match=r"height: 1.000000001 together, 1.0 alone, of at most 2.0"):
        assert_group_tells_as_alone(walking_together(rounded), trials)
