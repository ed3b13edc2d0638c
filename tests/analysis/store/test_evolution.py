"""A study that gains columns: through crashes and rivals, readers of the folders see each trial once all the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from analysis.store import compaction
from analysis.store.common_columns import COMMON
from analysis.store.compaction import compact, remove
from analysis.store.declarations import declare
from analysis.store.packs import packed, stored
from analysis.store.parquet import decoded
from analysis.store.schema import Column, _trials_schema
from analysis.store.snapshot import StudyReader
from analysis.store.stages import read_stage, write_stage
from analysis.store.storage import Storage
from tests.analysis.store.memory import Crash, Interrupted, Memory, crash
from tests.analysis.store.samples import SCHEMA, STUDY, rows, trial
from tests.analysis.store.views import part_schemas, seen, seen_bare

np = pytest.importorskip("numpy")

WIDER = replace(
    SCHEMA,
    knobs=(*SCHEMA.knobs, Column(name="momentum", type=float, default=0.5)),
    measurements=(*SCHEMA.measurements, Column(name="accuracy", type=float)),
)
NEW = "peak_memory_bytes"
HALVES = replace(WIDER, revision=2, knobs=(Column(name="width", type=float), *WIDER.knobs[1:]))


def grown() -> Memory:
    """Return a store with two parts of the old schema and a pack of each of two newer ones."""
    storage = Memory()
    declare(storage, SCHEMA)
    for name in "ab":
        stored(storage, STUDY, packed(SCHEMA, [trial(name)], {name: rows()}))
        compact(StudyReader(storage, STUDY))
    for schema, name, width in ((WIDER, "c", 64), (HALVES, "d", 0.5)):
        declare(storage, schema)
        stored(storage, STUDY, packed(schema, [trial(name, width=width)], {name: rows(2.0)}))
    return storage


def interrupted() -> Iterator[Memory]:
    for after in (False, True):
        for at in range(1000):
            storage = grown()
            try:
                compact(StudyReader(Interrupted(storage, at, crash, after=after), STUDY))
            except Crash:
                yield storage
                continue
            break


def knobs(storage: Storage) -> dict[str, tuple[float, float]]:
    names = storage.listing(f"{STUDY}/trials")
    parts = [decoded(storage.read(f"{STUDY}/trials/{name}"), name).to_pylist() for name in names]
    return {row["trial_id"]: (row["width"], row["momentum"]) for part in parts for row in part}


def test_old_parts_gain_the_columns() -> None:
    storage = grown()
    before = seen(storage)
    compact(StudyReader(storage, STUDY))
    assert seen(storage) == seen_bare(storage) == before
    assert [len(schemas) for schemas in part_schemas(storage)] == [1, 1]
    assert knobs(storage) == {"a": (64.0, 0.5), "b": (64.0, 0.5), "c": (64.0, 0.5), "d": (0.5, 0.5)}


def test_a_crash_anywhere_on_the_way() -> None:
    before = seen(grown())
    for storage in interrupted():
        assert seen(storage) == before
        bare = seen_bare(storage)
        assert all(before[name] == view for name, view in bare.items())
        assert {"a", "b"} <= bare.keys()
        compact(StudyReader(storage, STUDY))
        assert seen_bare(storage) == before
        assert [len(schemas) for schemas in part_schemas(storage)] == [1, 1]


def test_a_removal_may_meet_the_new_columns_first() -> None:
    storage = grown()
    remove(StudyReader(storage, STUDY), ["a", "c"])
    compact(StudyReader(storage, STUDY))
    assert seen_bare(storage).keys() == {"b", "d"}
    assert [len(schemas) for schemas in part_schemas(storage)] == [1, 1]


def test_a_large_inbox_is_compacted_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "_BATCH_BYTES", 1)
    storage = Memory()
    declare(storage, SCHEMA)
    for number in range(9):
        outcome = "failed" if number % 3 == 0 else "finished"
        stored(storage, STUDY, packed(SCHEMA, [trial(f"t{number}", outcome)], {f"t{number}": rows(float(number))}))
    before = seen(storage)
    compact(StudyReader(storage, STUDY))
    assert seen(storage) == before
    assert len(seen_bare(storage)) == 6
    assert len(storage.listing(f"{STUDY}/trials")) > 1
    assert len(storage.listing(f"{STUDY}/inbox")) == 2


def test_a_half_written_stage_is_never_read() -> None:
    arrays = {"weights": np.arange(3.0)}
    for after in (False, True):
        for at in range(2):
            storage = Memory()
            with pytest.raises(Crash):
                write_stage(Interrupted(storage, at, crash, after=after), STUDY, "f", arrays, {})
            stage = read_stage(storage, STUDY, "f")
            assert (stage is None) == (at == 0 or not after)
            write_stage(storage, STUDY, "f", arrays, {})
            assert read_stage(storage, STUDY, "f") is not None


def test_of_two_writers_of_a_stage_the_first_pointer_counts() -> None:
    storage = Memory()

    def rival() -> None:
        assert write_stage(storage, STUDY, "f", {"weights": np.ones(3)}, {"by": "rival"})

    assert not write_stage(Interrupted(storage, 1, rival), STUDY, "f", {"weights": np.zeros(3)}, {"by": "us"})
    stage = read_stage(storage, STUDY, "f")
    assert stage is not None
    assert (stage.metadata["by"], stage.arrays["weights"].sum()) == ("rival", 3.0)


def test_old_parts_gain_a_column_that_every_study_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Memory()
    with monkeypatch.context() as older:
        older.setattr("analysis.store.schema.COMMON", {name: of for name, of in COMMON.items() if name != NEW})
        _trials_schema.cache_clear()
        declare(storage, SCHEMA)
        stored(storage, STUDY, packed(SCHEMA, [trial("a")], {"a": rows()}))
        compact(StudyReader(storage, STUDY))
    _trials_schema.cache_clear()
    declare(storage, SCHEMA)
    stored(storage, STUDY, packed(SCHEMA, [trial("b", **{NEW: 7})], {"b": rows()}))
    before = seen(storage)
    compact(StudyReader(storage, STUDY))
    assert seen(storage) == seen_bare(storage) == before
    assert [len(schemas) for schemas in part_schemas(storage)] == [1, 1]
    names = storage.listing(f"{STUDY}/trials")
    parts = [decoded(storage.read(f"{STUDY}/trials/{name}"), name).to_pylist() for name in names]
    assert {row["trial_id"]: row[NEW] for part in parts for row in part} == {"a": None, "b": 7}
