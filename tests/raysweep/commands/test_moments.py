"""What a run prints is true at every moment of a sweep and for every outcome of its trials."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pandas
import polars
import pytest

from analysis.store.errors import StoreUnwritable
from analysis.store.results import Results
from raysweep.k_phase_diagram import STUDY
from raysweep.service.commands.study_command import main
from raysweep.service.study import Recipe
from raysweep.useful_sam import STUDY as SAM
from tests.studies import run_serially, smallest_sweep
from trials.core.context import TrialContext
from trials.core.rows import Diverged, Row
from trials.k_phase_diagram.knobs import KPhaseKnobs


def opened(printed: str) -> list[int]:
    """Run the printed lines and return how many trials each of them opens."""
    lines = [line.partition(":") for line in printed.splitlines()]
    code = [code.partition("; ")[2] for reader, _, code in lines if reader in ("pandas", "polars", "duckdb")]
    return [len(eval(each, {"pandas": pandas, "polars": polars, "duckdb": duckdb})) for each in code]


def arguments(root: Path, *others: str) -> list[str]:
    return ["space=smoke", "executor=serial", f"results={root}", "figures=main", *others]


def test_the_lines_open_what_a_lost_sweep_had_not_compacted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Once a sweep died after its last trial, and once with one of its trials still to come."""
    *most, last = smallest_sweep(STUDY)
    run_serially(STUDY, tmp_path / "all", [*most, last])
    assert main(STUDY, arguments(tmp_path / "all")) == 0
    printed = capsys.readouterr().out
    assert "6 trials, 6 finished, 0 to run" in printed
    assert opened(printed) == [6, 6, 6]

    run_serially(STUDY, tmp_path / "most", most)
    assert main(STUDY, arguments(tmp_path / "most")) == 0
    printed = capsys.readouterr().out
    assert "6 trials, 5 finished, 1 to run" in printed
    assert opened(printed) == [6, 6, 6]


def test_no_line_is_printed_that_opens_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that may not be written, and has no tables yet."""
    run_serially(STUDY, tmp_path, smallest_sweep(STUDY))

    def refused(self: Results, study: str, at_least: int = 1) -> None:
        raise StoreUnwritable("no permission")

    monkeypatch.setattr(Results, "compact", refused)
    assert main(STUDY, arguments(tmp_path)) == 0
    printed = capsys.readouterr().out
    assert "no table to open yet (no permission); raysweep query reads the trials (k_phase_diagram.trials)" in printed
    assert opened(printed) == []


def diverging(knobs: KPhaseKnobs, context: TrialContext) -> Iterator[Row]:
    yield from itertools.islice(STUDY.trial(knobs, context), knobs.seed + 1)
    raise Diverged(knobs.seed + 1, "the loss is nan")


def test_a_sweep_whose_trials_have_all_diverged_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = dataclasses.replace(STUDY, recipe=Recipe(run=diverging))
    assert main(study, arguments(tmp_path, "axes.seed=[0]")) == 0
    printed = capsys.readouterr().out
    assert "no figure: no trial has come as far as what they show" in printed
    assert opened(printed) == [3, 3, 3]
    assert main(study, arguments(tmp_path, "axes.seed=[2]")) == 0
    printed = capsys.readouterr().out
    assert "not drawn" not in printed
    assert "figure: " in printed
    assert opened(printed) == [6, 6, 6]
    assert set(Results(tmp_path).trials(STUDY.name)["outcome"]) == {"diverged"}


def test_trainings_that_diverge_in_their_first_step_have_no_curve(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(SAM, arguments(tmp_path, "learning_rate=1e200", "seed=0")) == 0
    printed = capsys.readouterr().out
    assert "no figure: no trial" in printed
    assert set(opened(printed)) == {4}
