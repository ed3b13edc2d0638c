"""What a search ends with: the best knobs, a command that verifies them, figures of its own."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from analysis.core.search_figures import SearchFound, search_drawings
from analysis.store.results import Results
from raysweep.k_phase_diagram import STUDY
from raysweep.service.commands.printed.search_summary import Configuration, winners
from raysweep.service.commands.results_command import main as look
from raysweep.service.commands.study_command import main
from trials.k_phase_diagram.knobs import KPhaseKnobs

SMALL = ("steps=40", "width=8", "depth=1", "data.train_size=64", "data.test_size=64", "executor=serial")
SEARCH = (
    "space=search",
    "search.trials=4",
    "axes.feature_update_interval=[1,3]",
    *SMALL,
)


def test_a_search_ends_with_the_best_knobs_and_the_command_that_verifies_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(tmp_path / "it's [here]")
    assert main(STUDY, [*SEARCH, f'results="{root}"']) == 0
    told = capsys.readouterr().out
    trials = Results(root).trials(STUDY.name)
    means = trials.groupby(["feature_update_interval", "learning_rate"])["final_test_acc_lin"].mean()
    for interval in (1, 3):
        (row,) = re.findall(rf"^│ +{interval} │ +(\S+) │ +(\S+) │ +(\S+) │ +(\S+) │ +2 │$", told, flags=re.MULTILINE)
        assert row[1] == f"{means[interval].max():.4f}"
        assert float(row[2]) <= float(row[1]) <= float(row[3])
    names = sorted(Path(line.partition(": ")[2]).stem.partition("_")[2] for line in told.splitlines() if ".png" in line)
    assert names == ["", "importance", "slices"]
    commands = [shlex.split(line) for line in told.splitlines() if line.startswith("  python -m")]
    assert len(commands) == 2
    assert main(STUDY, [*commands[1][3:], "--dry-run"]) == 0
    assert "10 trials, 0 finished, 10 to run" in capsys.readouterr().out

    optuna = ["--results", root, "export", "--to", "optuna", str(tmp_path / "search.db")]
    assert look([*optuna, *SEARCH[:-1], "steps=7"]) == 2
    assert "steps is 40 in the store and 7 in the search" in capsys.readouterr().err
    assert not (tmp_path / "search.db").exists()


def configuration(values: Sequence[float], costs: Sequence[float], seeds: int = 2) -> Configuration:
    kept = {"score": values, "cost": costs}
    return Configuration({}, {"learning_rate": values[0]}, KPhaseKnobs(), kept, seeds, "")


def test_of_two_objectives_the_front_wins_and_lost_seeds_do_not() -> None:
    best, cheap, worse = configuration([3, 5], [9, 9]), configuration([1, 1], [2, 2]), configuration([2, 2], [9, 9.5])
    lucky = configuration([8], [1])
    found = [worse, best, lucky, cheap]
    assert winners(found, {"score": "maximize", "cost": "minimize"}) == [cheap, best]
    assert winners(found, {"score": "maximize"}) == [best]
    assert winners([lucky], {"score": "maximize"}) == []


@pytest.mark.parametrize("directions", [{"score": "maximize"}, {"score": "maximize", "cost": "minimize"}])
def test_figures_of_a_search_show_every_configuration(directions: dict[str, str]) -> None:
    """Names among the knobs, a search without axes, one that diverged."""
    table = pd.DataFrame(
        {"rate": [0.001, 0.1, 1.0], "optimizer": ["adam", "sgd", "sgd"], "score": [1.0, 3.0, float("nan")]}
    ).assign(cost=[1.0, 2.0, 3.0])
    shares = {name: {"rate": 0.9, "optimizer": 0.1} for name in directions}
    found = SearchFound(
        configurations=table, axes=[], over=["rate", "optimizer"], directions=directions, importances=shares
    )
    drawings = {drawing.name: drawing for drawing in search_drawings(found)}
    assert list(drawings) == ["", "importance", "slices"]
    main_numbers = drawings[""].numbers
    if len(directions) == 1:
        assert main_numbers["best"].tolist()[:2] == [1.0, 3.0]
    else:
        assert main_numbers["on_front"].tolist() == [True, True]
    assert len(drawings["slices"].figure.axes) == 2 * len(directions)
    nothing = SearchFound(
        configurations=table[2:], axes=[], over=["rate"], directions={"score": "maximize"}, importances={}
    )
    assert search_drawings(nothing) == []
