"""Execution of trials in one process: what every executor does, wherever the process is."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import torch

from analysis.store.results import Results
from cluster.nodes import bought_as_spot, cost_dollars
from raysweep.service.messages import STOPPED, PlannedTrial, TrialReport, Work, stopped_id, teaches
from raysweep.service.provenance import NODE_TYPE, place
from raysweep.service.worker.groups import Told, grouped, told_together
from raysweep.service.worker.memory import begin_peak, device_of, failure, is_out_of_memory, peak_bytes, release
from raysweep.service.worker.stages import stages_of
from raysweep.service.worker.survival import Leaving, StoredCheckpoints
from trials.core.context import Together, TrialContext
from trials.core.data.arrays import bring_records
from trials.core.networks.precision import products_in
from trials.core.rows import Diverged, Value, checked

# Finished trials wait at most this long in memory for the rest of their pack before they are written.
FLUSH_SECONDS = 20.0


class Worker:
    """A process that runs trials and writes their rows.

    Args:
        work: What every trial of the sweep needs.
        leaving: Whether this process has been told to end soon.

    Raises:
        ClusterError: The trials need a GPU that this process does not have.
    """

    def __init__(self, work: Work, leaving: Callable[[], bool] = lambda: False) -> None:
        torch.set_num_threads(work.resources.cpus)
        bring_records(work.arrays.values())
        self._work = work
        self._leaving = leaving
        self._results = Results(work.results)
        self._checkpoints = self._results.checkpoints(work.schema.study)
        self._context = TrialContext(
            device=device_of(work.resources),
            arrays=work.arrays.__getitem__,
            stage_results=stages_of(work, self._results),
        )
        self._fitting: dict[Hashable | None, int] = {}

    @products_in("float32")
    def run_pack(self, pack: Iterable[PlannedTrial]) -> list[TrialReport]:
        """Run every trial of a pack and return its reports once their rows are durable.

        What has finished is written when the pack ends, is interrupted, or has run for `FLUSH_SECONDS`. A process that
        is told to end returns the reports it has; the trial it was in has left a checkpoint.
        """
        reports, waiting, written = list[TrialReport](), list[FinishedTrial](), time.monotonic()
        try:
            for finished in self._finished(pack):
                waiting += finished
                if time.monotonic() - written > FLUSH_SECONDS:
                    reports += self._write(waiting)
                    waiting, written = [], time.monotonic()
        except Leaving:
            pass
        finally:
            reports += self._write(waiting)
        return reports

    def _write(self, finished: Sequence[FinishedTrial]) -> list[TrialReport]:
        if finished:
            rows = {trial.row["trial_id"]: trial.rows for trial in finished}
            self._results.write(self._work.schema, [trial.row for trial in finished], rows)
        for trial in finished:
            if trial.checkpoints is not None:
                trial.checkpoints.settle(trial.report.outcome)
        return [trial.report for trial in finished]

    def _finished(self, pack: Iterable[PlannedTrial]) -> Iterator[list[FinishedTrial]]:
        """Yield the trials of a pack as they end, those that train together at once."""
        for group in grouped(pack, self._work.together, self._checkpoints.ids):
            yield from self._trained(group.key, group.trials)

    def _trained(self, key: Hashable | None, trials: Sequence[PlannedTrial]) -> Iterator[list[FinishedTrial]]:
        """Train trials of one key: as many at once as memory holds, and one by one where that fails."""
        together = self._work.together
        if together is None or len(trials) == 1:
            yield from ([self._alone(planned)] for planned in trials)
            return
        most = self._fitting.get(key, together.most)
        if len(trials) > most:
            for first in range(0, len(trials), most):
                yield from self._trained(key, trials[first : first + most])
            return
        try:
            finished = self._at_once(together, trials)
        except Exception as error:  # noqa: BLE001 - a recipe may raise anything; it counts only where a trial alone does
            short, reason = is_out_of_memory(error), repr(error)
        else:
            yield finished
            return
        if short:
            release()
            self._fitting[key] = len(trials) // 2
            yield from self._trained(key, trials)
        else:
            yield from self._one_by_one(trials, reason)

    def _one_by_one(self, trials: Sequence[PlannedTrial], reason: str) -> Iterator[list[FinishedTrial]]:
        """Train trials that could not train together, so that an error is stored with the trial it belongs to."""
        outcomes = set()
        for planned in trials:
            finished = self._alone(planned)
            outcomes.add(finished.report.outcome)
            yield [finished]
        if "failed" not in outcomes:
            study = self._work.schema.study
            warnings.warn(f"{study}: run_many fails where run does not: {reason}", RuntimeWarning, stacklevel=2)

    def _at_once(self, together: Together, trials: Sequence[PlannedTrial]) -> list[FinishedTrial]:
        started_at, began = datetime.now(UTC), time.monotonic()
        begin_peak(self._context.device)
        told = told_together(together, trials, self._context, self._work.measurements, self._leaving)
        seconds = (time.monotonic() - began) / len(trials)
        return [self._recorded(*each, seconds, started_at) for each in zip(trials, told, strict=True)]

    def _alone(self, planned: PlannedTrial) -> FinishedTrial:
        started_at = datetime.now(UTC)
        kept = self._kept(planned)
        *_, told = self._told(planned, kept)
        return replace(self._recorded(planned, told, kept.seconds, started_at), checkpoints=kept)

    def _kept(self, planned: PlannedTrial) -> StoredCheckpoints:
        work = self._work
        return StoredCheckpoints(self._checkpoints, planned, work.provenance, work.checkpoint_seconds, self._leaving)

    def watched(self, planned: PlannedTrial) -> Iterator[FinishedTrial]:
        """Run one trial and yield it at each row, as it is to be stored if it stops there; the last is durable."""
        started_at = datetime.now(UTC)
        kept = self._kept(planned)
        for told in self._told(planned, kept):
            so_far = self._recorded(planned, told, kept.seconds, started_at)
            if told.outcome != STOPPED:
                self._write([replace(so_far, checkpoints=kept)])
            yield so_far

    def _told(self, planned: PlannedTrial, kept: StoredCheckpoints) -> Iterator[Told]:
        """Yield what the recipe has told at each row, and at last how the trial ended."""
        work = self._work
        begin_peak(self._context.device)
        told = Told(kept.rows)
        try:
            for row in checked(work.trial(planned.knobs, replace(self._context, checkpoints=kept)), work.measurements):
                kept.rows.append(row)
                yield Told(kept.rows, STOPPED)
        except Diverged as divergence:
            told = Told(kept.rows, "diverged", str(divergence))
        except Exception as error:  # noqa: BLE001 - a recipe may raise anything; the sweep must go on and the row tell what it was
            told = Told([], "failed", failure(error, work.resources, place(self._context.device)["device_name"]))
            release()
        yield told

    def _recorded(self, planned: PlannedTrial, told: Told, seconds: float, started_at: datetime) -> FinishedTrial:
        work = self._work
        report = _report(work, planned, told.outcome, seconds, told.error)
        now, peak = datetime.now(UTC), peak_bytes(self._context.device)
        spent = {"started_at": started_at, "finished_at": now, "peak_memory_bytes": peak}
        stored = {**trial_row(work, planned, report), **place(self._context.device), **spent, **_final(work, told.rows)}
        if work.learning:
            report = replace(report, values={name: stored[name] for name in stored if teaches(name)})
        return FinishedTrial(report, stored, told.rows)


@dataclass(frozen=True)
class FinishedTrial:
    """A trial that has ended, or that might be ended where it is.

    Attributes:
        report: What the driver hears of it.
        row: Its row of the table of trials.
        rows: What it measured.
        checkpoints: Those it has left, None if it takes none.
    """

    report: TrialReport
    row: dict[str, Any]
    rows: Sequence[Mapping[str, Value]]
    checkpoints: StoredCheckpoints | None = None


def trial_row(work: Work, planned: PlannedTrial, report: TrialReport) -> dict[str, Any]:
    """Return the columns of a trial's row that its report and its knobs decide, wherever it ran."""
    columns = planned.knobs.columns()
    return {
        "trial_id": stopped_id(planned.trial_id) if report.outcome == STOPPED else planned.trial_id,
        "study": work.schema.study,
        "revision": work.schema.revision,
        "outcome": report.outcome,
        "error": report.error,
        "wall_seconds": report.wall_seconds,
        "gpu_seconds": report.gpu_seconds,
        "cost_dollars": report.cost_dollars,
        "device": "cuda" if work.resources.gpu_fraction else "cpu",
        "gpu_fraction": work.resources.gpu_fraction,
        **work.provenance.columns(planned.knobs),
        "rerun": planned.rerun,
        "knobs_json": json.dumps(columns, sort_keys=True),
        **columns,
    }


