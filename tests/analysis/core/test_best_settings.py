"""The best settings: means over seeds, settings that lost some of theirs left out, and the front of two objectives."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.core.best_settings import best_settings


def trials(settings: dict[str, list[tuple[float, float]]], lost: tuple[str, ...] = ()) -> pd.DataFrame:
    """Return a trial for each pair of values; the first of the settings in `lost` has diverged."""
    rows = [
        {"seed": seed, "knobs_json": "", "width": 3, "rule": rule, "final_acc": acc, "final_loss": loss,
         "outcome": "diverged" if rule in lost and not seed else "finished"}
        for rule, values in settings.items() for seed, (acc, loss) in enumerate(values)
    ]  # fmt: skip
    order = ["outcome", "seed", "knobs_json", "width", "rule", "final_acc", "final_loss"]
    return pd.DataFrame(rows)[order]


SETTINGS = {"sgd": [(0.9, 3.0), (0.7, 3.0)], "adam": [(0.5, 1.0), (0.6, 1.0)], "lamb": [(0.6, 2.0), (0.5, 2.0)]}


@pytest.mark.parametrize(
    ("directions", "rules"),
    [
        ({"final_acc": "maximize"}, ["sgd"]),
        ({"final_loss": "minimize"}, ["adam"]),
        ({"final_acc": "minimize"}, ["adam", "lamb"]),
        ({"final_acc": "maximize", "final_loss": "minimize"}, ["sgd", "adam"]),
        ({"final_loss": "maximize", "final_acc": "maximize"}, ["sgd"]),
    ],
)
def test_best_is_the_best_mean_and_of_two_the_front(directions: dict[str, str], rules: list[str]) -> None:
    best = best_settings(trials(SETTINGS), directions)
    assert sorted(best["rule"]) == sorted(rules)
    assert best.columns.tolist() == ["rule", *directions, "seeds"], "what does not vary is no part of it"
    first = next(iter(directions))
    assert (
        best[first].is_monotonic_decreasing if directions[first] == "maximize" else best[first].is_monotonic_increasing
    )
    means = trials(SETTINGS).groupby("rule")[first].mean()
    assert best.set_index("rule")[first].to_dict() == pytest.approx(means[rules].to_dict())


def test_a_mean_of_survivors_is_not_compared() -> None:
    directions = {"final_acc": "maximize"}
    assert best_settings(trials(SETTINGS, lost=("sgd",)), directions)["rule"].tolist() in (
        ["adam"],
        ["lamb"],
        ["adam", "lamb"],
    )
    everywhere = best_settings(trials(SETTINGS, lost=("sgd", "adam", "lamb")), directions)
    assert everywhere.to_dict("records") == [{"rule": "sgd", "final_acc": 0.7, "seeds": 1}]


def test_without_a_finished_trial_there_is_none() -> None:
    nothing = trials({"sgd": [(0.9, 3.0)]}, lost=("sgd",))
    assert best_settings(nothing, {"final_acc": "maximize"}).columns.tolist() == ["final_acc", "seeds"]
    assert not len(best_settings(nothing, {"final_acc": "maximize"}))


def test_a_single_setting_is_its_own_best() -> None:
    best = best_settings(trials({"sgd": [(0.9, 3.0), (0.7, 3.0)]}), {"final_acc": "maximize"})
    assert best.to_dict("records") == [{"final_acc": pytest.approx(0.8), "seeds": 2}]
