"""What only a machine with a GPU can show: measured peaks, the cap of a share, and what is said where it ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from analysis.store.results import Results
from cluster.cards import memory_cap
from raysweep.service.messages import PlannedTrial
from raysweep.service.study import Recipe, Resources
from raysweep.service.worker.execution import Worker
from raysweep.service.worker.memory import GIB, gpu_memory_gib
from raysweep.service.worker.shares import CudaGauge
from tests.recipes import WALK, WalkKnobs, walks
from tests.studies import work_at
from trials.core.context import TrialContext
from trials.core.rows import Row

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
MIB = 2**20


@pytest.fixture(autouse=True)
def uncapped() -> Iterator[None]:
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def loaded(knobs: WalkKnobs, context: TrialContext) -> Iterator[Row]:
    carried = torch.empty(knobs.load * MIB, dtype=torch.uint8, device=context.device)
    yield {"step": 0, "height": float(len(carried))}


def test_the_peak_is_what_was_allocated() -> None:
    gauge = CudaGauge()
    peaks = [gauge.peak_gib(lambda size=size: torch.empty(size * MIB, device="cuda")) for size in (200, 50)]  # type: ignore[misc]
    assert [peak * 1024 for peak in peaks] == pytest.approx([800, 200], rel=0.1)
    assert 1 < gauge.memory_gib() < 1000
    assert gauge.name()


def test_a_share_ends_at_its_cap_and_the_neighbours_finish(tmp_path: Path) -> None:
    share = 1 / 8
    cap = memory_cap(share, gpu_memory_gib()) * gpu_memory_gib() * GIB / MIB
    knobs = [walks(seed=seed, load=int(load)) for seed, load in enumerate((cap / 2, 1.1 * cap, cap / 2))]
    trials = [PlannedTrial(trial_id=WALK.trial_id(each), knobs=each) for each in knobs]
    work = work_at(replace(WALK, recipe=Recipe(run=loaded), resources=Resources(gpus=share)), tmp_path, trials)
    told = Worker(work).run_pack(trials)
    assert [report.outcome for report in told] == ["finished", "failed", "finished"]
    assert f"its share of resources.gpus=0.125 of {torch.cuda.get_device_name()}; give it more" in str(told[1].error)
    assert set(Results(tmp_path).trials("walk")["device"]) == {"cuda"}


def test_a_trial_s_peak_is_stored_and_is_of_none_before_it(tmp_path: Path) -> None:
    trials = [
        PlannedTrial(trial_id=WALK.trial_id(each), knobs=each)
        for each in (walks(seed=seed, load=load) for seed, load in enumerate((64, 256, 16)))
    ]
    study = replace(WALK, recipe=Recipe(run=loaded), resources=Resources(gpus=1))
    Worker(work_at(study, tmp_path, trials)).run_pack(trials)
    peaks = Results(tmp_path).trials("walk").set_index("load")["peak_memory_bytes"]
    before = torch.cuda.memory_allocated()
    assert ((peaks - before) / MIB).to_dict() == pytest.approx({64: 64, 256: 256, 16: 16}, abs=1)
