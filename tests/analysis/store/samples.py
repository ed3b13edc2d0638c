"""A small study for the tests of the store."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from analysis.store.schema import Column, StudySchema

STUDY = "walk"
SCHEMA = StudySchema(
    study=STUDY,
    revision=1,
    knobs=(
        Column(name="width", type=int, default=128, unit="units", meaning="hidden units"),
        Column(name="seed", type=int, default=0, meaning="seed"),
    ),
    measurements=(
        Column(name="loss", type=float, unit="nats", meaning="loss on the test set"),
        Column(name="layer", type=str, meaning="layer of the row", inner_axis=True),
    ),
)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def trial(name: str, outcome: str = "finished", *, minute: float = 0.0, **columns: Any) -> dict[str, Any]:
    """Return a row of trials that ended some minutes after noon."""
    knobs = {"width": 64, "seed": 3}
    return {
        "trial_id": name,
        "outcome": outcome,
        "error": "boom" if outcome == "failed" else None,
        "started_at": NOON,
        "finished_at": NOON + timedelta(minutes=minute),
        "knobs_json": json.dumps(knobs),
        **knobs,
        **columns,
    }


def rows(scale: float = 1.0, steps: int = 3) -> list[dict[str, Any]]:
    """Return measured rows whose losses tell which run they are of."""
    return [{"step": step, "loss": scale * step, "layer": "all"} for step in range(steps)]
