"""Figures of spurious features: which trials each shows, and the numbers behind it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.core.figures import style
from analysis.core.seed_means import seed_means
from analysis.spurious_cat_dog.figures import augmentation, diagrams, freeze_depths, layers, learning_curves
from analysis.spurious_cat_dog.frozen_parts import PUBLISHED

KNOBS: dict[str, Any] = {
    "seed": 0,
    "part": "B",
    "augmentation": "baseline",
    "freeze_depth": 0,
    "head_init": "reinit",
    "epochs": 2,
    "learning_rate": 0.05,
    "prefix_cache": True,
    "measurements_per_epoch": 1,
    "train_per_class": 24,
    "network_width": 4,
    "network_blocks": 1,
    "pretrain_epochs": 3,
    "pretrain_feature": "none",
    "feature_kind": "class_patch",
    "feature_amplitude": 1.0,
    "feature_agreement": 1.0,
    "feature_prevalence": 1.0,
    "feature_size": 4,
    "feature_position": "fixed",
    "data_name": "cat_dog",
}


def accuracy(knobs: dict[str, Any]) -> float:
    return 0.5 + 0.05 * knobs["freeze_depth"] + 0.01 * knobs["seed"] + 0.1 * (1 - knobs["feature_amplitude"])


def frames(*settings: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables of trials and rows of knobs that differ from `KNOBS` as the settings say."""
    trials, rows = [], []
    for number, setting in enumerate(settings):
        knobs = {**KNOBS, **setting}
        final = {f"final_weight_drift_rel_{part}": 0.1 for part in ("conv", "block_1", "block_2", "block_3", "head")}
        head = {"trial_id": str(number), "outcome": "finished", "knobs_json": ""}
        trials.append({**head, **knobs, "final_acc_clean": accuracy(knobs), **final})
        for epoch, loss in enumerate((None, 0.1, 0.001)):
            sensitivity = 0.02 if knobs["pretrain_epochs"] else 0.01
            measured = {"acc_clean": accuracy(knobs) - 0.01 * (2 - epoch), "acc_conflict": 0.1, "train_loss": loss}
            measured |= {f"sens_depth_{depth}": sensitivity if epoch == 0 else None for depth in range(5)}
            rows.append({**head, **knobs, "step": 3 * epoch, "epoch": float(epoch), **measured})
    return pd.DataFrame(trials), pd.DataFrame(rows)


def combined(**axes: list[Any]) -> list[dict[str, Any]]:
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


@pytest.fixture(autouse=True)
def _styled() -> Any:
    with style():
        yield


def test_means_over_seeds_have_students_interval() -> None:
    rows = pd.DataFrame({"arm": ["a"] * 4 + ["b"] * 2, "value": [1.0, 2.0, 4.0, np.nan, 3.0, np.nan]})
    means = seed_means(rows, ["arm"], "value").set_index("arm")
    low, high = stats.t.interval(0.95, 2, loc=7 / 3, scale=stats.sem([1.0, 2.0, 4.0]))
    assert means.loc["a", "mean"] == pytest.approx(7 / 3)
    assert means.loc["a", "half_width"] == pytest.approx((high - low) / 2)
    assert means.loc["b", ["mean", "half_width", "seeds"]].tolist() == [3.0, 0.0, 1.0]


def test_depths_are_read_at_the_end_and_at_equal_training_loss() -> None:
    drawing = freeze_depths(*frames(*combined(freeze_depth=[0, 2, 4], seed=[0, 1])))
    assert drawing is not None
    numbers = drawing.numbers.set_index(["reading", "freeze_depth"])
    assert numbers.loc[("at the end", 2), "mean"] == pytest.approx(0.605)
    # Half-way between losses of 0.1 and 0.001 in the logarithm.
    assert numbers.loc[("at training loss 0.01", 2), "mean"] == pytest.approx(0.6)
    assert (numbers["seeds"] == 2).all()


def test_published_values_are_in_the_published_order() -> None:
    assert [round(100 * value.accuracy, 2) for value in PUBLISHED.values()] == [52.87, 54.63, 68.37, 84.9]
    assert list(PUBLISHED) == [0, 2, 3, 4]


def test_variants_are_lines_of_their_own_and_sweeps_over_the_feature_are_not() -> None:
    settings = combined(freeze_depth=[0, 4], head_init=["reinit", "keep"], seed=[0, 1])
    settings += combined(freeze_depth=[0, 4], feature_amplitude=[0.1], seed=[0])
    drawing = freeze_depths(*frames(*settings))
    assert drawing is not None
    assert set(drawing.numbers["variant"]) == {"head init reinit", "head init keep"}


