"""What readers see of a store: with raysweep, and with nothing but Parquet."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa

from analysis.store import snapshot
from analysis.store.parquet import decoded
from analysis.store.snapshot import StudyReader
from analysis.store.storage import Storage
from analysis.store.tables import measurements_table, trials_table
from tests.analysis.store.samples import STUDY

View = dict[str, tuple[str, list[float]]]


def seen(storage: Storage) -> View:
    """Return outcome and losses of every trial as raysweep's own reader sees them."""
    reader = StudyReader(storage, STUDY)
    trials = snapshot.consistently(lambda: trials_table(reader))
    measured = snapshot.consistently(lambda: measurements_table(reader))
    assert (trials is None) == (measured is None)
    if trials is None or measured is None:
        return {}
    return _view(trials, measured)


def seen_bare(storage: Storage) -> View:
    """Return the same as a reader of the two folders sees it; every trial is there once, with all its rows."""
    trials, measured = (_table(storage, name) for name in ("trials", "measurements"))
    if trials is None:
        return {}
    assert measured is not None
    view = _view(trials, measured)
    for row in trials.select(["trial_id", "steps_recorded"]).to_pylist():
        assert len(view[row["trial_id"]][1]) == row["steps_recorded"], row
    assert all(outcome != "failed" for outcome, _ in view.values())
    return view


def part_schemas(storage: Storage) -> list[set[str]]:
    """Return the schemas of the parts, of either table: one each, in a store at rest."""
    return [
        {decoded(storage.read(key), key).schema.to_string() for key in _parts(storage, table)}
        for table in ("trials", "measurements")
    ]


def _parts(storage: Storage, table: str) -> list[str]:
    return [f"{STUDY}/{table}/{name}" for name in storage.listing(f"{STUDY}/{table}")]


def _table(storage: Storage, table: str) -> pa.Table | None:
    tables = [decoded(storage.read(key), key) for key in _parts(storage, table)]
    return pa.concat_tables(tables, promote_options="permissive") if tables else None


def _view(trials: pa.Table, measured: pa.Table) -> View:
    rows: list[dict[str, Any]] = trials.select(["trial_id", "outcome"]).to_pylist()
    doubles = [name for name, count in Counter(row["trial_id"] for row in rows).items() if count > 1]
    assert not doubles, f"{doubles} are there more than once"
    losses: dict[str, list[float]] = {}
    for row in measured.select(["trial_id", "loss"]).to_pylist():
        losses.setdefault(row["trial_id"], []).append(row["loss"])
    return {row["trial_id"]: (row["outcome"], losses.get(row["trial_id"], [])) for row in rows}
