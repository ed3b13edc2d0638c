"""Readers without raysweep open the two folders and see every settled trial once, in one schema."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest

from analysis.store.results import Results
from analysis.store.schema import Column, StudySchema
from tests.analysis.store.samples import SCHEMA, STUDY, rows, trial

WIDER = StudySchema(
    study=STUDY,
    revision=1,
    knobs=(*SCHEMA.knobs, Column(name="momentum", type=float, default=0.0, meaning="momentum")),
    measurements=(*SCHEMA.measurements, Column(name="accuracy", type=float, meaning="accuracy")),
)


@pytest.fixture
def evolved(tmp_path: Path) -> Path:
    """Return the root of a study that gained a knob and a measurement between two compactions."""
    results = Results(tmp_path)
    for name in ("a", "b"):
        results.write(SCHEMA, [trial(name)], {name: rows()})
    results.compact(STUDY)
    measured = [{**row, "accuracy": 0.5} for row in rows()]
    results.write(WIDER, [trial("c", momentum=0.9)], {"c": measured})
    results.write(SCHEMA, [trial("d")], {"d": rows()})  # an older checkout, later
    results.write(WIDER, [trial("e", "failed", momentum=0.9)], {})
    results.compact(STUDY)
    assert len(list((tmp_path / STUDY / "trials").iterdir())) == 2
    return tmp_path / STUDY


def test_pandas(evolved: Path) -> None:
    trials = pd.read_parquet(evolved / "trials")
    assert dict(zip(trials["trial_id"], trials["momentum"], strict=True)) == {"a": 0.0, "b": 0.0, "c": 0.9, "d": 0.0}
    measured = pd.read_parquet(evolved / "measurements")
    assert len(measured) == 12
    assert measured.groupby("trial_id")["accuracy"].count().to_dict() == {"a": 0, "b": 0, "c": 3, "d": 0}


def test_polars(evolved: Path) -> None:
    trials = pl.scan_parquet(evolved / "trials").collect()
    assert sorted(trials["trial_id"]) == ["a", "b", "c", "d"]
    assert trials["momentum"].sum() == 0.9
    measured = pl.scan_parquet(evolved / "measurements").collect()
    assert measured["loss"].sum() == 12.0
    assert measured["accuracy"].drop_nulls().len() == 3


def test_duckdb(evolved: Path) -> None:
    with duckdb.connect() as connection:
        query = f"""
            select trial_id, any_value(momentum), count(*), sum(accuracy)
            from '{evolved}/measurements/*.parquet' join '{evolved}/trials/*.parquet' using (trial_id)
            group by trial_id order by trial_id
        """
        assert connection.sql(query).fetchall() == [
            ("a", 0.0, 3, None),
            ("b", 0.0, 3, None),
            ("c", 0.9, 3, 1.5),
            ("d", 0.0, 3, None),
        ]


def test_raysweep_sees_old_and_new_trials_together_before_compaction_too(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.write(SCHEMA, [trial("a")], {"a": rows()})
    results.write(WIDER, [trial("c", momentum=0.9)], {})
    assert results.trials(STUDY)["momentum"].tolist() == [0.0, 0.9]
    assert results.measurements(STUDY)["accuracy"].isna().all()
    assert results.check(STUDY) == []


def test_units_and_meanings_travel_with_the_files(evolved: Path) -> None:
    schema = Results(evolved.parent).arrow().measurements(STUDY).schema
    assert schema.field("loss").metadata == {b"unit": b"nats", b"meaning": b"loss on the test set"}
    assert schema.metadata[b"revision"] == b"1"


def test_nothing_but_parts_is_in_the_two_folders(evolved: Path) -> None:
    for table in ("trials", "measurements"):
        assert all(path.name.startswith("part-") for path in (evolved / table).iterdir())
