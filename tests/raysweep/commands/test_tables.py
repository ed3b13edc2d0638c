"""The tables of a run: which axes they have, and what they call a trial."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from analysis.core.numbers import shown_number, shown_numbers
from analysis.store.results import Results
from raysweep.k_phase_diagram import STUDY
from raysweep.service.commands.configuration import read_settings
from raysweep.service.commands.printed.tables import MOST_ROWS, outcome_table, plan_table
from raysweep.service.driver.plan import planned
from tests.studies import run_serially, sweep_of

_SHORT = ("axes.feature_update_interval=[1,5,20]", "steps=20")


def cells(table: Table) -> list[list[str]]:
    """Return the texts of a table, its headings first."""
    console = Console(width=200)
    with console.capture() as captured:
        console.print(table)
    lines = captured.get().splitlines()
    return [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in lines if line[:1] in "│┃"]


def plan(space: str, *overrides: str) -> list[list[str]]:
    grid = read_settings(STUDY, [f"space={space}", *overrides]).planner.grid
    return cells(plan_table(STUDY, planned(STUDY, grid, {})))


def test_an_interval_that_never_ends_is_infinite_whatever_the_length() -> None:
    rows = plan("smoke", "axes.feature_update_interval=[1,5,4000,inf]", "axes.steps=[10,20]", "seed=0")
    assert [row[:2] for row in rows] == [
        ["feature_update_interval", "steps"],
        *([interval, steps] for interval in ("1", "5", "∞") for steps in ("10", "20")),
    ]


def test_figures_call_intervals_by_the_same_names(tmp_path: Path) -> None:
    trials = sweep_of(
        STUDY, "smoke", "axes.feature_update_interval=[1,5,20]", "steps=20", "axes.learning_rate=[0.1,0.2]"
    )
    run_serially(STUDY, tmp_path, trials)
    results = Results(tmp_path)
    told = cells(outcome_table(STUDY, results))
    assert told[0][:3] == ["feature_update_interval", "learning_rate", "test_acc_lin (mean)"]
    assert [row[:2] for row in told[1:]] == [[name, rate] for name in ("1", "5", "∞") for rate in ("0.1", "0.2")]
    drawing = STUDY.draw(results)[0]
    assert [label.get_text() for label in drawing.figure.axes[0].get_yticklabels()] == ["1", "5", "∞"]


def test_means_are_of_trials_that_finished(tmp_path: Path) -> None:
    run_serially(STUDY, tmp_path, sweep_of(STUDY, "smoke", "seed=0", "axes.feature_update_interval=5"))
    (_, (_, mean, *_)) = cells(outcome_table(STUDY, Results(tmp_path)))
    assert mean == f"{Results(tmp_path).trials(STUDY.name)['final_test_acc_lin'].mean():.4f}"
    unstable = sweep_of(STUDY, "smoke", "seed=1", "axes.feature_update_interval=5", "learning_rate=1e6")
    assert set(run_serially(STUDY, tmp_path, unstable).values()) == {"diverged"}
    table = cells(outcome_table(STUDY, Results(tmp_path)))
    assert [row[:2] for row in table[1:]] == [["0.1", mean], ["1e6", "-"]]


def test_what_would_make_too_many_rows_is_pooled_and_said() -> None:
    told = plan("smoke", f"axes.learning_rate=linear(0.1,0.5,{MOST_ROWS})", "axes.width=[4,8]", "seed=range(2)")
    assert told[0][:2] == ["feature_update_interval", "width"]
    alone = plan("smoke", "axes.feature_update_interval=5", f"axes.learning_rate=linear(0.1,0.5,{MOST_ROWS + 5})")
    assert len(alone) == 1 + MOST_ROWS + 5


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0215443, "0.022"), (0.125, "0.125"), (0.1 + 0.2, "0.3"), (4000.0, "4000"), (1e-5, "1e-5"), (2e7, "2e7"),
        (123.456, "120"), (float("inf"), "∞"), (-0.5, "-0.5"), (0.0, "0"), (float("nan"), "nan"),
    ],
)  # fmt: skip
def test_numbers_have_the_digits_that_they_are_worth(value: float, text: str) -> None:
    assert shown_number(value) == text


def test_numbers_side_by_side_are_told_apart() -> None:
    assert list(shown_numbers([0.0215443, 0.0215, 0.021, 0.0216]).values()) == ["0.021", "0.0215", "0.02154", "0.0216"]
    assert list(shown_numbers([0.0215443, 0.0216, float("inf")]).values()) == ["0.0215", "0.0216", "∞"]
    assert shown_numbers([]) == {}
