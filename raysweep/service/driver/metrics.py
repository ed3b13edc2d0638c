"""The metrics of a running sweep, by Ray to Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ray.util import metrics

from cluster.metrics import METRICS, Metric
from raysweep.service.messages import TrialReport, Work

_KINDS = {"counter": metrics.Counter, "gauge": metrics.Gauge}


class SweepMetrics:
    """Counts what becomes of a sweep's trials, under the names of `cluster.metrics`.

    Args:
        work: The sweep's work.
    """

    def __init__(self, work: Work) -> None:
        self._study = {"study": work.schema.study}
        self._gpus = work.resources.gpu_fraction
        self._by_name: dict[str, Any] = {name: _metric(name, metric) for name, metric in METRICS.items()}

    def update(self, reports: Sequence[TrialReport], running: int, waiting: int) -> None:
        """Take in the reports of trials that are now durable, and how many run and wait."""
        for report in reports:
            self._by_name["raysweep_trials_total"].inc(1, {**self._study, "outcome": report.outcome})
            self._by_name["raysweep_trial_seconds"].observe(report.wall_seconds, self._study)
            if self._gpus and report.wall_seconds:
                self._by_name["raysweep_gpu_seconds_total"].inc(report.wall_seconds * self._gpus, self._study)
        self._by_name["raysweep_trials_running"].set(running, self._study)
        self._by_name["raysweep_trials_waiting"].set(waiting, self._study)


def _metric(name: str, metric: Metric) -> Any:
    if metric.kind == "histogram":
        return metrics.Histogram(name, metric.meaning, list(metric.boundaries), metric.labels)
    return _KINDS[metric.kind](name, metric.meaning, metric.labels)