def write_lost(work: Work, trials: Sequence[PlannedTrial], error: str) -> list[TrialReport]:
    """Write a failed row for trials whose process was lost too often, and return their reports."""
    reports = [_report(work, lost, "failed", 0.0, error) for lost in trials]
    now = datetime.now(UTC)
    rows = [
        {**trial_row(work, planned, report), "started_at": now, "finished_at": now, **_final(work, [])}
        for planned, report in zip(trials, reports, strict=True)
    ]
    if rows:
        Results(work.results).write(work.schema, rows, {row["trial_id"]: [] for row in rows})
    return reports


def _report(work: Work, planned: PlannedTrial, outcome: str, seconds: float, error: str | None) -> TrialReport:
    gpus, node = work.resources.gpu_fraction, os.environ.get(NODE_TYPE)
    return TrialReport(
        trial_id=planned.trial_id,
        outcome=outcome,
        wall_seconds=seconds,
        error=error,
        gpu_seconds=seconds * gpus,
        cost_dollars=cost_dollars(node, seconds, gpus, work.resources.cpus, spot=bought_as_spot()),
    )


def _final(work: Work, rows: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    last = rows[-1] if rows else {}
    values = {f"final_{name}": last.get(name) for name, entry in work.measurements.items() if not entry.inner_axis}
    return {"steps_recorded": len(rows), **values}
