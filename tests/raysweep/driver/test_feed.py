"""The feed between Tune and the packs: what becomes of a pack whose end the store refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from ray.tune.search import Searcher

from analysis.store.errors import StoreError
from analysis.store.results import Results
from raysweep.service.driver.feed import PackFeed
from raysweep.service.driver.losses import NODE_LOST
from raysweep.service.driver.packs import PackQueue
from raysweep.service.driver.supply import ListedTrials
from raysweep.service.messages import STOPPED, PlannedTrial, TrialReport, stopped_id
from raysweep.service.worker.execution import FinishedTrial, Worker
from tests.recipes import WALK, walks
from tests.studies import work_at


def planned(count: int) -> list[PlannedTrial]:
    return [PlannedTrial(trial_id=WALK.trial_id(each), knobs=each) for each in (walks(seed=n) for n in range(count))]


class Feeding:
    """A feed into a store, and what it reports."""

    def __init__(self, root: Path, trials: Sequence[PlannedTrial]) -> None:
        self.work = work_at(WALK, root, list(trials))
        self.reports: list[TrialReport] = []
        self.queue = PackQueue(ListedTrials(trials), 1, most=1)
        self.feed = self.feed_into(root)

    def feed_into(self, root: Path | str) -> PackFeed:
        work = replace(self.work, results=str(root))
        return PackFeed(self.queue, work, lambda reports, running: self.reports.extend(reports))

    def half_way(self, trial: PlannedTrial) -> FinishedTrial:
        """Return a trial as its actor hands it over at its second row."""
        watched = Worker(replace(self.work, learning=True)).watched(trial)
        next(watched)
        return next(watched)


def no_folder(root: Path) -> Path:
    """Return a root in which nothing can be written: it lies below a file."""
    (root / "file").write_text("")
    return root / "file" / "results"


def test_a_stopped_trial_is_stored_as_it_is(tmp_path: Path) -> None:
    (trial,) = trials = planned(1)
    feeding = Feeding(tmp_path, trials)
    assert feeding.feed.suggest("pack") is not None
    feeding.feed.stopped("pack", feeding.half_way(trial))
    assert Results(tmp_path).outcomes(WALK.name) == {stopped_id(trial.trial_id): STOPPED}
    assert [report.outcome for report in feeding.reports] == [STOPPED]


def test_a_store_that_refuses_a_stopped_trial_ends_the_sweep(tmp_path: Path) -> None:
    """With nothing handed out any more: Tune, too, sees that there is nothing to wait for."""
    trials = planned(3)
    feeding = Feeding(tmp_path, trials)
    refused = feeding.feed_into(no_folder(tmp_path))
    assert refused.suggest("pack") is not None
    refused.stopped("pack", feeding.half_way(trials[0]))
    assert refused.suggest("next") == Searcher.FINISHED
    assert feeding.reports == []
    with pytest.raises(StoreError):
        refused.raise_refusal()


def test_a_store_that_refuses_the_row_of_a_lost_trial_ends_the_sweep(tmp_path: Path) -> None:
    feeding = Feeding(tmp_path, planned(1))
    refused = feeding.feed_into(no_folder(tmp_path))
    for attempt in range(int(NODE_LOST.attempts)):
        assert refused.suggest(f"pack {attempt}") is not None
        refused.lost(f"pack {attempt}", NODE_LOST)
    assert refused.suggest("next") == Searcher.FINISHED
    with pytest.raises(StoreError):
        refused.raise_refusal()


def test_a_pack_that_comes_back_is_handed_out_again_until_its_store_has_refused_it_thrice(tmp_path: Path) -> None:
    feeding = Feeding(tmp_path, planned(1))
    for attempt in range(3):
        assert feeding.feed.suggest(f"pack {attempt}") is not None
        assert feeding.feed.suggest("another") is None, "what is out may come back"
        feeding.feed.reported(f"pack {attempt}", (), "no space left")
    assert feeding.feed.suggest("next") == Searcher.FINISHED
    with pytest.raises(StoreError, match="no space left"):
        feeding.feed.raise_refusal()
