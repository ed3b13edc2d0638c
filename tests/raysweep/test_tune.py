"""What the executor asks of this version of Tune: that it forgets, and that an actor that cannot start is told of."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import ray
from ray.tune.experiment import Trial

from analysis.core.results import Results
from raysweep.service import tune
from raysweep.service.errors import ClusterError
from raysweep.service.messages import PlannedTrial, TrialReport
from raysweep.service.study import Resources
from raysweep.service.supply import ListedTrials
from raysweep.service.tune import TuneExecutor
from tests.recipes import WALK, walks
from tests.studies import work_at

pytestmark = pytest.mark.slow

TRIALS = 200


def planned(count: int) -> list[PlannedTrial]:
    return [PlannedTrial(trial_id=WALK.trial_id(each), knobs=each) for each in (walks(seed=n) for n in range(count))]


def test_tune_forgets_the_trials_that_have_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "MOST_TRIALS", 1)  # a trial of Tune's for each of ours
    alive: list[int] = []
    trials = planned(TRIALS)

    def listen(reports: object, running: int) -> None:
        if reports and len(Results(tmp_path).finished(WALK.name)) > TRIALS // 2 and not alive:
            gc.collect()
            alive.append(sum(type(each) is Trial for each in gc.get_objects()))

    TuneExecutor().run(work_at(WALK, tmp_path, trials), ListedTrials(trials), listen)
    assert len(Results(tmp_path).finished(WALK.name)) == TRIALS
    assert 0 < alive[0] < TRIALS // 4, "those under way and those that wait for an actor, not the half that has ended"


@pytest.fixture
def ray_with_a_gpu_that_is_none() -> Iterator[None]:
    ray.init(address="local", num_cpus=1, num_gpus=1, include_dashboard=False, log_to_driver=False, **tune._loopback())
    yield
    ray.shutdown()


def test_an_actor_that_cannot_start_ends_the_sweep_with_its_reason(
    ray_with_a_gpu_that_is_none: None, tmp_path: Path
) -> None:
    trials = planned(3)
    work = replace(work_at(WALK, tmp_path, trials), resources=Resources(gpus=1))
    heard: list[TrialReport] = []
    with pytest.raises(ClusterError, match=r"an actor cannot start: resources\.gpus asks for a GPU, but this process"):
        TuneExecutor().run(work, ListedTrials(trials), lambda reports, running: heard.extend(reports))
    assert heard == []
    assert not Results(tmp_path).outcomes(WALK.name), "no trial is to blame"
