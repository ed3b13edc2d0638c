"""Trials that are broken off go on from their checkpoint, and longer trials go on from shorter ones."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.store.checkpoints import Checkpoint
from analysis.store.errors import StoreWarning
from analysis.store.results import Results
from raysweep.k_phase_diagram import STUDY as TRAINED_TOGETHER
from raysweep.service.code import TrialCode
from raysweep.service.commands.study_command import main
from raysweep.service.driver.packs import resuming
from raysweep.service.messages import PlannedTrial
from raysweep.service.study import Recipe
from raysweep.service.worker import survival
from raysweep.service.worker.execution import Worker
from tests.studies import run_serially, smallest_sweep, work_at
from trials.core.checkpoints import LAYOUT
from trials.core.context import TrialContext
from trials.core.rows import Row
from trials.k_phase_diagram.knobs import KPhaseKnobs

# Trials that train together leave no checkpoints.
STUDY = dataclasses.replace(TRAINED_TOGETHER, recipe=Recipe(run=TRAINED_TOGETHER.trial))
SERIAL = ("executor=serial", "space=smoke")


def rows(root: Path, *trial_ids: str) -> pd.DataFrame:
    results = Results(root).only(trial_ids) if trial_ids else Results(root)
    return results.measurements(STUDY.name).sort_values(["trial_id", "step"], ignore_index=True)


class LeavingAfter:
    """Tells the process to end when it has been asked a number of times."""

    def __init__(self, asked: int) -> None:
        self.left = asked

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("asked", [0, 1, 10, 21, 50, 120])
def test_a_process_told_to_end_leaves_a_checkpoint_and_another_goes_on(asked: int, tmp_path: Path) -> None:
    trials = smallest_sweep(STUDY)
    run_serially(STUDY, tmp_path / "undisturbed", trials)
    work = work_at(STUDY, tmp_path / "disturbed", trials)
    reports = Worker(work, LeavingAfter(asked)).run_pack(trials)
    finished = {report.trial_id for report in reports}
    assert len(finished) < len(trials)
    left = [resuming(trial) for trial in trials if trial.trial_id not in finished]
    assert Results(work.results).checkpoints(STUDY.name).ids() == {left[0].trial_id}
    Worker(work).run_pack(left)
    pd.testing.assert_frame_equal(rows(tmp_path / "disturbed"), rows(tmp_path / "undisturbed"))
    assert not Results(work.results).checkpoints(STUDY.name).ids(), "a finished short trial leaves no checkpoint"


def test_the_parts_of_a_state_keep_their_order(tmp_path: Path) -> None:
    """The first layer of a network is the first of its parameters, after a resumption too."""
    arrays = {name: np.zeros(2) for name in ("hidden/weight", "a/bias", "readout/weight", "b")}
    checkpoints = Results(tmp_path).checkpoints(STUDY.name)
    checkpoints.write("t", Checkpoint(3, arrays, [], 1.0))
    found = checkpoints.read("t")
    assert found is not None
    assert list(found.arrays) == list(arrays)


def test_a_checkpoint_that_cannot_be_read_means_starting_over(tmp_path: Path) -> None:
    trial = resuming(smallest_sweep(STUDY)[0])
    work = work_at(STUDY, tmp_path, [trial])
    place = tmp_path / STUDY.name / "checkpoints"
    place.mkdir()
    (place / f"{trial.trial_id}.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00truncate")
    with pytest.warns(UserWarning, match="is no checkpoint"):
        (report,) = Worker(work).run_pack([trial])
    assert report.outcome == "finished"


def test_a_checkpoint_of_the_former_layout_is_left_aside_and_no_row_doubles(tmp_path: Path) -> None:
    trials = smallest_sweep(STUDY)[:1]
    run_serially(STUDY, tmp_path / "undisturbed", trials)
    work = work_at(STUDY, tmp_path / "disturbed", trials)
    Worker(work, LeavingAfter(15)).run_pack(trials)
    checkpoints = Results(work.results).checkpoints(STUDY.name)
    left = checkpoints.read(trials[0].trial_id)
    assert left is not None and left.rows and left.layout == LAYOUT
    _without_a_layout(tmp_path / "disturbed" / STUDY.name / "checkpoints" / f"{trials[0].trial_id}.safetensors")
    with pytest.warns(StoreWarning, match=f"has layout 1, this version reads {LAYOUT}; it is left aside"):
        Worker(work).run_pack([resuming(trials[0])])
    pd.testing.assert_frame_equal(rows(tmp_path / "disturbed"), rows(tmp_path / "undisturbed"))
    assert not checkpoints.ids(), "it goes when its trial is finished"


@pytest.mark.parametrize(
    ("changed", "rerun", "reason"),
    [
        ({"code": TrialCode(("trials.useful_sam.recipe",))}, 0, "was left by other code"),
        ({"data_hashes": {"digits": "other"}}, 0, "was left by a trial on other data"),
        ({}, 1, "was left before the trial was to be computed anew"),
    ],
)
def test_nothing_goes_on_from_what_other_code_other_data_or_an_earlier_run_left(
    tmp_path: Path, changed: dict[str, object], rerun: int, reason: str
) -> None:
    trials = [dataclasses.replace(trial, rerun=rerun) for trial in smallest_sweep(STUDY)[:1]]
    work = work_at(STUDY, tmp_path, trials)
    Worker(work, LeavingAfter(15)).run_pack([dataclasses.replace(trials[0], rerun=0)])
    now = dataclasses.replace(work, provenance=dataclasses.replace(work.provenance, **changed))
    with pytest.warns(StoreWarning, match=reason):
        Worker(now, LeavingAfter(3)).run_pack([resuming(trials[0])])
    again = Results(tmp_path).checkpoints(STUDY.name).read(trials[0].trial_id)
    assert again is not None and again.step < 5
    Worker(now).run_pack([resuming(trials[0])])  # from its own
    assert list(Results(tmp_path).trials(STUDY.name)["rerun"]) == [rerun]


def _without_a_layout(path: Path) -> None:
    """Rewrite a checkpoint as versions wrote it that knew no layouts."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    progress = json.loads(header["__metadata__"]["progress"])
    del progress["layout"]
    header["__metadata__"]["progress"] = json.dumps(progress)
    former = json.dumps(header).encode()
    former += b" " * (-len(former) % 8)
    path.write_bytes(len(former).to_bytes(8, "little") + former + content[end:])


