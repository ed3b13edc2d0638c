"""Training sets realised once: the rows of the augmentation ratio, in the K phase diagram."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from trials.augmentation_ratio import AugmentationKnobs
from trials.augmentation_ratio import prepared as prepared_ratio
from trials.core.augmentation.fixed_set import FixedSetKnobs
from trials.core.context import TrialContext
from trials.core.data.arrays import Arrays
from trials.core.data.examples import DataKnobs
from trials.k_phase_diagram import KPhaseKnobs, prepared, run_many, together_key

DIGITS = DataKnobs(name="jittered_digits", train_size=100, test_size=60)


def knobs(ratio: float = 0.3, arm: str = "fixed_aug", data: DataKnobs = DIGITS, **changes: Any) -> KPhaseKnobs:
    rows = FixedSetKnobs(ratio=ratio, aug_arm=arm)
    return KPhaseKnobs(**{"steps": 20, "width": 8, "probe_size": 0, "rows": rows, "data": data, **changes})


def inputs(trial: KPhaseKnobs) -> torch.Tensor:
    return prepared(trial, TrialContext())[0].problem.train.inputs


@pytest.mark.parametrize("arm", ["copies", "fixed_aug"])
def test_rows_are_those_of_the_augmentation_ratio(arm: str) -> None:
    ratio = AugmentationKnobs(ratio=0.3, aug_arm=arm, seed=2, batch_size=20, data=DIGITS)
    train = prepared_ratio(ratio, TrialContext()).train
    expected, labels = train.batch(torch.arange(100), visit=0)
    realised = prepared(knobs(arm=arm, seed=2), TrialContext())[0].problem.train
    assert torch.allclose(realised.inputs, expected, atol=1e-6)
    assert torch.equal(realised.labels, labels)


def test_borders_are_black_where_black_is_not_zero() -> None:
    white, labels = np.full((20, 1, 8, 8), 255, np.uint8), np.arange(20) % 10
    arrays = Arrays(train_inputs=white, train_labels=labels, test_inputs=white, test_labels=labels)
    context = TrialContext(arrays=lambda name: arrays)
    data = DataKnobs(name="mnist", train_size=20, test_size=10)
    shifted = prepared(knobs(ratio=0.1, data=data, batch_size=4), context)[0].problem.train.inputs
    assert float(shifted.min()) == pytest.approx(-0.13 / 0.31)
    assert float(shifted.max()) == pytest.approx(0.87 / 0.31)


def test_all_rows_are_as_before_and_arms_one_trial() -> None:
    assert knobs(ratio=1.0) == knobs(ratio=1.0, arm="copies") == knobs(rows=FixedSetKnobs())
    assert "rows_ratio" not in knobs(ratio=1.0).non_default()
    assert torch.equal(inputs(knobs(ratio=1.0)), TrialContext().data(DIGITS)[0].inputs)


def test_ratios_and_arms_train_together() -> None:
    trials = [knobs(ratio, arm) for ratio, arm in ((0.3, "copies"), (0.3, "fixed_aug"), (1.0, "copies"))]
    assert len({together_key(trial) for trial in trials}) == 1
    last = dict(run_many(trials, TrialContext()))
    assert len({row["train_loss_lin"] for row in last.values()}) == 3


def test_vectors_have_copies_and_no_transforms() -> None:
    data = DataKnobs(name="sparse_parity", train_size=100, test_size=60)
    assert len(inputs(knobs(0.5, "copies", data)).unique(dim=0)) == 50
    with pytest.raises(ValueError, match="aug_arm='fixed_aug' needs images, and sparse_parity has vectors"):
        prepared(knobs(0.5, "fixed_aug", data), TrialContext())
