"""`check` names what is wrong, and nothing where nothing is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from analysis.store.errors import CorruptedPart
from analysis.store.results import Results
from tests.analysis.store.samples import SCHEMA, STUDY, rows, trial


@pytest.fixture
def results(tmp_path: Path) -> Results:
    store = Results(tmp_path)
    for name in ("a", "b"):
        store.write(SCHEMA, [trial(name)], {name: rows()})
    store.compact(STUDY)
    store.write(SCHEMA, [trial("c")], {"c": rows()})
    store.write(SCHEMA, [trial("d", "failed")], {})
    store.write_stage(STUDY, "f1", {"weights": np.ones(2)})
    return store


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def kinds(results: Results) -> list[str]:
    return sorted({finding.kind for finding in results.check(STUDY)})


def test_a_sound_store_has_no_findings(results: Results) -> None:
    assert results.check(STUDY) == []


def test_a_copied_part_is_a_double_until_compaction(results: Results, tmp_path: Path) -> None:
    for table in ("trials", "measurements"):
        part = only(tmp_path / STUDY / table, "part-*")
        (part.parent / "part-000000-00ff.parquet").write_bytes(part.read_bytes())
    assert kinds(results) == ["double"]
    assert len(results.trials(STUDY)) == 4
    results.compact(STUDY)
    assert kinds(results) == []
    assert len(results.measurements(STUDY)) == 9


def test_files_that_do_not_belong(results: Results, tmp_path: Path) -> None:
    for folder in ("trials", "measurements", "inbox"):
        (tmp_path / STUDY / folder / "notes.txt").write_text("mine")
    assert kinds(results) == ["foreign file"]


def test_lost_halves(results: Results, tmp_path: Path) -> None:
    only(tmp_path / STUDY / "trials", "part-*").unlink()
    next((tmp_path / STUDY / "inbox").glob("*.trials.parquet")).unlink()
    assert kinds(results) == ["lonely part", "unfinished pack"]


def test_rows_that_were_lost_or_changed(results: Results, tmp_path: Path) -> None:
    part = only(tmp_path / STUDY / "measurements", "part-*")
    pq.write_table(pq.read_table(part).slice(1), part)
    assert kinds(results) == ["row count"]
    part = only(tmp_path / STUDY / "trials", "part-*")
    table = pq.read_table(part)
    place = table.schema.get_field_index("width")
    pq.write_table(table.set_column(place, table.schema.field(place), [[1, 1]]), part)
    assert kinds(results) == ["knobs", "row count"]


def test_a_damaged_stage_is_named_and_never_returned(results: Results, tmp_path: Path) -> None:
    only(tmp_path / STUDY / "stages" / "f1", "*.safetensors").write_bytes(b"damaged")
    assert kinds(results) == ["corrupted"]
    with pytest.raises(CorruptedPart, match="other bytes"):
        results.read_stage(STUDY, "f1")


def test_a_study_nobody_declared(results: Results) -> None:
    assert [finding.kind for finding in results.check("jump")] == ["no schema"]
