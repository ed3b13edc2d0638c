"""Results that nobody trained: rows for the trials of any space, quickly, to draw every figure of every study from."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from analysis.store.tables import as_frame, joined_with_knobs
from raysweep.service.commands.configuration import read_settings
from raysweep.service.commands.settings.spaces import spaces
from raysweep.service.study import Study
from search_spaces.core.planner import GridPlanner
from trials.core.context import TrialContext

MOST_TRIALS = 240
_ROWS = 14
_WORDS = {
    "status": "ok",
    "stopped_by": "loss",
    "method": "jvp",
    "method_reason": "",
    "part": "0",
    "frozen_parameters": "",
}
_NEEDED = dict.fromkeys(("clip", "clip_methods", "clip_strict"), ("weights=clip.safetensors",))
_SHARES = ("acc", "rate", "cka", "score", "align", "share", "_avg")


def grids(study: Study, *names: str) -> dict[str, list[Any]]:
    """Return the knobs of the grids of some spaces of a study, by default of all, of large ones an even choice."""
    found = {}
    for space in names or spaces(study):
        planner = read_settings(study, [f"space={space}", "most_trials=10000000", *_NEEDED.get(space, ())]).planner
        if isinstance(planner, GridPlanner):
            trials = list(planner.grid)
            found[space] = trials[:: -(-len(trials) // MOST_TRIALS)]
    return found


class InventedResults:
    """What `Results` tells of a study whose trials ran, with rows that look like trainings.

    Curves differ smoothly with every knob and by chance with the seed; accuracies come near 1, some trials diverge.
    """

    def __init__(self, study: Study, trials: Sequence[Any]) -> None:
        self._schema = study.schema
        rows, table = [], []
        for knobs in {study.trial_id(each): each for each in trials}.items():
            own = list(_rows(study, *knobs))
            diverged = zlib.crc32(knobs[0].encode()) % 11 == 0
            own = own[: len(own) // 2] if diverged else own
            rows += own
            table.append(_trial(study, *knobs, own, "diverged" if diverged else "finished"))
        self._rows = pa.Table.from_pylist(rows, study.schema.measurements_schema())
        self._trials = pa.Table.from_pylist(table, study.schema.trials_schema())

    def trials(self, study: str) -> Any:
        """Return one row a trial."""
        return as_frame("pandas", self._trials)

    def measurements(self, study: str, knobs: bool = False) -> Any:
        """Return the measured rows, with the knobs if they are asked for."""
        rows = joined_with_knobs(self._rows, self._trials, self._schema, knobs) if knobs else self._rows
        return as_frame("pandas", rows)


def invented(study: Study) -> Callable[[Any, TrialContext], Iterator[dict[str, Any]]]:
    """Return a recipe for a study's trials that trains nothing."""

    def run(knobs: Any, context: TrialContext) -> Iterator[dict[str, Any]]:
        for row in _rows(study, study.trial_id(knobs), knobs):
            yield {name: value for name, value in row.items() if name != "trial_id"}

    return run


def _trial(study: Study, trial_id: str, knobs: Any, rows: Sequence[Mapping[str, Any]], outcome: str) -> dict[str, Any]:
    last = {f"final_{name}": value for name, value in rows[-1].items() if name in study.measurements}
    told = {"trial_id": trial_id, "study": study.name, "revision": study.revision, "outcome": outcome}
    columns = knobs.columns()
    return {**columns, **last, **told, "knobs_json": json.dumps(columns), "steps_recorded": len(rows)}


def _rows(study: Study, trial_id: str, knobs: Any) -> list[dict[str, Any]]:
    columns = knobs.columns()
    steps = int(columns.get("steps") or columns.get("epochs") or 100)
    shown = sorted({0, *np.unique(np.geomspace(1, max(steps, 1), _ROWS).round().astype(int)).tolist()})
    rng = np.random.default_rng(zlib.crc32(trial_id.encode()))
    chance = {name: float(rng.normal()) for name in study.measurements}
    inner = {"view": range(1, 1 + columns.get("views", 1)), "ridge": (1e-4, 1e-2, 1.0), "part": ("0", "1", "2")}
    inner |= {"step_damping": (0.01, 0.1, 1.0) if columns.get("first_steps") else (0.1,)}
    axes = [name for name, entry in study.measurements.items() if entry.inner_axis]
    rows = []
    for step in shown:
        for place, value in enumerate(inner[axes[0]] if axes else [0]):
            row = {
                name: _value(name, entry.type, columns, step, steps, chance[name], place)
                for name, entry in study.measurements.items()
            }
            if axes:
                row[axes[0]] = value
            if "steps_run" in row and step < steps:
                row |= dict.fromkeys([name for name in row if name.startswith("time_") or name == "steps_run"])
            rows.append({"trial_id": trial_id, "step": step, **row})
    return rows


def _value(name: str, kind: type, knobs: Mapping[str, Any], step: int, steps: int, chance: float, place: int) -> Any:
    """Return a measurement: a smooth function of the knobs and of how far training has come."""
    if kind is str:
        return _WORDS.get(name, "")
    if kind is bool:
        return False
    ease = sum(
        math.sin(zlib.crc32((name[:9] + knob).encode()) + 0.4 * math.log(abs(value) + 1e-3))
        for knob, value in knobs.items()
        if isinstance(value, int | float) and knob != "seed"
    )
    ease = 1 / (1 + math.exp(-ease)) + 0.3
    done = math.log1p(step) / math.log1p(max(steps, 2))
    if name in ("epoch", "time"):
        return kind(step)
    if "loss" in name or "mse" in name:
        return 2.3 * math.exp(-7 * done * ease * (1 + 0.05 * chance)) + 1e-4
    if any(word in name for word in _SHARES):
        return min(1.0, max(0.0, 1 - 0.5 * math.exp(-4 * done * ease) + 0.02 * chance - 0.03 * place))
    grown = ease * done * (1 + 0.1 * chance) * (1 + place) + 1e-3
    if name == "effective_damping" and "feature_update_interval" in knobs:
        return knobs.get("damping", 0.0) + 1 / (knobs["learning_rate"] * knobs["feature_update_interval"])
    if name == "num_feature_updates":
        return max(1, -(-step // knobs.get("feature_update_interval", 1))) - 1
    return int(100 * grown) if kind is int else grown
