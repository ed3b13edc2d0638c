"""`raysweep export --to optuna`: a search as Optuna's own tools see it."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from analysis.store.results import Results
from raysweep.k_phase_diagram import STUDY
from raysweep.service.commands import study_command as command
from raysweep.service.commands.results_command import main

SMALL_SEARCH = (
    "space=search",
    "search.trials=3",
    "axes.feature_update_interval=[1, 5]",
    "steps=5",
    "data.train_size=64",
)


def test_a_search_opens_in_optuna(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, file = str(tmp_path / "results"), tmp_path / "optuna.db"
    assert command.main(STUDY, [*SMALL_SEARCH, "executor=serial", f"results={root}"]) == 0
    assert main(["--results", root, "export", "--to", "optuna", str(file), *SMALL_SEARCH]) == 0
    assert "6 configurations" in capsys.readouterr().out
    study = optuna.load_study(study_name=f"{STUDY.name}-search", storage=f"sqlite:///{file}")
    for trial in study.trials:
        assert set(trial.params) == {"feature_update_interval", "learning_rate"}
    values = {round(trial.values[0], 9) for trial in study.trials}
    means = Results(root).trials(STUDY.name).groupby(["feature_update_interval", "learning_rate"])
    assert values == {round(mean, 9) for mean in means["final_test_acc_lin"].mean()}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["space=smoke"], "space=smoke of k_phase_diagram is not a search"),
        (["space=serach"], "space=serach is unknown"),
    ],
)
def test_only_a_search_goes_to_optuna(
    overrides: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(tmp_path / "results")
    assert command.main(STUDY, ["space=smoke", "executor=serial", f"results={root}"]) == 0
    assert main(["--results", root, "export", "--to", "optuna", str(tmp_path / "optuna.db"), *overrides]) == 2
    assert said in capsys.readouterr().err
