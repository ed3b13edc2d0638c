"""Shares of a GPU that are measured: on memory of the host, which has peaks as a GPU's has."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import ray
import torch

from analysis.store.results import Results
from raysweep.k_phase_diagram import STUDY as K_PHASE
from raysweep.service.commands.configuration import read_settings
from raysweep.service.driver.cluster import connected  # before anything of Ray's that reads its environment
from raysweep.service.driver.serial import SerialExecutor
from raysweep.service.driver.supply import AHEAD, AskedTrials, ListedTrials
from raysweep.service.errors import ClusterError
from raysweep.service.messages import PlannedTrial
from raysweep.service.study import Recipe, Resources, Study
from raysweep.service.worker import shares
from raysweep.service.worker.execution import Worker
from raysweep.service.worker.memory import failure, is_out_of_memory
from raysweep.service.worker.shares import Measured, described, measured_groups, resources_of, shapes

from raysweep.service.driver.measuring import resolved_resources  # isort: skip
from tests.recipes import WALK, HostGauge, WalkKnobs, walk, walking_together, walks
from tests.studies import work_at
from trials.core.context import TrialContext
from trials.core.rows import Row

AUTO = Resources(gpus="auto")
H100 = Measured(device="H100", memory_gib=79.0, peak_gib=1.3, shapes=1)


def planned(*knobs: WalkKnobs) -> list[PlannedTrial]:
    return [PlannedTrial(trial_id=WALK.trial_id(each), knobs=each) for each in knobs]


def peak_mib(study: Study, root: Path, trials: Sequence[PlannedTrial]) -> float:
    groups = shapes(trials, study.together)
    return measured_groups(work_at(study, root, list(trials)), groups, HostGauge()).peak_gib * 1024


def test_trials_of_one_shape_differ_in_seed_and_real_numbers() -> None:
    grid = itertools.product((0, 1), (1.0, 2.0), (10, 200, 30))
    trials = planned(*(walks(seed=seed, slope=slope, load=load) for seed, slope, load in grid))
    assert [group.trials[0].knobs.load for group in shapes(trials, None)] == [200, 30, 10], "the largest comes first"
    assert {len(group.trials) for group in shapes(trials, None)} == {1}


def test_those_that_train_together_are_measured_together() -> None:
    trials = planned(*(walks(seed=seed, steps=steps) for steps in (1, 2, 3) for seed in range(40)))
    groups = shapes(trials, walking_together().together)
    assert [(group.key, len(group.trials)) for group in groups] == [(3, 32), (2, 32), (None, 1)]


def test_the_peak_is_that_of_the_most_demanding_shape(tmp_path: Path) -> None:
    trials = planned(walks(load=30), walks(load=300), walks(load=100))
    assert peak_mib(WALK, tmp_path, trials) == pytest.approx(300, rel=0.02)


def test_a_group_takes_what_all_of_it_takes(tmp_path: Path) -> None:
    trials = planned(*(walks(seed=seed, load=20) for seed in range(8)))
    assert peak_mib(WALK, tmp_path, trials) == pytest.approx(20, rel=0.05)
    assert peak_mib(walking_together(), tmp_path, trials) == pytest.approx(160, rel=0.02)


def test_a_shape_that_does_not_fit_takes_all(tmp_path: Path) -> None:
    assert peak_mib(WALK, tmp_path, planned(walks(behaviour="needs_memory"))) == 2048


@pytest.mark.parametrize("behaviour", ["raises", "diverges", "yields_nonsense"])
def test_what_else_is_wrong_with_a_trial_is_left_to_the_sweep(behaviour: str, tmp_path: Path) -> None:
    trials = planned(walks(behaviour=behaviour, steps=2, load=50))
    assert peak_mib(WALK, tmp_path, trials) == pytest.approx(50, rel=0.02)


yielded: list[int] = []


def endless(knobs: WalkKnobs, context: TrialContext) -> Iterator[Row]:
    for row in walk(replace(knobs, steps=10**9), context):
        yielded.append(int(row["step"] or 0))
        yield row


def rowless(knobs: WalkKnobs, context: TrialContext) -> Iterator[Row]:
    for step in itertools.count():
        context.checkpoints.offer(step, dict, last=False)
    yield {"step": 0, "height": 0.0}


def test_only_the_beginning_is_trained(tmp_path: Path) -> None:
    yielded.clear()
    peak_mib(replace(WALK, recipe=Recipe(run=endless)), tmp_path, planned(walks()))
    assert yielded == [0, 1, 2]


def test_a_trial_without_rows_ends_at_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "SECONDS_A_SHAPE", 0.05)
    assert peak_mib(replace(WALK, recipe=Recipe(run=rowless)), tmp_path, planned(walks())) < 1


def test_shapes_without_time_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "SECONDS", -1.0)
    trials = planned(*(walks(load=load) for load in (1, 2, 3)))
    found = measured_groups(work_at(WALK, tmp_path, trials), shapes(trials, None), HostGauge())
    assert (found.shapes, found.unmeasured) == (1, 2)
    assert "(2 more were not measured)" in described(found, Resources(gpus=1.0))


@pytest.mark.parametrize(
    ("found", "resources", "cpus", "share"),
    [
        (H100, AUTO, 16, 0.0625),
        (H100, AUTO, 8, 0.125),
        (H100, Resources(cpus=4, gpus="auto"), 16, 0.25),
        (replace(H100, peak_gib=20.0), AUTO, 16, 0.3333),
        (replace(H100, peak_gib=70.0), AUTO, 16, 1.0),
        (replace(H100, peak_gib=79.0), AUTO, 16, 1.0),
        (replace(H100, peak_gib=0.0), AUTO, 16, 0.0625),
    ],
)
def test_the_share_is_the_smallest_that_holds_it(
    found: Measured, resources: Resources, cpus: int, share: float
) -> None:
    assert resources_of(found, resources, cpus) == replace(resources, gpus=share)


def test_too_few_cores_beside_the_gpu_are_said() -> None:
    with pytest.raises(ClusterError, match=r"resources.gpus=auto: .* 8 cores does not fit on one H100, .* and 4 cores"):
        resources_of(H100, Resources(cpus=8, gpus="auto"), cpus=4)


def test_the_line_says_what_was_found() -> None:
    line = "resources.gpus=auto: peak 1.3 GiB of 79 GiB, 0.0625 of a GPU each"
    assert described(H100, Resources(gpus=0.0625)) == line
    assert described(replace(H100, shapes=3), Resources(gpus=0.0625)) == line.replace(
        " GiB, ", " GiB, the largest of 3 shapes, "
    )


def test_auto_is_no_number_before_it_is_measured() -> None:
    with pytest.raises(ValueError, match="is no number before a trial has been measured"):
        _ = AUTO.gpu_fraction


def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    work = replace(work_at(WALK, tmp_path, planned(walks())), resources=Resources(gpus=0.25))
    with pytest.raises(ClusterError, match="this process sees no CUDA device") as refused:
        Worker(work)
    assert "\n" not in str(refused.value)


def test_one_process_takes_the_whole_gpu_or_none(tmp_path: Path) -> None:
    trials = planned(walks())
    work = replace(work_at(WALK, tmp_path, trials), resources=AUTO)
    SerialExecutor().run(work, ListedTrials(trials), lambda reports, running: None)
    assert Results(tmp_path).trials("walk")["gpu_fraction"].tolist() == [float(torch.cuda.is_available())]


def test_memory_that_ends_is_told_with_the_share() -> None:
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
    first = [failure(full, Resources(gpus=gpus), "NVIDIA L4").splitlines()[0] for gpus in (0.25, 1.0, 0.0)]
    begins = "out of memory: the trial asked for more than "
    assert first == [
        f"{begins}its share of resources.gpus=0.25 of NVIDIA L4; give it more",
        f"{begins}NVIDIA L4 has with resources.gpus=1; make it smaller",
        f"{begins}this machine has left; make it smaller, or run fewer at once",
    ]
    assert failure(MemoryError(), Resources(gpus=0.25), "NVIDIA L4").splitlines()[0] == first[2]


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_memory_that_ends_is_told_from_other_errors(error: Exception, short: bool) -> None:
    assert is_out_of_memory(error) is short


def test_a_search_hands_out_what_was_looked_at_ahead() -> None:
    space = ["space=search", "search.trials=12"]
    supply = AskedTrials(K_PHASE, read_settings(K_PHASE, space).planner, [])
    remaining = supply.remaining
    ahead = list(supply.ahead())
    assert supply.remaining == remaining
    assert 0 < len(ahead) <= AHEAD
    assert supply.take(3) + supply.take(len(ahead) - 3) == ahead
    assert not {trial.trial_id for trial in supply.ahead()} & {trial.trial_id for trial in ahead}


@pytest.mark.slow
def test_on_a_cluster_a_process_of_its_own_measures(tmp_path: Path) -> None:
    trials = planned(walks(load=10), walks(load=400), walks(seed=1, load=400))
    work = replace(work_at(WALK, tmp_path, trials), resources=AUTO)
    told: list[str] = []
    ray.init(address="local", num_cpus=4, num_gpus=1, include_dashboard=False, log_to_driver=False)
    try:
        with connected(None):
            chosen = resolved_resources(work, trials, HostGauge(), told.append)
            assert chosen == Resources(gpus=0.5), "1.2 * 0.39 GiB and a context, twice, are 1.94 GiB"
            assert told == ["resources.gpus=auto: peak 0.391 GiB of 2 GiB, the largest of 2 shapes, 0.5 of a GPU each"]
            assert resolved_resources(work, [], HostGauge(), told.append).gpus == 1.0
            assert resolved_resources(replace(work, resources=Resources(gpus=0.25)), trials).gpus == 0.25
            greedy = replace(work, resources=Resources(cpus=5, gpus="auto"))
            with pytest.raises(ClusterError, match=r"no node has a GPU and resources\.cpus=5"):
                resolved_resources(greedy, trials, HostGauge())
            if not torch.cuda.is_available():
                with pytest.raises(ClusterError, match=r"^resources\.gpus asks for a GPU, .* sees no CUDA device"):
                    resolved_resources(work, trials)
    finally:
        ray.shutdown()
    assert Results(tmp_path).finished("walk") == set(), "what is measured is not stored"


@pytest.mark.slow
def test_a_cluster_without_a_gpu_trains_on_cpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = replace(work_at(WALK, tmp_path, planned(walks())), resources=AUTO)
    ray.init(address="local", num_cpus=1, num_gpus=0, include_dashboard=False, log_to_driver=False)
    try:
        assert resolved_resources(work, planned(walks())) == Resources(gpus=0.0)
    finally:
        ray.shutdown()
    assert capsys.readouterr().out == "resources.gpus=auto: no node with a GPU is up, trials run on CPUs\n"
