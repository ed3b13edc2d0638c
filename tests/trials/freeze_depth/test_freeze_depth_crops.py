"""Fine-tuning on crops that every epoch draws anew."""

from __future__ import annotations

import pytest
import torch

from tests.trials.freeze_depth.fine_tuned import assert_close, knobs_of, rows_of, whole
from trials.freeze_depth.fine_tuning import augmentations
from trials.freeze_depth.fine_tuning.augmentations import Crops, drawn_crops

CROPS = "flip+resized_crop"


def _taking_all(seed, samples, visit, height, width):
    start = torch.zeros(samples, dtype=torch.int64)
    return Crops(start, start, start + height, start + width, flipped=start > 0)


@pytest.mark.parametrize("depth", [0, 3])
def test_crops_that_take_all_are_none(monkeypatch, depth):
    plain = rows_of(knobs_of(freeze_depth=depth))
    monkeypatch.setattr(augmentations, "drawn_crops", _taking_all)
    cropped = rows_of(knobs_of(freeze_depth=depth, augmentation=CROPS))
    assert [{row.pop("cached_parts") for row in whole(rows)} for rows in (plain, cropped)] == [{depth}, {0}]
    assert_close(cropped, plain)


def test_crops_change_training_and_nothing_that_is_measured_before_it():
    plain, cropped = (whole(rows_of(knobs_of(freeze_depth=3, augmentation=name))) for name in ("none", CROPS))
    assert {name for name, value in plain[0].items() if value != cropped[0][name]} == {"cached_parts"}
    assert all(row["train_loss"] != other["train_loss"] for row, other in zip(plain[1:], cropped[1:], strict=True))
    assert {row["num_frozen"] for row in plain} == {row["num_frozen"] for row in cropped}


def test_every_epoch_draws_other_crops_and_tasks_the_same(monkeypatch):
    drawn = []
    monkeypatch.setattr(augmentations, "drawn_crops", lambda *of: drawn.append(of) or drawn_crops(*of))
    for task in ("foreground", "background"):
        rows_of(knobs_of(task=task, augmentation=CROPS, epochs=3))
    images, side = 96, 16
    assert drawn == [(0, images, epoch, side, side) for epoch in range(3)] * 2
