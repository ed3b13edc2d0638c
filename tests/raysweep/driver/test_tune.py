"""The executor with a Ray of its own: Tune forgets what has ended; actors that cannot start, or write, are told of."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import ray
from ray.tune.execution.class_cache import _ActorClassCache
from ray.tune.experiment import Trial

from analysis.store.errors import StoreError
from analysis.store.results import Results
from raysweep.service.driver import tune
from raysweep.service.driver.cluster import connected, loopback
from raysweep.service.driver.process_state import no_environment_of_actors
from raysweep.service.driver.supply import ListedTrials
from raysweep.service.driver.tune import TuneExecutor
from raysweep.service.errors import ClusterError
from raysweep.service.messages import PlannedTrial, TrialReport
from raysweep.service.study import Resources
from raysweep.service.worker.actors import PackTrainable
from tests.conftest import Place
from tests.fault_proxy import fault_proxy
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
    ray.init(address="local", num_cpus=1, num_gpus=1, include_dashboard=False, log_to_driver=False, **loopback())
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


def test_a_store_that_refuses_ends_the_sweep_and_a_healed_one_goes_on(
    moto_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert moto_place.server is not None
    trials = planned(20)
    with fault_proxy(moto_place.server.endpoint) as (proxy, address):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        root = moto_place.root
        work = work_at(WALK, root, trials)
        heard: list[TrialReport] = []
        proxy.fault = lambda method, number, attempt: "denied" if method == "PUT" else None
        with connected(None):  # after the environment, which its actors have from it
            with pytest.raises(StoreError, match=r"(?i)denied"):
                TuneExecutor().run(work, ListedTrials(trials), lambda reports, running: heard.extend(reports))
            assert heard == []
            proxy.fault = lambda method, number, attempt: None
            TuneExecutor().run(work, ListedTrials(trials), lambda reports, running: heard.extend(reports))
        assert {report.trial_id for report in heard} == Results(root).finished("walk")
        assert len(heard) == 20


def test_actors_of_a_local_cluster_take_the_processes_that_wait() -> None:
    """For an actor with variables of its own Ray would start another."""
    with no_environment_of_actors():
        assert not _ActorClassCache().get(PackTrainable)._default_options["runtime_env"].get("env_vars")
    assert _ActorClassCache().get(PackTrainable)._default_options["runtime_env"]["env_vars"]
