"""What a system, an editor or a user leaves beside what the store holds silences nothing but itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.store.errors import CorruptedPart, StoreWarning
from analysis.store.results import Results
from tests.analysis.store.samples import SCHEMA, STUDY, rows, trial

FOLDERS = ("schemas", "sweeps", "journal", "inbox", "trials", "measurements", "checkpoints", "stages", "stages/f1", ".")


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Return a store with something in each of its folders."""
    results = Results(tmp_path)
    results.write(SCHEMA, [trial("a")], {"a": rows()})
    results.compact(STUDY)
    results.write(SCHEMA, [trial("b")], {"b": rows(2.0)})
    results.record_sweep(STUDY, "s1", {"space": "laptop"}, ["a", "b", "c"])
    results.write_stage(STUDY, "f1", {})
    (tmp_path / STUDY / "checkpoints").mkdir()
    return results


def told(results: Results) -> list[object]:
    """Return what readers are told."""
    return [
        results.studies(),
        results.trials(STUDY).to_dict("list"),
        results.measurements(STUDY, knobs=True).to_dict("list"),
        results.sql("select count(*) as n from walk.measurements").to_dict("list"),
        results.sweeps(STUDY),
        results.checkpoints(STUDY).ids(),
        results.schema(STUDY),
    ]


def _twin(folder: Path, mark: Callable[[str], str]) -> None:
    """Leave a file of nonsense under a name like that of each file there."""
    for file in [entry for entry in folder.iterdir() if entry.is_file()]:
        (folder / mark(file.name)).write_bytes(b"\0\5\x16\7")


def _loop(folder: Path) -> None:
    (folder / "loop.json").symlink_to("loop.json")
    (folder / "part-000009-aa.parquet").symlink_to("part-000009-aa.parquet")
    (folder / ".#lock").symlink_to("nobody@nowhere.1234:5678")
    (folder / "gone.json").symlink_to("nowhere")


STRANGERS: dict[str, Callable[[Path], None]] = {
    "of a Mac": lambda folder: _twin(folder, lambda name: f"._{name}"),
    "a backup": lambda folder: _twin(folder, lambda name: f"{name}~"),
    "an older one": lambda folder: _twin(folder, lambda name: f"{name}.bak"),
    "being edited": lambda folder: _twin(folder, lambda name: f".{name}.swp"),
    "links": _loop,
    "a folder": lambda folder: (folder / "my notes.json").mkdir(),
    "a hidden folder": lambda folder: (folder / ".git").mkdir(),
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_strangers_silence_nothing(results: Results, tmp_path: Path, stranger: str) -> None:
    before = told(results)
    for folder in FOLDERS:
        STRANGERS[stranger](tmp_path / STUDY / folder)
    assert repr(told(results)) == repr(before), "as text, in which nan is nan"
    assert {finding.kind for finding in results.check(STUDY)} <= {"foreign file"}
    assert results.compact(STUDY).trials == 1
    assert results.outcomes(STUDY) == {"a": "finished", "b": "finished"}


def test_files_that_are_no_journal_or_declaration_are_left_alone(results: Results, tmp_path: Path) -> None:
    for folder in ("journal", "schemas"):
        for name in ("notes.json", "copy of 000001.json", "000001-xyz.json", "1.json", "000002 (1).json"):
            (tmp_path / STUDY / folder / name).write_text("mine")
    assert results.check(STUDY) == []
    assert results.compact(STUDY).trials == 1
    assert sorted(results.outcomes(STUDY)) == ["a", "b"]


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"document": {}, "trial_ids": 5}', "\udcff"])
def test_a_broken_sweep_is_named_and_the_others_are_told(results: Results, tmp_path: Path, content: str) -> None:
    (tmp_path / STUDY / "sweeps" / "mine.json").write_text(content, errors="surrogateescape")
    with pytest.warns(StoreWarning, match="left out: walk/sweeps/mine.json is no readable record of a sweep"):
        assert [sweep.sweep_id for sweep in results.sweeps(STUDY)] == ["s1"]
    assert [(found.kind, found.where) for found in results.check(STUDY)] == [("corrupted", "walk/sweeps/mine.json")]


def test_only_studies_are_studies(results: Results, tmp_path: Path) -> None:
    for name in ("notes", "my figures", "lost+found", "2024_backup", ".git", "Walk", "walk.bak", "__pycache__"):
        (tmp_path / name / "schemas").mkdir(parents=True)
        (tmp_path / name / "trials").mkdir()
    (tmp_path / "notes" / "schemas" / "today.json").write_text("mine")
    (tmp_path / "walk_copy").symlink_to(tmp_path / STUDY)
    assert results.studies() == [STUDY]


def test_a_damaged_study_is_named_when_it_is_asked_for(results: Results, tmp_path: Path) -> None:
    for schema in (tmp_path / STUDY / "schemas").iterdir():
        schema.write_bytes(b"damaged")
    Results(tmp_path).write(replace(SCHEMA, study="other"), [trial("x")], {})
    assert results.studies() == ["other", STUDY]
    assert results.sql("select count(*) as n from other.trials").to_dict("list") == {"n": [1]}
    with pytest.raises(CorruptedPart, match=r"walk/schemas/.* is no readable schema"):
        results.trials(STUDY)


def test_a_study_whose_declarations_are_lost_is_still_one(results: Results, tmp_path: Path) -> None:
    for schema in (tmp_path / STUDY / "schemas").iterdir():
        schema.unlink()
    assert results.studies() == [STUDY]
    assert [finding.kind for finding in results.check(STUDY)] == ["no schema"]
