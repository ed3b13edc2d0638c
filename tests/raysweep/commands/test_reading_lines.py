"""The printed lines open the results: for every path, at every moment, for every outcome."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.store.results import Results
from raysweep.service.commands.printed.reading_lines import reading_lines
from tests.analysis.store.samples import SCHEMA, STUDY, rows, trial
from tests.conftest import Place

PATHS = (
    "plain",
    "it's",
    'say "so"',
    "a[1-3]b",
    "[",
    "seed=1/width=2",
    "a*b?",
    "{a,b}",
    "per cent %20",
    "~",
    "$HOME",
    "-x",
)


def opened(lines: str) -> list[set[str]]:
    """Return the ids that each of the lines reads, and hold the columns to the store's."""
    found = []
    for line in lines.splitlines():
        statement, _, expression = line.partition(":")[2].partition(";")
        names: dict[str, object] = {}
        exec(statement.strip(), names)
        table = eval(expression.strip(), names)
        columns = list(table.columns)
        assert columns == SCHEMA.trials_schema().names
        found.append(
            {row[0] for row in table.select("trial_id").fetchall()} if "duckdb" in line else set(table["trial_id"])
        )
    return found


def test_the_lines_open_the_results_whatever_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in PATHS:
        for root in (path, f"{tmp_path}/{path}/"):
            results = Results(root)
            results.write(SCHEMA, [trial("a1"), trial("a2", "diverged")], {"a1": rows()})
            assert opened(reading_lines(results, STUDY)) == [{"a1", "a2"}] * 3, root


def test_what_a_lost_sweep_left_in_the_inbox_is_read_as_well(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.write(SCHEMA, [trial("a1")], {"a1": rows()})
    results.compact(STUDY)
    results.write(SCHEMA, [trial("b1"), trial("c1", "failed")], {"b1": rows()})
    (tmp_path / STUDY / "trials" / "._part-000001-0.parquet").write_bytes(b"of a Mac")
    assert opened(reading_lines(results, STUDY)) == [{"a1", "b1"}] * 3


def test_where_every_trial_failed_there_is_nothing_to_open(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.write(SCHEMA, [trial("a1", "failed")], {})
    assert reading_lines(results, STUDY).startswith("no table to open yet: every stored trial failed")


@pytest.mark.parametrize("slashes", ["", "/"])
def test_the_lines_name_the_keys_of_a_bucket(moto_place: Place, slashes: str) -> None:
    results = Results(moto_place.root + slashes)
    results.write(SCHEMA, [trial("a1")], {"a1": rows()})
    lines = reading_lines(results, STUDY)
    assert lines.count(f"{moto_place.root}/{STUDY}/trials") == 3
    assert "//" not in lines.replace("s3://", "")
