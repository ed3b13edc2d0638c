"""A column that was renamed, or is one over what it was: readers and compaction show older files as it is now."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from analysis.store import renames
from analysis.store.compaction import compact, remove
from analysis.store.declarations import declare
from analysis.store.errors import QueryRefused, StoreMissing
from analysis.store.packs import packed, stored
from analysis.store.parquet import decoded
from analysis.store.results import Results
from analysis.store.schema import Column, StudySchema
from analysis.store.snapshot import StudyReader
from raysweep.service.commands.results_command import main
from tests.analysis.store.memory import Crash, Interrupted, Memory, crash
from tests.analysis.store.samples import SCHEMA, STUDY, rows, trial
from tests.studies import every_study

BEFORE = replace(
    SCHEMA,
    knobs=(
        *SCHEMA.knobs,
        Column(name="inner_optimizer", type=str, default="sgd", path="inner_optimizer"),
        Column(name="rows_aug_arm", type=str, default="copies", path="rows.aug_arm"),
        Column(name="interval", type=int, default=1, path="interval", unit="epochs", meaning="epochs between rows"),
    ),
)
NAMES = {"inner_optimizer": "optimizer", "rows_aug_arm": "rows_augmentation", "interval": "per_epoch"}
AFTER = replace(
    SCHEMA,
    knobs=(
        *SCHEMA.knobs,
        Column(name="optimizer", type=str, default="sgd", path="optimizer"),
        Column(name="rows_augmentation", type=str, default="copies", path="rows.augmentation"),
        Column(name="per_epoch", type=float, default=1.0, path="per_epoch", meaning="rows an epoch"),
    ),
)
OLD = {"inner_optimizer": "adam", "rows_aug_arm": "fixed", "interval": 3}
NEW = {"optimizer": "adam", "rows_augmentation": "fixed", "per_epoch": 1 / 3}


@pytest.fixture
def rename(monkeypatch: pytest.MonkeyPatch):
    """Return what makes the renaming happen: a later raysweep."""

    def happen() -> None:
        monkeypatch.setattr(renames, "FORMER", {STUDY: NAMES})
        monkeypatch.setattr(renames, "RECIPROCAL", {STUDY: frozenset({"interval"})})

    return happen


def told(name: str, knobs: dict) -> dict:
    return trial(name, **knobs) | {"knobs_json": json.dumps({"width": 64, "seed": 3, **knobs})}


def write(results: Results, schema: StudySchema, name: str, knobs: dict) -> None:
    results.write(schema, [told(name, knobs)], {name: rows()})


@pytest.fixture(params=["inbox", "compacted", "both", "declared"])
def older(request: pytest.FixtureRequest, tmp_path: Path, rename) -> Results:
    """Return a store from before the renaming, in packs, in parts or in both, and perhaps declared anew since."""
    results = Results(tmp_path)
    write(results, BEFORE, "a", OLD)
    if request.param != "inbox":
        results.compact(STUDY)
    write(results, BEFORE, "b", {"inner_optimizer": "sgd", "rows_aug_arm": "copies", "interval": 1})
    if request.param == "compacted":
        results.compact(STUDY)
    rename()
    if request.param == "declared":
        Results(tmp_path).prepare(AFTER)
    return Results(tmp_path)


def test_readers_show_the_old_values_under_the_new_name(older: Results) -> None:
    expected = {"a": ("adam", "fixed", 1 / 3), "b": ("sgd", "copies", 1.0)}
    for view in (older, older.polars(), older.arrow()):
        table = view.trials(STUDY)
        table = table if view is older else table.to_pandas()
        shown = table.set_index("trial_id")[[*NEW]]
        assert {name: tuple(row) for name, row in zip(shown.index, shown.values, strict=True)} == expected
        assert not NAMES.keys() & set(table.columns)
        joined = view.measurements(STUDY, knobs=True)
        joined = joined if view is older else joined.to_pandas()
        assert set(joined[joined["trial_id"] == "a"]["optimizer"]) == {"adam"}
        assert not NAMES.keys() & set(joined.columns)
    assert older.measurements(STUDY, knobs=["rows_augmentation"])["rows_augmentation"].tolist().count("fixed") == 3
    counted = older.sql(f"SELECT optimizer, count(*) n FROM {STUDY}.trials GROUP BY 1 ORDER BY 1")
    assert counted.to_dict("list") == {"optimizer": ["adam", "sgd"], "n": [1, 1]}
    assert older.sql(f"SELECT trial_id FROM {STUDY}.trials WHERE per_epoch < 0.5")["trial_id"].tolist() == ["a"]
    (per_epoch,) = [column for column in older.schema(STUDY).knobs if column.name == "per_epoch"]
    assert (per_epoch.type, per_epoch.unit, per_epoch.default) == (float, "", 1.0)
    assert per_epoch.meaning in ("rows an epoch", "1 / (epochs between rows)")
    paths = {column.name: column.path for column in older.schema(STUDY).knobs}
    assert paths["rows_augmentation"] == "rows.augmentation" and not NAMES.keys() & paths.keys()
    assert older.outcomes(STUDY) == {"a": "finished", "b": "finished"}


def test_a_store_that_holds_both_shows_one_column_and_compaction_writes_it(older: Results, tmp_path: Path) -> None:
    results = Results(tmp_path)
    write(results, AFTER, "c", NEW)
    before = results.trials(STUDY)
    assert dict(zip(before["trial_id"], before["optimizer"], strict=True)) == {"a": "adam", "b": "sgd", "c": "adam"}
    assert before.set_index("trial_id")["per_epoch"].to_dict() == {"a": 1 / 3, "b": 1.0, "c": 1 / 3}
    results.compact(STUDY)
    assert results.trials(STUDY).equals(before)
    parts = sorted((tmp_path / STUDY / "trials").glob("*.parquet"))
    for part in parts:
        names = set(pq.read_schema(part).names)
        assert NEW.keys() <= names and not OLD.keys() & names
    assert results.check(STUDY) == []
    assert results.remove(STUDY, ["a"]) == 1
    assert results.trials(STUDY)["optimizer"].tolist() == ["sgd", "adam"]


def test_compaction_renames_parts_even_where_nothing_else_is_to_do(tmp_path: Path, rename) -> None:
    results = Results(tmp_path)
    write(results, BEFORE, "a", OLD)
    results.compact(STUDY)
    (part,) = (tmp_path / STUDY / "trials").glob("*.parquet")
    rename()
    assert {finding.kind for finding in results.check(STUDY)} == {"old schema"}
    results.compact(STUDY)
    assert NEW.keys() <= set(pq.read_schema(part).names)
    assert results.check(STUDY) == []
    journal = sorted((tmp_path / STUDY / "journal").iterdir())
    results.compact(STUDY)
    assert sorted((tmp_path / STUDY / "journal").iterdir()) == journal
    damaged = trial("z", **NEW) | {"knobs_json": json.dumps({**OLD, "interval": "many"})}
    results.write(AFTER, [damaged], {"z": rows()})
    assert [finding.kind for finding in results.check(STUDY)] == ["knobs"]


def test_an_older_raysweep_that_compacts_beside_this_one_spoils_nothing(tmp_path: Path, rename) -> None:
    results = Results(tmp_path)
    write(results, BEFORE, "a", OLD)
    results.compact(STUDY)
    write(results, AFTER, "b", NEW)
    write(results, AFTER, "c", {"optimizer": "momentum", "rows_augmentation": "copies", "per_epoch": 0.5})
    Results(tmp_path).compact(STUDY)  # which knows of no renaming, and takes the names for six knobs
    for part in (tmp_path / STUDY / "trials").glob("*.parquet"):
        assert NEW.keys() | OLD.keys() <= set(pq.read_schema(part).names)
    rename()
    expected = {"a": ("adam", "fixed", 1 / 3), "b": ("adam", "fixed", 1 / 3), "c": ("momentum", "copies", 0.5)}
    for _ in range(2):
        table = Results(tmp_path).trials(STUDY).set_index("trial_id")[[*NEW]]
        assert {name: tuple(row) for name, row in zip(table.index, table.values, strict=True)} == expected
        assert {finding.kind for finding in results.check(STUDY)} <= {"old schema"}
        results.compact(STUDY)
    assert results.check(STUDY) == []


def test_a_crash_while_columns_are_renamed_loses_nothing(rename) -> None:
    def older() -> Memory:
        storage = Memory()
        for name in "ab":
            declare(storage, BEFORE)
            stored(storage, STUDY, packed(BEFORE, [told(name, OLD)], {name: rows()}))
        compact(StudyReader(storage, STUDY))
        return storage

    rename()
    for at in range(1000):
        with pytest.MonkeyPatch.context() as before:
            before.setattr(renames, "FORMER", {})
            before.setattr(renames, "RECIPROCAL", {})
            storage = older()
        try:
            compact(StudyReader(Interrupted(storage, at, crash, after=True), STUDY))
        except Crash:
            tables = [source.trials for source in StudyReader(storage, STUDY).sources()]
            assert [table.column("optimizer").to_pylist() for table in tables] == [["adam", "adam"]]
            compact(StudyReader(storage, STUDY))
            assert remove(StudyReader(storage, STUDY), ["a"]) == 1
            (part,) = storage.listing(f"{STUDY}/trials")
            key = f"{STUDY}/trials/{part}"
            part = decoded(storage.read(key), key)
            assert [part.column(name).to_pylist() for name in NEW] == [["adam"], ["fixed"], [1 / 3]]
            continue
        assert at == 3, "the plan is entered, the part rewritten, the plan marked as done"
        break


def test_the_former_name_is_refused_with_the_new_one(older: Results) -> None:
    with pytest.raises(QueryRefused, match=r"^inner_optimizer is now called optimizer in walk$"):
        older.sql(f"SELECT inner_optimizer FROM {STUDY}.trials")
    with pytest.raises(QueryRefused, match=r"^inner_optimizer is now called optimizer in walk$"):
        older.sql(f"SELECT trial_id FROM {STUDY}.trials WHERE Inner_Optimizer = 'sgd'")
    with pytest.raises(QueryRefused, match=r"^rows_aug_arm is now called rows_augmentation in walk$"):
        older.sql(f"SELECT t.rows_aug_arm FROM {STUDY}.trials t")
    with pytest.raises(QueryRefused, match=r"^interval is now called per_epoch, with 1/n for what was n in walk$"):
        older.sql(f"SELECT trial_id FROM {STUDY}.trials WHERE interval = 3")
    with pytest.raises(StoreMissing, match="rows_aug_arm is now called rows_augmentation"):
        older.measurements(STUDY, knobs=["rows_aug_arm"])


def test_commands_show_and_export_the_new_name(
    older: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--results", str(tmp_path), "show", "a"]) == 0
    shown = capsys.readouterr().out
    assert "optimizer=adam" in shown and "rows.augmentation=fixed" in shown
    assert not any(name in shown for name in ("inner_optimizer", "aug_arm"))
    file = tmp_path / "trials.csv"
    assert main(["--results", str(tmp_path), "export", "--to", "csv", str(file)]) == 0
    header = file.read_text(encoding="utf-8").partition("\n")[0]
    assert '"optimizer"' in header and "inner_optimizer" not in header


def test_readers_and_knobs_agree_on_what_was_renamed() -> None:
    assert dict(renames.FORMER) == {
        study.name: study.knobs.renamed() for study in every_study() if study.knobs.renamed()
    }
    reciprocal = {
        study.name: {declared.identity for declared in study.knobs.declared() if declared.reciprocal}
        for study in every_study()
    }
    assert dict(renames.RECIPROCAL) == {name: columns for name, columns in reciprocal.items() if columns}
