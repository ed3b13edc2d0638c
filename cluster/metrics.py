"""The metrics of a sweep: one table, which the service reports by and the dashboard and its documentation are held to.

Ray puts `ray_` before each name. Labels are few by design: studies and outcomes, never trials.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric.

    Attributes:
        kind: What Prometheus takes it for.
        labels: Its labels.
        meaning: What it counts or measures, with its unit.
        boundaries: Upper bounds of a histogram's buckets.
    """

    kind: Kind
    labels: tuple[str, ...]
    meaning: str
    boundaries: tuple[float, ...] = ()


METRICS: Mapping[str, Metric] = {
    "raysweep_trials_total": Metric(
        kind="counter",
        labels=("study", "outcome"),
        meaning="Trials whose rows are durable, by outcome: finished, diverged, stopped or failed",
    ),
    "raysweep_trials_waiting": Metric(
        kind="gauge", labels=("study",), meaning="Trials that are planned and that no actor has begun"
    ),
    "raysweep_trials_running": Metric(kind="gauge", labels=("study",), meaning="Trials that an actor is at work on"),
    "raysweep_gpu_seconds_total": Metric(
        kind="counter",
        labels=("study",),
        meaning="GPU seconds of durable trials: wall seconds times the fraction of a GPU",
    ),
    "raysweep_trial_seconds": Metric(
        kind="histogram",
        labels=("study",),
        meaning="Wall seconds of a durable trial",
        # Half a decade each, from a trial that overhead dominates to one that needs checkpoints.
        boundaries=(0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0),
    ),
}
