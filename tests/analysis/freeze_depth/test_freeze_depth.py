"""The figures of the freeze depth: depths at their own learning rate, signatures against the same seed's whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.freeze_depth.figures import draw
from analysis.freeze_depth.freezing import at_best_rates, published_signature, signatures, worst
from analysis.freeze_depth.published_fine_tuning import METHODS, RATES
from analysis.store.results import Results
from raysweep.freeze_depth import STUDY
from tests.studies import run_serially, smallest_sweep


def _trial(number: int, **values: Any) -> dict[str, Any]:
    knobs = {"seed": 0, "knobs_json": "{}", "task": "foreground", "freeze_depth": 0, "learning_rate": 0.1, **values}
    scores = {"selected": 0.5, "leaked": 0.5}
    finals = {
        f"final_{rule}_{name}": values.get(f"{rule}_{name}", scores[rule])
        for rule in scores
        for name in ("score", "test_worst_group_acc")
    }
    named = {name: value for name, value in knobs.items() if not name.startswith(("selected_", "leaked_"))}
    return {"trial_id": f"t{number}", **named, **finals}


def _trials(*settings: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame([_trial(number, **setting) for number, setting in enumerate(settings)])


def test_each_depth_is_taken_at_its_own_best_rate_and_edges_are_told() -> None:
    scores = {(0, 0.01): 0.7, (0, 0.1): 0.8, (0, 1.0): 0.6, (3, 0.01): 0.9, (3, 0.1): 0.5, (3, 1.0): 0.4}
    trials = _trials(
        *(
            {"freeze_depth": depth, "learning_rate": rate, "selected_score": score}
            for (depth, rate), score in scores.items()
        )
    )
    chosen = at_best_rates(trials, "selected").set_index("freeze_depth")
    assert chosen["learning_rate"].to_dict() == {0: 0.1, 3: 0.01}
    assert chosen["at_edge"].to_dict() == {0: False, 3: True}


def test_a_rate_that_lacks_seeds_is_not_chosen() -> None:
    trials = _trials(
        {"learning_rate": 0.1, "seed": 0, "selected_score": 0.6},
        {"learning_rate": 0.1, "seed": 1, "selected_score": 0.6},
        {"learning_rate": 1.0, "seed": 0, "selected_score": 0.9},
    )
    assert at_best_rates(trials, "selected")["learning_rate"].tolist() == [0.1, 0.1]


def test_the_two_rules_choose_for_themselves() -> None:
    trials = _trials(
        {"learning_rate": 0.1, "selected_score": 0.9, "leaked_score": 0.1},
        {"learning_rate": 1.0, "selected_score": 0.1, "leaked_score": 0.9},
    )
    assert [at_best_rates(trials, rule)["learning_rate"].item() for rule in ("selected", "leaked")] == [0.1, 1.0]


def test_a_signature_compares_a_seed_with_itself() -> None:
    response = worst("selected")
    values = {("foreground", 0): 0.5, ("foreground", 3): 0.7, ("background", 0): 0.8, ("background", 3): 0.6}
    settings = [
        {"task": task, "freeze_depth": depth, "seed": seed, "selected_test_worst_group_acc": value + 0.1 * seed}
        for (task, depth), value in values.items()
        for seed in (0, 1)
    ]
    gains = signatures(_trials(*settings, {"task": "foreground", "freeze_depth": 3, "seed": 2}), response)
    assert gains["seeds"].item() == 2
    assert (gains["d_foreground"].item(), gains["d_background"].item()) == pytest.approx((0.2, -0.2))
    assert not len(signatures(_trials({"task": "foreground"}), response))


def test_the_published_signature_is_that_of_the_source() -> None:
    gains = published_signature()
    assert gains["d_foreground"].max() == pytest.approx(0.1402)
    assert gains["d_background"].min() == pytest.approx(-0.0111)
    assert gains["d_background"].max() == pytest.approx(0.0019)


def test_a_gain_has_an_interval_of_its_seeds() -> None:
    """Two seeds with gains 0.1 and 0.3: Student's factor for one degree of freedom is 12.706."""
    values = {("foreground", 0): (0.5, 0.5), ("foreground", 3): (0.6, 0.8), ("background", 0): (0.8, 0.8)}
    values[("background", 3)] = (0.7, 0.7)
    settings = [
        {"task": task, "freeze_depth": depth, "seed": seed, "selected_test_worst_group_acc": value}
        for (task, depth), of_seeds in values.items()
        for seed, value in enumerate(of_seeds)
    ]
    gains = signatures(_trials(*settings), worst("selected"))
    assert gains["d_foreground_half_width"].item() == pytest.approx(12.706 * 0.1, rel=1e-4)
    assert gains["d_background_half_width"].item() == pytest.approx(0, abs=1e-9)


