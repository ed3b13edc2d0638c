"""What rows were when they were recorded, and how rows of now compare.

A row's floating-point numbers depend, in their last digits, on the processor and on torch. So each column of a trial is
kept twice: as a digest, which holds where the arithmetic is that of the recording, and rounded at three of its rows,
which hold everywhere within a tolerance. `python -m tests.trials.rows.recorded STUDY ...` records anew with the
recipes that Python finds: only where the science of a study has changed.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.studies import smallest_sweep
from tests.trials.rows.cases import variants
from tests.trials.rows.small import SMALL, groups
from trials.core.context import TrialContext, computed_here
from trials.core.data.arrays import Arrays, load_arrays
from trials.core.rows import Diverged, checked

FOLDER = Path(__file__).parent
DIGITS, LENGTH = 6, 6
Rows = Sequence[Mapping[str, Any]]


@cache
def arithmetic() -> str:
    """Return a fingerprint of what decides the last digits of a sum: torch, the processor, a few reference results."""
    content = hashlib.sha256(f"{torch.__version__} {torch.backends.cpu.get_cpu_capability()}".encode())
    for dtype in (torch.float32, torch.float64):
        left = torch.linspace(-1, 1, 96 * 50, dtype=dtype).sin().reshape(96, 50)
        images = left[:, :49].reshape(32, 3, 7, 7)
        products = [left @ left.T, left.T @ left, left @ left[0], left[:7] @ left[:5].T]
        products += [torch.conv2d(images, images[:4], padding=2), left.softmax(1), left.exp(), left.tanh(), left.sum(0)]
        products += [torch.linalg.svdvals(left), torch.linalg.solve(left[:50] + 3 * torch.eye(50), left[:50])]
        products += [(left.bfloat16() @ left.bfloat16().T).to(dtype), left.norm(), left.log_softmax(0)]
        for product in products:
            content.update(product.contiguous().numpy().tobytes())
    return content.hexdigest()[:16]


def context() -> TrialContext:
    """Return surroundings in which data are decoded and stages are computed once."""
    kept: dict[Any, Any] = {}

    def stage_results(stage: Any, knobs: Any, surroundings: TrialContext) -> Any:
        if knobs not in kept:
            kept[knobs] = computed_here(stage, knobs, surroundings)
        return kept[knobs]

    return TrialContext(arrays=cache(_arrays), stage_results=stage_results)


def _arrays(name: str) -> Arrays:
    """Return a data set; for one that would be downloaded, noise of its shape whose labels a pixel tells."""
    if name not in ("cifar10", "cat_dog"):
        return load_arrays(name)
    classes, random = 2 if name == "cat_dog" else 10, np.random.default_rng(0)
    splits = {}
    for split, count in (("train", 1500), ("test", 1500)):
        images = random.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
        splits |= {f"{split}_inputs": images, f"{split}_labels": images[:, 0, 16, 16].astype(np.int64) % classes}
    return Arrays(**splits)


def study_of(name: str) -> Any:
    """Return the declaration of a study."""
    return importlib.import_module(f"raysweep.{name}").STUDY


def knobs_of(study: Any, columns: Mapping[str, Any]) -> Any:
    """Return knobs from columns that go by the names that identities hash."""
    return study.knobs.from_stored(columns)


def told_alone(study: Any, knobs: Any, surroundings: TrialContext) -> tuple[Rows, str]:
    """Return a trial's rows, and how it ended."""
    rows: list[Mapping[str, Any]] = []
    try:
        for row in checked(study.trial(knobs, surroundings), study.measurements):
            rows += [row]
    except Diverged as diverged:
        return rows, f"diverged at step {diverged.step}"
    return rows, "finished"


def told_together(study: Any, knobs: Sequence[Any], surroundings: TrialContext) -> list[tuple[Rows, str]]:
    """Return the same of each trial of a group."""
    rows: list[list[Mapping[str, Any]]] = [[] for _ in knobs]
    ends = ["finished"] * len(knobs)
    for index, row in study.together.run(knobs, surroundings):
        if isinstance(row, Diverged):
            ends[index] = f"diverged at step {row.step}"
        else:
            rows[index] += checked([row], study.measurements)
    return list(zip(rows, ends, strict=True))


