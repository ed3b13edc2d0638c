"""Frames of trials whose measurements are known functions of their knobs and the step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

STEPS = (0, 1, 2, 5, 10, 20, 50, 100)
Measure = Callable[[dict[str, Any], int], float]

KNOBS = {"steps": 100, "feature_update_interval": 1, "learning_rate": 0.1, "loss": "cross_entropy", "network": "mlp"}


def loss(knobs: dict[str, Any], step: int) -> float:
    """Return a loss that falls the more slowly, the larger the interval."""
    return 2.0 * np.exp(-step / (10.0 * knobs["feature_update_interval"] ** 0.25))


def accuracy(knobs: dict[str, Any], step: int) -> float:
    """Return an accuracy that is a straight line in the logarithm of the loss, whatever the knobs."""
    return 0.2 - 0.05 * float(np.log(loss(knobs, step)))


def trained(
    settings: Iterable[dict[str, Any]],
    measures: dict[str, Measure] | None = None,
    at: Callable[[dict[str, Any]], Iterable[int]] = lambda knobs: STEPS,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return trials with these settings and their rows, joined with the knobs as the store returns them.

    A setting may have an `outcome`, and `ends`, the last step it has a row at.
    """
    trials, rows = [], []
    for number, setting in enumerate(settings):
        knobs = {"trial_id": f"t{number}", "seed": 0, "outcome": "finished", **KNOBS, **setting}
        last = knobs.pop("ends", knobs["steps"])
        interval = knobs["feature_update_interval"]
        common = {name: knobs.pop(name) for name in ("trial_id", "seed", "outcome")}
        trials.append({**common, "study": "k_phase_diagram", "revision": 1, "knobs_json": "{}", **knobs})
        for step in sorted({step for step in at(knobs) if step <= last}):
            updates = max(1, -(-step // interval)) - 1
            values = {name: measure(knobs, step) for name, measure in {**MEASURES, **(measures or {})}.items()}
            rows.append({**common, **knobs, "step": step, "num_feature_updates": updates, **values})
    return pd.DataFrame(trials), pd.DataFrame(rows)


MEASURES: dict[str, Measure] = {
    f"{split}_{what}_{function}": measure
    for split in ("train", "test")
    for what, measure in (("loss", loss), ("acc", accuracy))
    for function in ("lin", "net")
}
