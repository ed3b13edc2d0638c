"""Queries read the store's tables and reach nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.store.errors import QueryRefused
from analysis.store.results import Results
from tests.analysis.store.samples import SCHEMA, STUDY, rows, trial


@pytest.fixture
def results(tmp_path: Path) -> Results:
    store = Results(tmp_path / "results")
    store.write(SCHEMA, [trial("a"), trial("b", "failed")], {"a": rows()})
    return store


@pytest.mark.parametrize(
    "query",
    [
        "select outcome, count(*) from walk.trials group by outcome",
        "from walk.measurements select max(step)",
        "with big as (select * from walk.measurements where step > 1) select count(*) from big",
        "describe walk.trials",
        "explain select * from walk.trials",
        'select * from "walk"."trials";',
    ],
)
def test_a_select_answers(results: Results, query: str) -> None:
    assert len(results.sql(query)) > 0


@pytest.mark.parametrize(
    "query",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('/etc/passwd')",
        "select * from read_blob('/proc/self/environ')",
        "select * from '/etc/passwd'",
        "select * from glob('/etc/*')",
        "select * from parquet_scan('{root}/walk/inbox/*.parquet')",
        "select * from 'https://example.org/x.parquet'",
        "copy (select 1) to '{root}/out.csv'",
        "attach '{root}/out.db'",
        "create table t as select 1",
        "insert into walk.trials values (1)",
        "drop view walk.trials",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "reset all",
        "pragma enable_profiling",
        "call pragma_version()",
        "export database '{root}/out'",
        "select 1; select 2",
        "select 1; attach '{root}/out.db'",
        "select getenv('HOME')",
        "select * from results",
        "select * from duckdb_secrets()",
        "select * from query('copy (select 1) to ''{root}/out.csv''')",
        "",
        "selekt",
    ],
)
def test_anything_else_is_refused_in_one_line(results: Results, tmp_path: Path, query: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(QueryRefused) as caught:
        results.sql(query.format(root=tmp_path))
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unknown_table_is_answered_with_those_there_are(results: Results) -> None:
    with pytest.raises(QueryRefused, match=r"The store has walk\.trials, walk\.measurements"):
        results.sql("select * from wolk.trials")


def test_studies_join(results: Results) -> None:
    other = SCHEMA.__class__(study="jump", revision=1, knobs=SCHEMA.knobs, measurements=SCHEMA.measurements)
    results.write(other, [trial("a")], {})
    answer = results.sql("select count(*) as both from walk.trials join jump.trials using (trial_id)")
    assert answer["both"].tolist() == [1]
    assert STUDY in results.studies()