began_at: list[int] = []


def counted(knobs: KPhaseKnobs, context: TrialContext) -> Iterator[Row]:
    saved = context.checkpoints.restored(context.device)
    began_at.append(0 if saved is None else saved.step)
    return STUDY.trial(knobs, context)


def test_twice_the_steps_runs_only_the_second_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(survival, "WORTH_KEEPING_SECONDS", 0.0)
    began_at.clear()
    study = dataclasses.replace(STUDY, recipe=Recipe(run=counted))
    assert main(study, [*SERIAL, f"results={tmp_path / 'grown'}", "steps=20"]) == 0
    assert main(study, [*SERIAL, f"results={tmp_path / 'grown'}", "steps=40"]) == 0
    assert began_at == [0] * 6 + [20] * 6
    assert "6 go on from a shorter one" in capsys.readouterr().out
    assert main(STUDY, [*SERIAL, f"results={tmp_path / 'direct'}", "steps=40"]) == 0
    ids = [trial.trial_id for trial in smallest_sweep(STUDY, "steps=40")]
    pd.testing.assert_frame_equal(rows(tmp_path / "grown", *ids), rows(tmp_path / "direct", *ids))


def test_a_trial_goes_on_only_from_what_it_is_told() -> None:
    trial = PlannedTrial(trial_id="a", knobs=smallest_sweep(STUDY)[0].knobs, goes_on_from=("b", "a"))
    assert resuming(trial).goes_on_from == ("a", "b")
