"""Records of data sets: what they say is what is read, and what every recipe goes by."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trials.core.augmentation.knobs import FixedSetKnobs
from trials.core.data import cifar10
from trials.core.data.arrays import Arrays, load_arrays
from trials.core.data.examples import examples_of
from trials.core.data.images import prepared_images
from trials.core.data.knobs import DataKnobs, classes_of
from trials.core.data.records import DATA_SETS, OWN, data_set

AT_HAND = [name for name in DATA_SETS if name not in ("cifar10", "mnist", "cat_dog", "waterbirds", OWN)]
CPU = torch.device("cpu")


@pytest.mark.parametrize("name", AT_HAND)
def test_what_is_read_has_the_shape_and_the_splits_of_the_record(name):
    record, arrays = data_set(name), load_arrays(name)
    assert {key.partition("_")[0] for key in vars(arrays)} == set(record.splits)
    for split in record.splits:
        assert getattr(arrays, f"{split}_inputs").shape[1:] == record.shape
    assert record.training == len(arrays.train_labels)
    assert record.has_images == (arrays.train_inputs.dtype == np.uint8)
    assert classes_of(arrays) == record.classes
    if record.has_images:
        assert arrays.train_inputs.max() == record.largest


@pytest.mark.parametrize("name", [name for name in DATA_SETS if name != OWN])
def test_black_is_what_a_pixel_of_0_becomes(name):
    record = data_set(name)
    arrays = _arrays(record.shape)
    train, _ = examples_of(arrays, DataKnobs(name=name), CPU)
    assert torch.all(train.inputs == torch.tensor(record.black, dtype=torch.float32))
    if record.by_channel:
        images, _ = prepared_images(arrays, DataKnobs(name=name), CPU)
        means, deviations = (torch.tensor(values).view(-1, 1, 1) for values in record.by_channel)
        white = images.normalised(torch.full((1, *record.shape), int(record.largest), dtype=torch.uint8))[0]
        torch.testing.assert_close(white, ((1 - means) / deviations).expand(record.shape), rtol=1e-6, atol=1e-6)


def test_cats_and_dogs_are_two_classes_of_the_ten(monkeypatch):
    labels = np.array([3, 0, 5, 9, 3])
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((5, 3, 32, 32), np.uint8)
    whole = {"train_inputs": images, "train_labels": labels, "test_inputs": images, "test_labels": labels}
    monkeypatch.setattr(cifar10, "read", lambda path: whole)
    chosen = data_set("cat_dog").read("somewhere")
    assert chosen["train_labels"].tolist() == [0, 1, 0]
    assert chosen["test_inputs"][:, 0, 0, 0].tolist() == [0, 2, 4]


def test_an_unknown_data_set_is_refused_with_those_that_there_are():
    for refused in (data_set, load_arrays):
        with pytest.raises(ValueError, match=r"^unknown data set 'nothing'; it must be one of digits, cifar10, .*$"):
            refused("nothing")


@pytest.mark.parametrize(
    ("transform", "name", "message"),
    [
        ("flip", "mnist", "transform='flip' mirrors images, which makes other signs of mnist; take one of crop1"),
        ("crop1", "sparse_parity", "rows_augmentation=fixed_aug needs images, and sparse_parity has vectors"),
    ],
)
def test_copies_are_transformed_only_where_the_data_allow_it(transform, name, message):
    with pytest.raises(ValueError, match=message):
        FixedSetKnobs(ratio=0.5, augmentation="fixed_aug", transform=transform).refuse_data(name)
    FixedSetKnobs(ratio=0.5, augmentation="copies", transform=transform).refuse_data(name)
    FixedSetKnobs(ratio=0.5, augmentation="fixed_aug", transform="flip").refuse_data("cifar10")


def _arrays(shape):
    """Return a few samples that are 0 everywhere."""
    inputs = np.zeros((4, *shape), np.uint8 if len(shape) == 3 else np.float32)
    labels = np.array([0, 1, 0, 1])
    return Arrays(train_inputs=inputs, train_labels=labels, test_inputs=inputs, test_labels=labels)
