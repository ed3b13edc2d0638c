"""The feed between Tune and the packs: Tune asks it for work and tells it what came of it.

Imported by `raysweep.service.driver.tune` alone, after Ray's environment is set.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.search import Searcher

from analysis.store.errors import StoreError
from analysis.store.results import Results
from raysweep.service.driver.losses import Loss, loss_of
from raysweep.service.driver.packs import Pack, PackQueue
from raysweep.service.driver.recovery import stored_reports
from raysweep.service.driver.serial import Listener
from raysweep.service.errors import ClusterError
from raysweep.service.messages import TrialReport, Work
from raysweep.service.worker.execution import FinishedTrial, write_lost

REFUSALS = 3


class PackFeed(Searcher):
    """Feeds Tune with packs as actors ask for them, so that a pack's size follows the times measured so far."""

    def __init__(self, queue: PackQueue, work: Work, listener: Listener) -> None:
        super().__init__()
        self._queue = queue
        self._work = work
        self._listener = listener
        self._handed_out: dict[str, Pack] = {}
        self._started: set[str] = set()
        self._refusals: list[Exception] = []

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        pack = None if self._given_up else self._queue.take()
        if pack is None:
            # A pack that is out may still be lost and come back.
            return None if self._handed_out else Searcher.FINISHED
        self._handed_out[trial_id] = pack
        return {"pack": pack}

    def reported(self, trial_id: str, reports: Sequence[TrialReport], refusal: str | None) -> None:
        """Pass on the reports of a pack whose rows are durable; take back what the store refused."""
        self._refusals = [*self._refusals, StoreError(refusal)] if refusal else []
        pack = self._taken_back(trial_id)
        assert pack is not None
        reported = {report.trial_id for report in reports}
        self._queue.finished(reports)
        self._queue.unfinished(trial for trial in pack.trials if trial.trial_id not in reported)
        self._listener(reports, self._trials_running())

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Hear nothing new: the reports of a pack have come before, and a loss is told with its reason."""

    def stopped(self, trial_id: str, trial: FinishedTrial) -> None:
        """Store a trial that Tune's scheduler has just stopped, as it is, and pass on its report."""
        results = Results(self._work.results)
        try:
            results.write(self._work.schema, [trial.row], {trial.row["trial_id"]: trial.rows})
            results.checkpoints(self._work.schema.study).delete(trial.report.trial_id)
        except StoreError as error:
            self._taken_back(trial_id)  # it has ended for Tune, and the sweep must not wait for it
            self._refusals = [error] * REFUSALS
        else:
            self.reported(trial_id, [trial.report], None)

    def not_started(self, trial_id: str, reason: str) -> None:
        """Take back a pack whose actor could not even be set up: no trial is to blame."""
        self._refusals = [*self._refusals, ClusterError(f"an actor cannot start: {reason}")]
        pack = self._taken_back(trial_id)
        if pack is not None:
            self._queue.unfinished(pack.trials)

    def lost(self, trial_id: str, loss: Loss) -> None:
        """Take back a pack whose actor was lost; what it had written before is durable and not run again."""
        pack = self._taken_back(trial_id)
        if pack is None:
            return
        try:
            reports = stored_reports(self._work, pack.trials)
            durable = {report.trial_id for report in reports}
            again = [trial for trial in pack.trials if trial.trial_id not in durable]
            reports += write_lost(self._work, self._queue.lost(again, loss), loss.error)
        except StoreError as error:
            self._refusals = [error] * REFUSALS
            return
        self._queue.finished(reports)
        self._listener(reports, self._trials_running())

    def raise_refusal(self) -> None:
        """Raise what the sweep was given up for, if it was."""
        if self._given_up:
            raise self._refusals[-1]

    @property
    def _given_up(self) -> bool:
        """Whether the store or the cluster has refused several packs on end: retries have waited long before each."""
        return len(self._refusals) >= REFUSALS

    def started(self, trial_id: str) -> None:
        """Note that an actor has begun a pack; until then it waits for a free one."""
        self._started.add(trial_id)
        self._queue.at_work(len(self._started))

    def tick(self) -> None:
        """Let the listener show that time goes by."""
        self._listener((), self._trials_running())

    def _taken_back(self, trial_id: str) -> Pack | None:
        self._started.discard(trial_id)
        return self._handed_out.pop(trial_id, None)

    def _trials_running(self) -> int:
        """Return the number of actors at work: each runs the trials of its pack one after another."""
        return len(self._started)

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles a searcher to restore it, and what is left to do follows from the store."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Save nothing, for the same reason."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing, for the same reason."""


class PackReports(TrialProgressCallback):
    """Hands the end of a pack to the feed: its result or why its actor was lost, which Tune tells no searcher.

    It stands in the place of Tune's own printing of progress, which keeps every trial.
    """

    def __init__(self, feed: PackFeed) -> None:
        super().__init__()
        self._feed = feed

    def setup(self, *args: Any, **info: Any) -> None:
        """Print nothing at the start; the sweep has its own display."""

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Hear nothing new: the result came before."""

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._feed.started(trial.trial_id)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if result["done"] and result["so_far"] is not None:
            self._feed.stopped(trial.trial_id, result["so_far"])
        elif result["done"]:
            self._feed.reported(trial.trial_id, result["reports"], result["refusal"])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        error, text = _error_of(trial)
        if getattr(error, "actor_init_failed", False):
            *_, reason = str(error).strip().splitlines()
            self._feed.not_started(trial.trial_id, re.sub(r"^[\w.]+Error: ", "", reason))
        else:
            self._feed.lost(trial.trial_id, loss_of(error, text))

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._feed.tick()


def _error_of(trial: Any) -> tuple[BaseException | None, str]:
    """Return the error that ended a Tune trial, where it could be pickled, and its text.

    Tune's own accessors look where it copies these files to, which it does later if at all.
    """
    pickled, written = (Path(file) if file else None for file in (trial.pickled_error_file, trial.error_file))
    error = cloudpickle.loads(pickled.read_bytes()) if pickled and pickled.exists() else None
    return error, written.read_text(encoding="utf-8") if written and written.exists() else ""
