"""Execution of trials in one process: what every executor does, wherever the process is."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import torch

from analysis.core.results import Results
from analysis.core.schema import StudySchema
from raysweep.service.provenance import Provenance, place
from raysweep.service.study import Resources, Study, Trial
from trials.core.context import TrialContext
from trials.core.data.arrays import Arrays
from trials.core.knobs import TrialKnobs
from trials.core.rows import Diverged, Measurements, Value, checked

# Finished trials wait at most this long in memory for the rest of their pack before they are written.
FLUSH_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class PlannedTrial:
    """One trial to run: its identity and its knobs."""

    trial_id: str
    knobs: TrialKnobs


@dataclass(frozen=True, kw_only=True)
class TrialReport:
    """What the driver hears of a trial, after its rows are durable.

    Attributes:
        error: Traceback of a failed trial, reason of a diverged one.
    """

    trial_id: str
    outcome: str
    wall_seconds: float
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Work:
    """What an actor needs to run any trial of a sweep, shipped once."""

    trial: Trial
    measurements: Measurements
    schema: StudySchema
    results: str
    arrays: Mapping[str, Arrays]
    provenance: Provenance
    resources: Resources


def work_of(
    study: Study, results: str, arrays: Mapping[str, Arrays], provenance: Provenance, resources: Resources
) -> Work:
    """Return a study's work as an actor needs it, without what only the driver uses."""
    return Work(
        trial=study.trial,
        measurements=study.measurements,
        schema=study.schema,
        results=results,
        arrays=arrays,
        provenance=provenance,
        resources=resources,
    )


@dataclass
class Worker:
    """A process that runs trials and writes their rows."""

    work: Work
    results: Results = field(init=False)
    context: TrialContext = field(init=False)

    def __post_init__(self) -> None:
        gpu = self.work.resources.gpus > 0
        torch.set_num_threads(self.work.resources.cpus)
        self.results = Results(self.work.results)
        self.context = TrialContext(device=torch.device("cuda" if gpu else "cpu"), arrays=self.work.arrays.__getitem__)

    def run_pack(self, pack: Iterable[PlannedTrial]) -> list[TrialReport]:
        """Run every trial of a pack and return its reports once their rows are durable.

        What has finished is written when the pack ends, is interrupted, or has run for `FLUSH_SECONDS`.
        """
        reports: list[TrialReport] = []
        waiting: list[_FinishedTrial] = []
        written = time.monotonic()
        try:
            for planned in pack:
                waiting.append(self._run(planned))
                if time.monotonic() - written > FLUSH_SECONDS:
                    reports += self._write(waiting)
                    waiting, written = [], time.monotonic()
        finally:
            reports += self._write(waiting)
        return reports

    def _write(self, finished: Sequence[_FinishedTrial]) -> list[TrialReport]:
        if finished:
            rows = {trial.row["trial_id"]: trial.measurements for trial in finished}
            self.results.write(self.work.schema, [trial.row for trial in finished], rows)
        return [trial.report for trial in finished]

    def _run(self, planned: PlannedTrial) -> _FinishedTrial:
        started_at, started = datetime.now(UTC), time.perf_counter()
        rows: list[dict[str, Value]] = []
        outcome, error = "finished", None
        try:
            for row in checked(self.work.trial(planned.knobs, self.context), self.work.measurements):
                rows.append(row)  # noqa: PERF402 - one by one, so that a diverged trial keeps the rows before
        except Diverged as divergence:
            outcome, error = "diverged", str(divergence)
        except Exception:  # noqa: BLE001 - a recipe may raise anything; the sweep must go on and the row tell what it was
            outcome, error, rows = "failed", traceback.format_exc(), []
        wall_seconds = time.perf_counter() - started
        report = TrialReport(trial_id=planned.trial_id, outcome=outcome, wall_seconds=wall_seconds, error=error)
        times = {"started_at": started_at, "finished_at": datetime.now(UTC)}
        return _FinishedTrial(
            report, {**trial_row(self.work, planned, report), **times, **_final(self.work, rows)}, rows
        )


@dataclass(frozen=True)
class _FinishedTrial:
    report: TrialReport
    row: dict[str, Any]
    measurements: list[dict[str, Value]]


def trial_row(work: Work, planned: PlannedTrial, report: TrialReport) -> dict[str, Any]:
    """Return the columns of a trial's row that its report, its knobs and this process decide."""
    columns = planned.knobs.columns()
    gpu_fraction = work.resources.gpus
    device = torch.device("cuda" if gpu_fraction > 0 else "cpu")
    return {
        "trial_id": planned.trial_id,
        "study": work.schema.study,
        "revision": work.schema.revision,
        "outcome": report.outcome,
        "error": report.error,
        "wall_seconds": report.wall_seconds,
        "gpu_seconds": report.wall_seconds * gpu_fraction,
        "gpu_fraction": gpu_fraction,
        **place(device),
        "git_commit": work.provenance.git_commit,
        "git_dirty": work.provenance.git_dirty,
        "source_hash": work.provenance.source_hash,
        "data_hash": work.provenance.data_hashes.get(str(columns.get("data_name"))),
        "knobs_json": json.dumps(columns, sort_keys=True),
        **columns,
    }


def write_lost(work: Work, trials: Sequence[PlannedTrial]) -> list[TrialReport]:
    """Write a failed row for trials whose process died every time, and return their reports."""
    error = (
        "the process that ran this trial died each time, without a traceback: out of memory or a crash in native code"
    )
    reports = [TrialReport(trial_id=lost.trial_id, outcome="failed", wall_seconds=0.0, error=error) for lost in trials]
    now = datetime.now(UTC)
    rows = [
        {**trial_row(work, planned, report), "started_at": now, "finished_at": now, **_final(work, [])}
        for planned, report in zip(trials, reports, strict=True)
    ]
    if rows:
        Results(work.results).write(work.schema, rows, {row["trial_id"]: [] for row in rows})
    return reports


def _final(work: Work, rows: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    last = rows[-1] if rows else {}
    values = {f"final_{name}": last.get(name) for name, entry in work.measurements.items() if not entry.inner_axis}
    return {"steps_recorded": len(rows), **values}
