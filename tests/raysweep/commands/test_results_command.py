"""The command `raysweep`: what it prints, what it exits with, and what it never imports."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import raysweep
from raysweep.service.commands.results_command import main
from tests.analysis.store.samples import SCHEMA, STUDY, rows, trial


@pytest.fixture
def root(tmp_path: Path) -> str:
    """Return a store with two sweeps that share a trial, one trial failed and one missing."""
    results = raysweep.open(tmp_path / "results")
    results.write(SCHEMA, [trial("aa1", final_loss=0.25), trial("aa2")], {"aa1": rows()})
    results.write(SCHEMA, [trial("bb1", "failed")], {})
    results.record_sweep(STUDY, "first", {"space": "laptop"}, ["aa1", "bb1"])
    results.record_sweep(STUDY, "second", {"space": "full"}, ["aa1", "aa2", "cc1"])
    return str(tmp_path / "results")


def test_ls_counts_outcomes_and_what_is_missing(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--results", root, "ls"]) == 0
    lines = [line.split()[:8] for line in capsys.readouterr().out.splitlines()[1:]]
    assert lines == [
        [STUDY, "(2)", "4", "2", "0", "0", "1", "1"],
        [STUDY, "first", "2", "1", "0", "0", "1", "0"],
        [STUDY, "second", "3", "2", "0", "0", "0", "1"],
    ]


def test_ls_of_an_empty_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--results", str(tmp_path), "ls"]) == 0
    assert "no studies" in capsys.readouterr().out


def test_query_prints_a_table_or_csv(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    sql = "select trial_id, final_loss from walk.trials where final_loss is not null"
    assert main(["--results", root, "query", sql]) == 0
    assert capsys.readouterr().out.split() == ["trial_id", "final_loss", "aa1", "0.25"]


def test_query_as_csv(root: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["--results", root, "query", "--csv", "select trial_id, seed from walk.trials"]) == 0
    table = list(csv.reader(io.StringIO(capfdbinary.readouterr().out.decode())))
    assert sorted(table[1:]) == [["aa1", "3"], ["aa2", "3"], ["bb1", "3"]]


def test_show_gives_the_command_that_repeats_a_trial(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--results", root, "show", "bb"]) == 0
    printed = capsys.readouterr().out
    assert "boom" in printed
    assert "python -m raysweep.walk space=none width=64 seed=3 executor=serial" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "aa"], "2 trials begin with 'aa': aa1, aa2"),
        (["show", "zz"], "no trials begin with 'zz'"),
        (["query", "drop table x"], "must be one SELECT"),
        (["compact", "Walk"], "lower-case"),
        (["export", "--to", "csv", "x.csv", "--study", "jump"], "no such study"),
        (["rm", STUDY, "third", "--yes"], "no sweep third; it has first, second"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    root: str, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["--results", root, *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("table", ["trials", "measurements"])
def test_exports(root: str, tmp_path: Path, table: str) -> None:
    expected = getattr(raysweep.open(root), table)(STUDY)
    for kind, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        file = tmp_path / f"table.{kind}"
        assert main(["--results", root, "export", "--to", kind, str(file), "--table", table]) == 0
        assert read(file)["trial_id"].tolist() == expected["trial_id"].tolist()


def test_export_to_delta(root: str, tmp_path: Path) -> None:
    deltalake = pytest.importorskip("deltalake")
    assert main(["--results", root, "export", "--to", "delta", str(tmp_path / "delta")]) == 0
    stored = deltalake.DeltaTable(str(tmp_path / "delta")).to_pyarrow_dataset().to_table()
    assert sorted(stored.column("trial_id").to_pylist()) == ["aa1", "aa2", "bb1"]


def test_compact_and_check(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--results", root, "compact"]) == 0
    assert "2 trials compacted" in capsys.readouterr().out
    assert main(["--results", root, "check"]) == 0
    next((Path(root) / STUDY / "trials").iterdir()).write_bytes(b"damaged")
    assert main(["--results", root, "check"]) == 1
    assert "corrupted" in capsys.readouterr().out


def test_rm_asks_and_keeps_what_another_sweep_planned(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda prompt: "n")
    assert main(["--results", root, "rm", STUDY, "second"]) == 0
    assert len(raysweep.open(root).outcomes(STUDY)) == 3
    monkeypatch.setattr("builtins.input", lambda prompt: "y")
    assert main(["--results", root, "rm", STUDY, "second"]) == 0
    assert raysweep.open(root).outcomes(STUDY).keys() == {"aa1", "bb1"}
    assert [sweep.sweep_id for sweep in raysweep.open(root).sweeps(STUDY)] == ["first"]


def test_the_root_may_come_from_the_environment(
    root: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAYSWEEP_RESULTS", root)
    assert main(["ls"]) == 0
    assert STUDY in capsys.readouterr().out


def test_misuse_exits_with_2() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["frobnicate"])
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "unneeded"),
    [
        (("ls",), ("ray", "torch", "hydra")),
        (("stop", "a_job", "--address", "http://127.0.0.1:9"), ("torch", "hydra")),
        (("follow", "a_job", "--address", "http://127.0.0.1:9"), ("torch", "hydra")),
    ],
)
def test_what_a_command_does_not_need_is_not_imported(
    root: str, arguments: tuple[str, ...], unneeded: tuple[str, ...]
) -> None:
    program = (
        "import json, sys; from raysweep.service.commands.results_command import main; main(sys.argv[1:]); "
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, "--results", root, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not {*unneeded} & {*json.loads(ended.stderr.splitlines()[-1])}


def test_a_damaged_study_is_named_and_the_others_are_told(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    raysweep.open(root).write(replace(SCHEMA, study="jump"), [trial("cc2")], {})
    for schema in (Path(root) / "jump" / "schemas").iterdir():
        schema.write_bytes(b"damaged")
    named = "raysweep: left out jump: jump/schemas/"
    for command, answer in (
        (["ls"], f"\n{STUDY} "),
        (["show", "aa1"], "\nreproduce\n"),
        (["compact"], f"{STUDY}: 2 trials compacted"),
    ):
        assert main(["--results", root, *command]) == 0
        told = capsys.readouterr()
        assert answer in told.out
        assert named in told.err
        assert told.err.count("\n") == 1
    assert main(["--results", root, "query", f"select count(*) from {STUDY}.trials"]) == 0
    assert not capsys.readouterr().err
    for command in (["query", "select * from jump.trials"], ["compact", "jump"]):
        assert main(["--results", root, *command]) == 2
        assert "is no readable schema" in capsys.readouterr().err
    assert main(["--results", root, "check"]) == 1
    assert "jump: corrupted" in capsys.readouterr().out


def test_a_broken_record_of_a_sweep_costs_a_line(root: str) -> None:
    (Path(root) / STUDY / "sweeps" / "mine.json").write_text("[]")
    command = [sys.executable, "-m", "raysweep", "--results", root, "ls"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stderr == "warning: left out: walk/sweeps/mine.json is no readable record of a sweep; remove it\n"
    assert "second" in ended.stdout
