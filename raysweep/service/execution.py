"""Execution of trials in one process: what every executor does, wherever the process is."""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import torch

from analysis.core.results import Results
from cluster.nodes import bought_as_spot, cost_dollars
from raysweep.service.messages import PlannedTrial, TrialReport, Work
from raysweep.service.provenance import NODE_TYPE, place
from raysweep.service.stages import StoredStages
from raysweep.service.study import Resources
from raysweep.service.survival import Leaving, StoredCheckpoints
from trials.core.context import TrialContext
from trials.core.rows import Diverged, Value, checked

# Finished trials wait at most this long in memory for the rest of their pack before they are written.
FLUSH_SECONDS = 20.0


class Worker:
    """A process that runs trials and writes their rows.

    Args:
        work: What every trial of the sweep needs.
        leaving: Whether this process has been told to end soon.
    """

    def __init__(self, work: Work, leaving: Callable[[], bool] = lambda: False) -> None:
        torch.set_num_threads(work.resources.cpus)
        if 0 < work.resources.gpus < 1:
            # Ray's fractions isolate nothing: without a cap, a trial that takes too much fails its neighbours as well.
            torch.cuda.set_per_process_memory_fraction(work.resources.gpus)
        self._work = work
        self._leaving = leaving
        self._results = Results(work.results)
        self._checkpoints = self._results.checkpoints(work.schema.study)
        self._context = TrialContext(
            device=torch.device("cuda" if work.resources.gpus > 0 else "cpu"),
            arrays=work.arrays.__getitem__,
            stage_results=StoredStages(self._results, work.schema.study),
        )

    def run_pack(self, pack: Iterable[PlannedTrial]) -> list[TrialReport]:
        """Run every trial of a pack and return its reports once their rows are durable.

        What has finished is written when the pack ends, is interrupted, or has run for `FLUSH_SECONDS`. A process that
        is told to end returns the reports it has; the trial it was in has left a checkpoint.
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
        except Leaving:
            pass
        finally:
            reports += self._write(waiting)
        return reports

    def _write(self, finished: Sequence[_FinishedTrial]) -> list[TrialReport]:
        if finished:
            rows = {trial.row["trial_id"]: trial.checkpoints.rows for trial in finished}
            self._results.write(self._work.schema, [trial.row for trial in finished], rows)
        for trial in finished:
            trial.checkpoints.settle(trial.report.outcome)
        return [trial.report for trial in finished]

    def _run(self, planned: PlannedTrial) -> _FinishedTrial:
        started_at = datetime.now(UTC)
        work = self._work
        kept = StoredCheckpoints(self._checkpoints, planned, work.checkpoint_seconds, self._leaving)
        context = replace(self._context, checkpoints=kept)
        outcome, error = "finished", None
        try:
            for row in checked(work.trial(planned.knobs, context), work.measurements):
                kept.rows.append(row)
        except Diverged as divergence:
            outcome, error = "diverged", str(divergence)
        except Exception:  # noqa: BLE001 - a recipe may raise anything; the sweep must go on and the row tell what it was
            outcome, error = "failed", traceback.format_exc()
            kept.rows.clear()
        report = TrialReport(
            trial_id=planned.trial_id,
            outcome=outcome,
            wall_seconds=kept.seconds,
            error=error,
            cost_dollars=_cost(kept.seconds, work.resources),
        )
        times = {"started_at": started_at, "finished_at": datetime.now(UTC)}
        stored: dict[str, Any] = {**trial_row(work, planned, report), **times, **_final(work, kept.rows)}
        if work.learning:
            report = replace(report, values={name: stored[name] for name in stored if teaches(name)})
        return _FinishedTrial(report, stored, kept)


@dataclass(frozen=True)
class _FinishedTrial:
    report: TrialReport
    row: dict[str, Any]
    checkpoints: StoredCheckpoints


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
        "cost_dollars": report.cost_dollars,
        "gpu_fraction": gpu_fraction,
        **place(device),
        "git_commit": work.provenance.git_commit,
        "git_dirty": work.provenance.git_dirty,
        "source_hash": work.provenance.source_hash,
        "data_hash": work.provenance.data_hashes.get(str(columns.get("data_name"))),
        "knobs_json": json.dumps(columns, sort_keys=True),
        **columns,
    }


def write_lost(work: Work, trials: Sequence[PlannedTrial], error: str) -> list[TrialReport]:
    """Write a failed row for trials whose process was lost too often, and return their reports."""
    reports = [TrialReport(trial_id=lost.trial_id, outcome="failed", wall_seconds=0.0, error=error) for lost in trials]
    now = datetime.now(UTC)
    rows = [
        {**trial_row(work, planned, report), "started_at": now, "finished_at": now, **_final(work, [])}
        for planned, report in zip(trials, reports, strict=True)
    ]
    if rows:
        Results(work.results).write(work.schema, rows, {row["trial_id"]: [] for row in rows})
    return reports


def _cost(seconds: float, resources: Resources) -> float | None:
    node = os.environ.get(NODE_TYPE)
    return cost_dollars(node, seconds, resources.gpus, resources.cpus, spot=bought_as_spot())


def teaches(column: str) -> bool:
    """Return whether a planner learns from this column of a trial's row."""
    return column.startswith("final_") or column in ("wall_seconds", "gpu_seconds", "cost_dollars")


def _final(work: Work, rows: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    last = rows[-1] if rows else {}
    values = {f"final_{name}": last.get(name) for name, entry in work.measurements.items() if not entry.inner_axis}
    return {"steps_recorded": len(rows), **values}
