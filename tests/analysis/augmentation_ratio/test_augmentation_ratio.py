"""The figures of the augmentation ratio: what a transform is worth, and trials that serve under several knobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.augmentation_ratio.augmentation_levels import level_of, levels
from analysis.augmentation_ratio.equal_loss import at_equal_loss
from analysis.augmentation_ratio.figures import draw, efficiency
from analysis.augmentation_ratio.invariance_gains import gains
from analysis.core.augmentation_worth import (
    ACCURACY,
    ARM,
    INVARIANCES,
    RATIO,
    TRANSFORM,
    equivalent_ratios,
    lent,
    worth,
)
from analysis.core.panels import Panel
from analysis.store.results import Results
from raysweep import k_phase_diagram
from raysweep.augmentation_ratio import STUDY
from tests.studies import run_serially, smallest_sweep

RATIOS = (0.25, 0.5, 1.0)
KNOBS: dict[str, Any] = {
    "exclude_identity": False,
    "mixing": "none",
    "network": "mlp",
    "data_name": "jittered_digits",
    "data_train_size": 0,
}


def trials(accuracy: dict[str, list[float]], seeds: int = 3, noise: float = 0.0, **knobs: Any) -> pd.DataFrame:
    """Return a table of trials: arms with an accuracy for each ratio, moved a little by the seed."""
    rows = []
    for arm, values in accuracy.items():
        for ratio, value in zip(RATIOS, values, strict=False):
            for seed in range(seeds):
                moved = value + noise * (seed - (seeds - 1) / 2)
                rows.append(
                    {"seed": seed, "knobs_json": "", RATIO: ratio, ARM: arm, TRANSFORM: "crop2", **KNOBS, **knobs}
                )
                rows[-1] |= {ACCURACY: moved, **dict.fromkeys(INVARIANCES, 0.5)}
    table = pd.DataFrame(rows)
    return table.assign(trial_id=[f"{number}" for number in range(len(table))])[["trial_id", *table.columns]]


def test_efficiency_is_the_share_of_what_new_images_add() -> None:
    found = worth(lent(trials({"copies": [0.4, 0.6, 0.8], "fixed_aug": [0.6, 0.75]}, noise=0.01)), "fixed_aug")
    assert found[RATIO].tolist() == [0.25, 0.5]
    assert found["aug_efficiency"].tolist() == pytest.approx([0.5, 0.75])
    assert found["equivalent_ratio"].tolist() == pytest.approx([0.5, 0.5 * 2**0.75])
    assert found["data_multiplier"].tolist() == pytest.approx([2, 2**0.75])
    assert (found["aug_efficiency_low"] <= found["aug_efficiency"]).all()
    assert (found["aug_efficiency_high"] >= found["aug_efficiency"]).all()


def test_a_transform_that_hurts_is_worth_less_than_a_copy() -> None:
    found = worth(lent(trials({"copies": [0.4, 0.6, 0.8], "fixed_aug": [0.3, 0.5]}, noise=0.01)), "fixed_aug")
    assert found["aug_efficiency"].tolist() == pytest.approx([-0.25, -0.5])
    assert np.isnan(found["equivalent_ratio"][0]), "copies are as bad at no ratio"
    assert found["data_multiplier"][1] == pytest.approx(0.5**0.5)


def test_where_new_images_add_nothing_there_is_no_efficiency() -> None:
    flat = {"copies": [0.4, 0.799, 0.8], "fixed_aug": [0.6, 0.9]}
    noisy = trials(flat, noise=0.0)
    noisy[ACCURACY] += np.where(noisy[ARM] == "copies", np.where(noisy[RATIO] == 1, 0.05, 0.0), 0.0) * (
        noisy["seed"] - 1
    )
    found = worth(lent(noisy), "fixed_aug")
    assert np.isnan(found["aug_efficiency"]).tolist() == [False, True]
    assert np.isnan(found["equivalent_ratio"]).tolist() == [False, True], "no share of new images is as good"
    assert not len(worth(lent(noisy[noisy[RATIO] < 1]), "fixed_aug"))
    one_seed = worth(lent(noisy[noisy["seed"] == 0]), "fixed_aug")
    assert one_seed[["aug_efficiency", "aug_efficiency_low"]].isna().all().all()


def test_intervals_cover_as_often_as_they_say() -> None:
    """Of 50 sweeps of ten seeds; the efficiency is a ratio of two noisy differences."""
    random, covered = np.random.default_rng(0), 0
    table = trials({"copies": [0.4, 0.6, 0.8], "fixed_aug": [0.6, 0.7]}, seeds=10)
    for _ in range(50):
        drawn = table.assign(**{ACCURACY: table[ACCURACY] + random.normal(0, 0.02, len(table))})
        found = worth(lent(drawn), "fixed_aug")
        covered += found["aug_efficiency_low"][0] <= 0.5 <= found["aug_efficiency_high"][0]
    assert covered / 50 == pytest.approx(0.95, abs=0.1)  # three standard errors of the sweeps


def test_images_that_are_drawn_with_the_seed_are_one_repetition_each() -> None:
    own = trials({"copies": [0.4, 0.6, 0.8], "fixed_aug": [0.6, 0.75]}, seeds=4, noise=0.01)
    drawn = own.assign(data_train_offset=1000 * own["seed"], data_test_offset=797 * own["seed"])
    names = ["aug_efficiency", "aug_efficiency_low", "aug_efficiency_high"]
    pd.testing.assert_frame_equal(worth(lent(drawn), "fixed_aug")[names], worth(lent(own), "fixed_aug")[names])
    found = efficiency(drawn)
    assert found is not None
    assert found.numbers["seeds"].tolist() == [4, 4], "one panel"


def test_accuracies_are_interpolated_in_the_logarithm_and_never_fall() -> None:
    ratios = np.array([0.1, 0.4, 1.0])
    found = equivalent_ratios(ratios, np.array([0.2, 0.6, 0.5]), np.array([0.4, 0.1, 0.9]))
    assert found == pytest.approx([0.2, 0.1, 1.0])


def test_one_training_serves_all_knobs_that_mean_it() -> None:
    copies = trials({"copies": [0.4, 0.6, 0.8]})
    others = pd.concat([trials({"fixed_aug": [0.5, 0.7]}, **{TRANSFORM: name}) for name in ("crop2", "crop4")])
    whole = lent(pd.concat([copies, others], ignore_index=True))
    counts = whole.groupby([TRANSFORM, ARM]).size().to_dict()
    assert counts == dict.fromkeys([(name, arm) for name in ("crop2", "crop4") for arm in ("copies", "fixed_aug")], 9)
    lent_copies = whole[(whole[TRANSFORM] == "crop4") & (whole[ARM] == "copies")]
    assert lent_copies[list(INVARIANCES)].isna().all().all()
    assert lent_copies[ACCURACY].notna().all()
    elsewhere = lent(pd.concat([copies, trials({"fixed_aug": [0.5]}, network="cnn3")], ignore_index=True))
    assert set(elsewhere.loc[elsewhere[ARM] == "copies", "network"]) == {"mlp"}, "another network is another training"


def test_arms_are_compared_at_a_training_loss_that_all_reach() -> None:
    """The slower arm at its end, the faster one between the two epochs around that loss."""
    own = trials({"copies": [0.4], "fresh_aug": [0.6], "subset": [0.5]}, seeds=1)
    alone = trials({"copies": [0.4]}, seeds=1, network="cnn3").assign(trial_id="alone")
    losses = {"0": (1.0, 0.1, 0.01), "1": (2.0, 1.0, 0.5), "2": (0.1, 0.01, 0.001), "alone": (1.0, 0.1, 0.01)}
    rows = pd.DataFrame(
        {"trial_id": name, "step": step, "train_loss": loss, "test_acc": 0.1 * step}
        for name, course in losses.items()
        for step, loss in enumerate(course, start=1)
    )
    found = at_equal_loss(pd.concat([own, alone], ignore_index=True), rows).set_index("trial_id")
    assert sorted(found.index) == ["0", "1", "2"], "a trial without companions has nothing to be compared with"
    assert found["equal_train_loss"].tolist() == [0.5] * 3
    expected = {"0": 0.1 + 0.1 * np.log(2) / np.log(10), "1": 0.3, "2": 0.1}
    assert found["test_acc_at_equal_loss"].to_dict() == pytest.approx(expected)


def test_gains_are_paired_by_seed() -> None:
    """What seeds have in common is in no interval."""
    own = trials({"copies": [0.4, 0.6], "fixed_aug": [0.6, 0.7]}, noise=0.1)
    found = gains(Panel(setting={}, row=0, column=0, trials=own, rows=own))
    assert found[RATIO].tolist() == [0.25, 0.5]
    assert found[ACCURACY].tolist() == pytest.approx([0.2, 0.1])
    assert found[f"{ACCURACY}_half_width"].tolist() == pytest.approx([0, 0], abs=1e-12)


def test_levels_stand_beside_the_published_table() -> None:
    assert level_of("copies", "flip+crop4", "none") == "none"
    assert level_of("fresh_aug", "flip+crop4", "none") == "basic"
    assert level_of("fresh_aug", "advanced", "mixup_or_cutmix") == "advanced"
    assert level_of("fresh_aug", "flip", "none") == level_of("fixed_aug", "flip+crop4", "none") == ""
    own = {"network": "vit_tiny", "data_name": "cifar10", TRANSFORM: "flip+crop4"}
    table = trials({"copies": [0, 0, 0.7], "fresh_aug": [0, 0, 0.8]}, **own)
    drawing = levels(table)
    assert drawing is not None
    numbers = drawing.numbers.set_index(["network", "level"])
    assert numbers.loc["vit_tiny", "published"].to_dict() == {"none": 0.75, "basic": 0.86, "advanced": 0.96}
    assert numbers.loc["vit_tiny", "mean"].dropna().to_dict() == pytest.approx({"none": 0.7, "basic": 0.8})
    assert numbers.loc[["resnet18_cifar", "cait_xxs36"], "mean"].isna().all()
    assert levels(table[table[ARM] == "copies"]) is None
    assert levels(table.assign(data_name="mnist")) is None


def test_levels_of_a_network_that_was_not_published_stand_beside_those_that_were() -> None:
    table = trials({"copies": [0, 0, 0.5], "fresh_aug": [0, 0, 0.6]}, network="cnn3", data_name="cifar10")
    drawing = levels(table.assign(data_train_size=3000, **{TRANSFORM: "flip+crop4"}))
    assert drawing is not None
    own = drawing.numbers[drawing.numbers["network"] == "cnn3"]
    assert own[["level", "mean", "seeds"]].values.tolist() == [["none", 0.5, 3], ["basic", 0.6, 3]]
    assert len(drawing.numbers) == 2 + 9
    labels = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
    assert labels[0] == "cnn3, 3,000 images"
    assert len(labels) == 1 + 3


def test_figures_are_drawn_of_what_there_is(tmp_path: Path) -> None:
    def drawn(name: str, *overrides: str) -> dict[str, pd.DataFrame]:
        run_serially(STUDY, tmp_path / name, smallest_sweep(STUDY, "epochs=8", *overrides))
        return {drawing.name: drawing.numbers for drawing in draw(Results(tmp_path / name))}

    ratios = drawn("ratios", "axes.ratio=[0.1,0.5,1]", "data.train_size=400")
    assert {"", "efficiency", "equivalent", "equal_loss", "invariance", "invariance_rates"} == set(ratios)
    assert len(ratios["efficiency"]) == 2
    assert ratios["invariance_rates"]["mean"].dropna().between(0, 1).all()
    transforms = drawn("transforms", "axes.transform=[crop1,crop2]", "data.train_size=400", "axes.ratio=[0.1,1]")
    assert set(transforms["plane"][TRANSFORM]) == {"crop1", "crop2"}
    assert transforms["plane"][["aug_efficiency_low", "aug_efficiency_high"]].notna().all().all()
    assert drawn("one", "axes.ratio=[1]") == {}


def test_worth_is_drawn_over_the_interval_between_feature_updates(tmp_path: Path) -> None:
    study = k_phase_diagram.STUDY
    rows = ["axes.rows_ratio=[0.2,1]", "axes.rows_augmentation=[copies,fixed_aug]"]
    settings = ["data=jittered_digits", "data.train_size=200", "steps=60", "width=32", "probe_size=0"]
    trials = smallest_sweep(study, *settings, *rows)
    assert len(trials) == 3 * 3 * 2, "with all rows distinct, arms are one trial"
    run_serially(study, tmp_path, trials)
    drawn = {drawing.name: drawing.numbers for drawing in study.draw(Results(tmp_path))}
    assert sorted(drawn["worth"]["feature_update_interval"]) == [1, 5, 60]
    assert set(drawn["worth"][RATIO]) == {0.2}
    assert (drawn["worth"]["acc_arm"] != drawn["worth"]["acc_copies"]).any()
