"""Trials in the actors of one local Ray: the rows of trials in this process, and no trial is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from analysis.store.results import Results
from raysweep.k_phase_diagram import STUDY
from raysweep.service.driver.cluster import connected
from raysweep.service.driver.serial import SerialExecutor
from raysweep.service.driver.supply import ListedTrials
from raysweep.service.driver.tune import TuneExecutor
from raysweep.service.errors import ClusterError
from tests.raysweep.driver.executions import planned, run, tables
from tests.recipes import WALK, walking_together, walks
from tests.studies import smallest_sweep, work_at

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("local_ray")]


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """Start Ray once: an executor goes on with the one that its process is connected to."""
    with connected(None):
        yield


def test_serial_and_tune_rows_are_equal(tmp_path: Path) -> None:
    """To rounding: which trials train together depends on the packs, and with it the order of float32 arithmetic."""
    trials = smallest_sweep(STUDY)
    for name, executor in {"serial": SerialExecutor(), "tune": TuneExecutor()}.items():
        heard = run(executor, STUDY, tmp_path / name, trials)
        assert sorted(report.trial_id for report in heard) == sorted(trial.trial_id for trial in trials)
    for serial, tune in zip(tables(tmp_path / "serial", STUDY), tables(tmp_path / "tune", STUDY), strict=True):
        pd.testing.assert_frame_equal(serial, tune, rtol=1e-4, atol=1e-6)


def test_a_trial_that_kills_its_process_fails_alone(tmp_path: Path) -> None:
    trials = planned(*(walks(seed=seed) for seed in range(30)), walks(behaviour="dies"), walks(behaviour="raises"))
    heard = run(TuneExecutor(), WALK, tmp_path, trials)
    assert Counter(report.outcome for report in heard) == {"finished": 30, "failed": 2}
    table = Results(tmp_path).trials("walk").set_index("behaviour")
    assert table["outcome"].value_counts().to_dict() == {"finished": 30, "failed": 2}
    assert "process that ran this trial died each time" in table.loc["dies", "error"]
    assert "the walk was broken off" in table.loc["raises", "error"]


def test_resources_this_machine_lacks_are_refused(tmp_path: Path) -> None:
    trials = planned(walks())
    work = work_at(WALK, tmp_path, trials)
    greedy = type(work)(**{**work.__dict__, "resources": type(work.resources)(cpus=1000)})
    with pytest.raises(ClusterError, match=r"a trial asks for resources.cpus=1000 .*; this machine has \d+ CPUs"):
        TuneExecutor().run(greedy, ListedTrials(trials), lambda reports, running: None)


def test_groups_train_in_actors(tmp_path: Path) -> None:
    trials = planned(
        *(walks(seed=seed) for seed in range(60)),
        *(walks(seed=seed, behaviour="diverges") for seed in range(3)),
        walks(behaviour="raises"),
    )
    heard = run(TuneExecutor(), walking_together(), tmp_path / "together", trials)
    assert sorted(report.trial_id for report in heard) == sorted(trial.trial_id for trial in trials)
    run(SerialExecutor(), WALK, tmp_path / "alone", trials)
    for together, alone in zip(tables(tmp_path / "together", WALK), tables(tmp_path / "alone", WALK), strict=True):
        pd.testing.assert_frame_equal(together, alone)