def test_published_tables_agree_where_they_overlap() -> None:
    """Methods are at the rate that their notebook chose; the table of rates has two of them at every rate."""
    means = RATES.groupby(["freeze_depth", "learning_rate"])["worst_group"].agg(["mean", "std", "count"])
    assert (means["count"] == 3).all()
    worst_groups = METHODS.set_index("method")["worst_group"]
    assert means.loc[(0, 3e-5), "mean"] == pytest.approx(worst_groups["SGD"], abs=0.0005)
    assert means.loc[(1, 3e-4), "mean"] == pytest.approx(worst_groups["SGD, embedding frozen"], abs=0.002)
    assert means.loc[0, "mean"].idxmax() == RATES["learning_rate"].min(), "best at the edge of the sweep"
    assert len(METHODS) == 10


def _names(tmp_path: Path, *overrides: str) -> set[str]:
    run_serially(STUDY, tmp_path, smallest_sweep(STUDY, *overrides))
    drawings = draw(Results(tmp_path))
    assert all(len(drawing.numbers) for drawing in drawings)
    return {drawing.name for drawing in drawings}


def test_figures_are_drawn_of_what_there_is(tmp_path: Path) -> None:
    assert _names(tmp_path / "smoke") == {"", "signature"}
    assert _names(tmp_path / "task", "task=foreground") == {""}
    rates = _names(tmp_path / "rates", "axes.learning_rate=[0.01,0.1]", "axes.pretrain_task=[none,fg]")
    assert rates == {"", "signature", "learning_rates", "by_rate", "poles"}
    assert _names(tmp_path / "rules", "axes.optimizer=[sgd,adamw]") == {"", "signature", "methods"}
    assert "confounder" in _names(tmp_path / "confounder", "axes.data_confounder_strength=[0.5,0.9]")


def test_depths_with_their_own_epochs_are_one_panel(tmp_path: Path) -> None:
    run_serially(STUDY, tmp_path, smallest_sweep(STUDY, "axes.freeze_depth=[0]", "epochs=1"))
    run_serially(STUDY, tmp_path, smallest_sweep(STUDY, "axes.freeze_depth=[3]", "epochs=2"))
    together = {drawing.name: drawing for drawing in draw(Results(tmp_path))}
    assert len(together["signature"].numbers) == 1
    run_serially(STUDY, tmp_path, smallest_sweep(STUDY, "axes.freeze_depth=[3]", "epochs=1"))
    apart = {drawing.name: drawing for drawing in draw(Results(tmp_path))}
    assert set(apart[""].numbers["epochs"]) == {1, 2}


def test_augmentations_are_apart_in_every_figure(tmp_path: Path) -> None:
    overrides = (
        "axes.pretrain_task=[none,fg]",
        "axes.augmentation=[none,flip+resized_crop]",
        "axes.learning_rate=[0.01,0.1]",
    )
    run_serially(STUDY, tmp_path, smallest_sweep(STUDY, *overrides))
    drawings = {drawing.name: drawing for drawing in draw(Results(tmp_path))}
    assert set(drawings) == {"", "signature", "learning_rates", "by_rate", "poles"}
    for name, drawing in drawings.items():
        assert set(drawing.numbers["augmentation"]) == {"none", "flip+resized_crop"}, name
    poles = drawings["poles"].numbers
    assert len(poles) == 2 * 2 * 2 * 2, "tasks, augmentations, kinds of pretraining and depths"
