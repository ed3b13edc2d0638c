"""The study of the augmentation ratio: what arms share, what they must show, and what is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from tests.trials.core.test_checkpoints import BrokenOff, Memory
from trials.augmentation_ratio.knobs import AugmentationKnobs
from trials.augmentation_ratio.measurements import MEASUREMENTS
from trials.augmentation_ratio.measuring import invariance_rate
from trials.augmentation_ratio.preparation import network_and_images
from trials.augmentation_ratio.recipe import run
from trials.core.augmentation.transforms import TRANSFORMS
from trials.core.context import TrialContext
from trials.core.data.arrays import Arrays
from trials.core.data.images import Images
from trials.core.data.knobs import DataKnobs
from trials.core.layer_groups.groups import LayerGroups
from trials.core.rows import Diverged, checked
from trials.core.training.batches import epochs

SMALL = DataKnobs(name="jittered_digits", train_size=100, test_size=60)


def small(**changes: Any) -> AugmentationKnobs:
    return AugmentationKnobs(**{"epochs": 3, "batch_size": 20, "data": SMALL, **changes})


def told(knobs: AugmentationKnobs, context: TrialContext | None = None) -> list[Mapping[str, Any]]:
    return list(checked(run(knobs, context or TrialContext()), MEASUREMENTS))


@cache
def accuracies(arm: str, ratio: float, seeds: int, **changes: Any) -> float:
    """Return the mean test accuracy over seeds in per cent."""
    knobs = [AugmentationKnobs(augmentation=arm, ratio=ratio, seed=seed, **changes) for seed in range(seeds)]
    return 100 * float(np.mean([told(each)[-1]["test_acc"] for each in knobs]))


@pytest.fixture
def colours() -> TrialContext:
    """Random colour images under the name of CIFAR-10."""
    random = np.random.default_rng(0)
    pixels, labels = random.integers(0, 256, (60, 3, 16, 16), dtype=np.uint8), random.integers(0, 10, 60)
    arrays = Arrays(
        train_inputs=pixels[:40], train_labels=labels[:40], test_inputs=pixels[40:], test_labels=labels[40:]
    )
    return TrialContext(arrays=lambda name: arrays)


def test_with_all_images_arms_that_are_one_training_are_one_trial() -> None:
    for arm in ("fixed_aug", "subset"):
        assert small(augmentation=arm) == small(augmentation="copies")
        assert small(augmentation=arm, ratio=0.5) != small(augmentation="copies", ratio=0.5)
    assert small(exclude_identity=True) == small()
    assert small(augmentation="fresh_aug") != small()
    assert AugmentationKnobs(ratio=1).non_default() == {}


def test_arms_and_ratios_share_weights_order_and_subsets() -> None:
    """Common random numbers: curves are paired by their seed."""
    settings = [
        small(augmentation=arm, ratio=ratio) for arm in ("copies", "fixed_aug", "fresh_aug") for ratio in (0.3, 0.7)
    ]
    networks, sets, *_ = zip(*(network_and_images(knobs, TrialContext()) for knobs in settings), strict=True)
    weights = [groups.state_dict() for groups in networks]
    assert all(torch.equal(value, other[name]) for other in weights for name, value in weights[0].items())
    rows = [train.rows for train in sets]
    assert torch.equal(rows[0].sources, rows[2].sources)
    assert torch.equal(rows[0].originals, rows[1].originals[:30])
    chosen = epochs(0, 100, 20)(4)
    labels = [train.at(chosen).labels for train in sets]
    assert torch.equal(labels[0], labels[2])
    assert torch.equal(labels[0], labels[4])


def test_a_subset_takes_as_many_steps() -> None:
    lengths, steps = [], []
    for arm in ("subset", "copies"):
        knobs = small(augmentation=arm, ratio=0.3)
        lengths.append(len(network_and_images(knobs, TrialContext())[1]))
        rows = told(knobs)
        steps.append((rows[-1]["steps"], [row["epoch"] for row in rows]))
    assert lengths == [30, 100]
    assert steps == [(15, [1, 2, 3])] * 2


def test_knobs_can_be_chosen_by_images_of_which_none_is_trained_on() -> None:
    _, rows, train, test = network_and_images(small(ratio=0.5, validation_size=40), TrialContext())
    whole = network_and_images(small(), TrialContext())[2]
    assert torch.equal(test.pixels, whole.pixels[60:])
    assert torch.equal(test.labels, whole.labels[60:])
    assert torch.equal(train.pixels, whole.pixels[:60])
    assert len(rows) == 60
    with pytest.raises(ValueError, match="validation_size=100 leaves none of the 100 training images"):
        network_and_images(small(validation_size=100), TrialContext())


def test_the_last_row_tells_what_the_rows_were() -> None:
    rows = told(small(augmentation="fixed_aug", ratio=0.3))
    assert [row["step"] for row in rows] == [5, 10, 15]
    last = rows[-1]
    assert (last["num_distinct"], last["num_rows"]) == (30, 100)
    assert (last["num_aug_per_image_min"], last["num_aug_per_image_max"]) == (2, 3)
    assert last["invariance_rate_train_untransformed"] is None
    assert rows[0]["num_rows"] is None
    assert last["test_acc_best"] == max(row["test_acc"] for row in rows)
    half = told(small(augmentation="fixed_aug", ratio=0.7))[-1]
    assert 0 <= half["invariance_rate_train_untransformed"] <= 1
    assert told(small(augmentation="fresh_aug", ratio=0.7))[-1]["invariance_rate_train_untransformed"] is None


def test_fewer_rows_tell_the_same() -> None:
    """Of each epoch that has one; the best test accuracy is the best of theirs."""
    every = told(small(augmentation="fixed_aug", ratio=0.3))
    some = told(small(augmentation="fixed_aug", ratio=0.3, measurements_per_epoch=0.5))
    assert [row["epoch"] for row in some] == [2, 3]
    for row, whole in zip(some, every[1:], strict=True):
        assert {**row, "test_acc_best": 0} == {**whole, "test_acc_best": 0}
    assert some[-1]["test_acc_best"] == max(row["test_acc"] for row in some)


@pytest.mark.parametrize("break_at", [2, 5, 11])
def test_a_training_that_is_broken_off_tells_what_an_undisturbed_one_tells(break_at: int) -> None:
    """In the middle of an epoch as well: its row is a mean over all of its batches."""
    knobs = small(augmentation="fresh_aug", ratio=0.5)
    memory = Memory(break_at=break_at)
    rows = []
    for _ in range(2):
        with contextlib.suppress(BrokenOff):
            rows.extend(run(knobs, TrialContext(checkpoints=memory)))
        memory = Memory(saved=memory.saved)
    assert rows == list(run(knobs, TrialContext()))


@pytest.mark.parametrize("network", ["cnn3", "vit_tiny"])
def test_networks_train_on_colours_with_every_part_of_advanced_augmentation(
    network: str, colours: TrialContext
) -> None:
    knobs = small(
        network=network,
        augmentation="fresh_aug",
        transform="advanced",
        mixing="mixup_or_cutmix",
        label_smoothing=0.1,
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=0.05,
        schedule="cosine",
        epochs=1,
        data=DataKnobs(name="cifar10"),
    )
    rows = told(knobs, colours)
    assert rows == told(knobs, colours)
    assert rows[-1]["params"] > 10_000


def test_products_can_be_computed_in_bfloat16() -> None:
    plain, half = (told(small(precision=precision)) for precision in ("float32", "bfloat16"))
    assert plain != half
    assert half[-1]["train_loss"] == pytest.approx(plain[-1]["train_loss"], rel=0.05)


def test_steps_that_are_too_long_diverge() -> None:
    with pytest.raises(Diverged):
        told(small(learning_rate=1e30))


def test_invariance_is_the_share_of_answers_that_stay() -> None:
    """A network that tells which half is brighter, on images whose left half is: a mirror image changes its answer."""
    pixels = torch.ones(8, 1, 4, 4, dtype=torch.uint8)
    pixels[..., :2] = 9
    one = torch.ones(1, 1, 1)
    images = Images(pixels=pixels, labels=torch.zeros(8, dtype=torch.int64), classes=2, slope=one, offset=0 * one)
    head = torch.nn.Linear(16, 2, bias=False)
    left = torch.tensor([1.0, 1, 0, 0]).repeat(4)
    head.weight.data = torch.stack([left, 1 - left])
    numbers = torch.full((8, 4), 0.5)
    numbers[:3, 2] = 0.1  # below 0.5 it is mirrored
    groups = LayerGroups({"flat": torch.nn.Flatten(), "head": head})
    assert invariance_rate(groups, images, TRANSFORMS["flip"], numbers) == pytest.approx(5 / 8)
    assert invariance_rate(groups, images.at(torch.arange(0)), TRANSFORMS["flip"], numbers[:0]) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ratio": 0.0}, "ratio must be above 0"),
        ({"ratio": 1.2}, "ratio must be at most 1, got 1.2"),
        ({"augmentation": "online"}, "augmentation='online' is not one of copies, fixed_aug, fresh_aug"),
        ({"network": "resnet19"}, "network='resnet19' is not one of mlp, cnn3"),
        (
            {"transform": "flip"},
            "transform='flip' mirrors images, which makes other signs of jittered_digits; take one",
        ),
        ({"transform": "advanced"}, "mirrors images"),
        ({"mixing": "mixup_or_cutmix"}, "it needs augmentation=fresh_aug"),
        ({"momentum": 1.0}, "momentum must be below 1"),
    ],
)
def test_impossible_knobs_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ratio": 0.001}, "ratio=0.001 keeps 0 of 100 samples"),
        ({"batch_size": 101}, "batch_size=101 exceeds the 100 rows"),
        ({"batch_size": 40, "ratio": 0.3, "augmentation": "subset"}, "batch_size=40 exceeds the 30 rows"),
        ({"data": DataKnobs(name="digits", average_pool=2)}, "data_average_pool must be 1"),
        ({"data": DataKnobs(name="sparse_parity")}, "data_name='sparse_parity' has no images; take one of digits"),
        ({"network": "cnn3"}, "cnn3 needs images whose sides are multiples of 8 pixels, got 12x12"),
    ],
)
def test_data_that_do_not_suit_are_refused_before_training(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        next(iter(run(small(**changes), TrialContext())))


def test_one_fixed_transform_helps_and_fresh_ones_help_more() -> None:
    """Two seeds of the table that `test_augmentation_tables.py` holds whole, in seconds."""
    copies, fixed, fresh = (accuracies(arm, 0.2, 2) for arm in ("copies", "fixed_aug", "fresh_aug"))
    assert fixed > copies + 5
    assert fresh > fixed


def test_shifts_hurt_where_images_are_centred() -> None:
    """Judgement: on plain digits a shifted image is off the distribution, and no copy is worth less."""
    plain = {"transform": "crop1", "data": DataKnobs(name="digits")}
    ends = {(arm, ratio): accuracies(arm, ratio, 3, **plain) for arm in ("copies", "fresh_aug") for ratio in (0.5, 1.0)}
    assert ends["copies", 0.5] > ends["fresh_aug", 0.5] + 1
    assert ends["copies", 1.0] > ends["fresh_aug", 1.0] + 2
    assert ends["copies", 1.0] == pytest.approx(96.8, abs=1.2)
    assert accuracies("fixed_aug", 0.5, 3, **plain) < ends["copies", 0.5] + 0.5
