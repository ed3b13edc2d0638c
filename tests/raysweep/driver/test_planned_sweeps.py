"""Sweeps whose planner learns: searches and boundaries, which go on from the store after any loss."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.store.results import Results
from raysweep.k_phase_diagram import STUDY
from raysweep.service.commands.study_command import main

SMALL = ("steps=20", "width=8", "depth=1", "batch_size=16", "data.train_size=64", "data.test_size=64")
QUICK = ("executor=serial", *SMALL)
SEARCH = (*QUICK, "space=search", "search.trials=4", "axes.feature_update_interval=[1,inf]")
BOUNDARY = (*QUICK, "space=boundary", "boundary.level=0.15")


def trials(root: Path) -> list[dict[str, object]]:
    return list(Results(root).trials(STUDY.name).to_dict("records"))


def test_a_search_runs_every_configuration_with_every_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(STUDY, [*SEARCH, f"results={tmp_path}"]) == 0
    rows = trials(tmp_path)
    assert len(rows) == 2 * 4 * 2
    looked_at = {(row["feature_update_interval"], row["learning_rate"]) for row in rows}
    assert len(looked_at) == 8
    assert all(0.001 <= float(str(rate)) <= 1.0 for _, rate in looked_at)
    (sweep,) = Results(tmp_path).sweeps(STUDY.name)
    assert len(sweep.trial_ids) == 16

    capsys.readouterr()
    assert main(STUDY, [*SEARCH, f"results={tmp_path}"]) == 0
    assert "16 trials known, at most 0 to run" in capsys.readouterr().out
    assert len(trials(tmp_path)) == 16


def test_a_search_that_was_lost_goes_on_where_it_was(tmp_path: Path) -> None:
    main(STUDY, [*SEARCH, f"results={tmp_path / 'whole'}"])
    broken = Results(tmp_path / "broken")
    main(STUDY, [*SEARCH, f"results={tmp_path / 'broken'}", "search.trials=2"])
    assert len(broken.trials(STUDY.name)) == 8
    main(STUDY, [*SEARCH, f"results={tmp_path / 'broken'}"])
    assert {row["trial_id"] for row in trials(tmp_path / "broken")} == {
        row["trial_id"] for row in trials(tmp_path / "whole")
    }


def test_a_boundary_is_looked_for_and_drawn(tmp_path: Path) -> None:
    assert main(STUDY, [*BOUNDARY, f"results={tmp_path}", "axes.seed=[0]"]) == 0
    rows = trials(tmp_path)
    assert 0 < len(rows) <= 11 * 13 / 4 + 1
    assert len(list((tmp_path / STUDY.name / "figures").glob("boundary-????????.png"))) == 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("search.sampler=nope", "nope"),
        ("+search.objective.final_test=minimize", "final_test"),
        ("+search.over.learning_rat={low:0.1,high:1.0}", "learning_rat"),
    ],
)
def test_a_search_that_cannot_be_is_one_line_and_exit_code_2(
    override: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(STUDY, [*SEARCH, f"results={tmp_path}", override]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