def test_where_several_knobs_vary_a_line_is_named_after_what_is_not_as_usual() -> None:
    settings = combined(freeze_depth=[0, 4], seed=[0, 1])
    settings += combined(freeze_depth=[0, 4], head_init=["keep"], seed=[0, 1])
    settings += combined(freeze_depth=[0, 4], pretrain_epochs=[0], seed=[0, 1])
    drawing = freeze_depths(*frames(*settings))
    assert drawing is not None
    assert set(drawing.numbers["variant"]) == {"unchanged", "head init keep", "pretrain epochs 0"}


def test_learning_rates_are_lines_of_their_own() -> None:
    drawing = freeze_depths(*frames(*combined(freeze_depth=[0, 4], learning_rate=[0.01, 0.1], seed=[0, 1])))
    assert drawing is not None
    assert set(drawing.numbers["variant"]) == {"learning rate 0.01", "learning rate 0.1"}


def test_one_depth_has_no_figure_of_depths() -> None:
    assert freeze_depths(*frames(*combined(seed=[0, 1]))) is None
    assert diagrams(*frames(*combined(seed=[0, 1]))) is None


def test_diagrams_hold_the_other_knob_at_its_commonest_value() -> None:
    settings = combined(freeze_depth=[0, 4], feature_amplitude=[0.1, 1.0])
    settings += combined(freeze_depth=[0, 4], feature_agreement=[0.5, 0.9])
    drawing = diagrams(*frames(*settings))
    assert drawing is not None
    cells = drawing.numbers.set_index(["knob", "freeze_depth", "value"])["mean"]
    assert cells["feature_amplitude", 4, 0.1] == pytest.approx(0.79)
    assert cells["feature_agreement", 4, 0.5] == pytest.approx(0.7)
    assert len(cells) == 4 + 6


def test_every_knob_of_the_feature_has_a_diagram_of_its_own() -> None:
    swept = {"feature_prevalence": [0.5], "feature_size": [2, 8], "feature_position": ["random_once"]}
    swept |= {"feature_kind": ["class_color"], "feature_amplitude": [0.1]}
    settings = combined(freeze_depth=[0, 4], seed=[0, 1])
    for name, values in swept.items():
        settings += combined(freeze_depth=[0, 4], seed=[0, 1], **{name: values})
    drawing = diagrams(*frames(*settings))
    assert drawing is not None
    shown = drawing.numbers.groupby("knob")["value"].nunique().to_dict()
    assert shown == {name: len(values) + 1 for name, values in swept.items()}
    # The diagram of one knob is of the usual values of all others.
    assert set(drawing.numbers[drawing.numbers["knob"] == "feature_size"]["mean"].round(3)) == {0.505, 0.705}
    assert len(drawing.figure.axes) == 6 + 1  # the sixth place stays empty; the last is the colour bar


def test_curves_are_of_the_depths() -> None:
    drawing = learning_curves(*frames(*combined(freeze_depth=[0, 4], seed=[0, 1])))
    assert drawing is not None
    assert len(drawing.numbers[drawing.numbers["measurement"] == "acc_clean"]) == 2 * 3
    assert len(drawing.numbers[drawing.numbers["measurement"] == "train_loss"]) == 2 * 2


def test_a_random_network_stands_beside_the_pretrained_one() -> None:
    settings = combined(freeze_depth=[0, 4], seed=[0, 1]) + combined(pretrain_epochs=[0], freeze_depth=[4])
    drawing = layers(*frames(*settings))
    assert drawing is not None
    means = drawing.numbers.dropna(subset=["network"]).groupby("network")["mean"].first()
    assert means.to_dict() == {"random network": 0.01, "pretrained for 3 epochs": 0.02}
    alone = layers(*frames(*combined(pretrain_epochs=[0], freeze_depth=[4])))
    assert alone is not None and set(alone.numbers["network"]) == {"random network"}


def test_arms_are_bars_and_features_groups_of_them() -> None:
    arms = ["baseline", "random_crop"]
    kinds = ["class_patch", "instance_noise"]
    drawing = augmentation(*frames(*combined(part=["A"], augmentation=arms, feature_kind=kinds, seed=[0, 1])))
    assert drawing is not None
    assert len(drawing.numbers) == 4
    assert augmentation(*frames(*combined(freeze_depth=[0, 4]))) is None