def digest(column: Sequence[Any]) -> str:
    """Return the fingerprint of a column's values to the last bit."""
    return hashlib.sha256(repr(list(column)).encode()).hexdigest()[:LENGTH]


def shown(rows: Rows) -> list[int]:
    """Return the places of the rows whose values are kept: the first, a middle one and the last."""
    return sorted({0, len(rows) // 2, len(rows) - 1}) if rows else []


def entry(rows: Rows, end: str, names: Sequence[str]) -> dict[str, Any]:
    """Return what is kept of a trial: its end, its number of rows, digests of its columns and some of its values."""
    columns = [[row[name] for row in rows] for name in names]
    values = [[_rounded(column[place]) for column in columns] for place in shown(rows)]
    return {"end": end, "rows": len(rows), "digests": "".join(map(digest, columns)), "values": values}


def _rounded(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return float(f"{value:.{DIGITS - 1}e}") if math.isfinite(value) else str(value)


def differences(
    then: Mapping[str, Any], rows: Rows, end: str, names: Sequence[str], loose: Mapping[str, float], *, exact: bool
) -> Iterator[str]:
    """Yield what differs from what was recorded, a line each.

    Args:
        then: What was recorded.
        rows: The rows of now.
        end: How the trial ended now.
        names: Columns that were recorded.
        loose: Tolerance of a column where the arithmetic is another, relative to its largest value in the trial.
        exact: Whether values must agree to the last bit.
    """
    if (len(rows), end) != (then["rows"], then["end"]):
        yield f"{len(rows)} rows, {end}; there were {then['rows']}, {then['end']}"
        return
    for place, name in enumerate(names):
        column = [row[name] for row in rows]
        before = [values[place] for values in then["values"]]
        after = [_rounded(column[at]) for at in shown(rows)]
        if exact:
            agrees = digest(column) == then["digests"][LENGTH * place : LENGTH * (place + 1)]
        else:
            largest = max((abs(value) for value in column if isinstance(value, float)), default=0.0)
            allowed = loose[name] if loose.get(name) == math.inf else loose.get(name, loose[""]) * largest
            agrees = all(_near(*pair, allowed) for pair in zip(before, after, strict=True))
        if not agrees:
            yield f"{name}: {after}, was {before}"


def _near(before: Any, after: Any, allowed: float) -> bool:
    if isinstance(before, int | float) and isinstance(after, int | float) and before != after:
        return abs(before - after) <= allowed + 10.0 ** (1 - DIGITS) * abs(before)
    return bool(before == after)


def kept(name: str) -> dict[str, Any]:
    """Return what was recorded of a study."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def record(name: str) -> None:
    """Write the rows of a study's smallest sweep, variants and groups as they are now."""
    study, surroundings = study_of(name), context()
    names = ["step", *study.measurements]
    smallest = [trial.knobs for trial in smallest_sweep(study)]
    trials, alike = [*smallest, *(knobs_of(study, columns) for columns in variants(name))], groups(name)
    written = {
        "study": name,
        "arithmetic": arithmetic(),
        "columns": names,
        "alone": [
            {"knobs": each.identity(), "id": study.trial_id(each)}
            | entry(*told_alone(study, each, surroundings), names)
            for each in trials
        ],
        "together": [
            [
                {"knobs": each.identity(), "id": study.trial_id(each)} | entry(rows, end, names)
                for each, (rows, end) in zip(group, told_together(study, group, surroundings), strict=True)
            ]
            for group in ([knobs_of(study, columns) for columns in lanes] for lanes in alike)
        ],
    }
    lines = json.dumps(written, separators=(",", ":")).replace('{"knobs"', '\n{"knobs"')
    (FOLDER / f"{name}.json").write_text(f"{lines}\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for each in sys.argv[1:] or SMALL:
        record(each)
