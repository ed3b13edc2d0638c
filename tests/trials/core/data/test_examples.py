"""Examples: cut, pooled and normalised as documented, without touching the arrays they come from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trials.core.data.arrays import Arrays
from trials.core.data.examples import examples_of
from trials.core.data.knobs import DataKnobs

CPU = torch.device("cpu")


def _arrays(dtype=np.uint8, **changes):
    images = np.arange(6 * 3 * 4 * 4, dtype=np.uint16).reshape(6, 3, 4, 4).astype(dtype)
    labels = np.array([0, 1, 2, 0, 1, 2])
    parts = {"train_inputs": images, "train_labels": labels, "test_inputs": images[:3], "test_labels": labels[:3]}
    return Arrays(**{**parts, **changes})


def test_a_digest_depends_on_every_array_and_on_nothing_else():
    assert _arrays().digest() == _arrays().digest()
    assert _arrays(test_labels=np.array([0, 1, 1])).digest() != _arrays().digest()
    assert _arrays(train_inputs=_arrays().train_inputs.transpose(0, 1, 3, 2)).digest() != _arrays().digest()


def test_examples_are_cut_pooled_and_normalised():
    arrays = _arrays()
    train, test = examples_of(arrays, DataKnobs(name="cifar10", train_size=2, average_pool=2), CPU)
    assert train.inputs.shape == (2, 3, 2, 2)
    assert (len(train), len(test), train.classes) == (2, 3, 3)
    corner = arrays.train_inputs[1, 2, :2, 2:].mean() / 255
    assert float(train.inputs[1, 2, 0, 1]) == pytest.approx((corner - 0.47) / 0.25, abs=1e-6)
    assert train.inputs.dtype == torch.float32


def test_read_only_arrays_give_examples_without_a_warning_and_untouched():
    arrays = _arrays()
    for array in vars(arrays).values():
        array.setflags(write=False)
    before = arrays.digest()
    train, _ = examples_of(arrays, DataKnobs(name="mnist"), CPU)
    train.inputs.add_(1)
    train.labels.add_(1)
    assert arrays.digest() == before


def test_trials_of_one_process_share_what_is_prepared():
    arrays, knobs = _arrays(), DataKnobs(name="cifar10")
    assert examples_of(arrays, knobs, CPU) is examples_of(arrays, DataKnobs(name="cifar10"), CPU)
    assert examples_of(arrays, knobs, CPU) is not examples_of(_arrays(), knobs, CPU)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_size": 7}, "data_train_size=7 exceeds the 6 train images of mnist"),
        ({"test_size": 4}, "data_test_size=4 exceeds the 3 test images of mnist"),
        ({"average_pool": 3}, "data_average_pool=3 does not divide images of 4x4 pixels"),
        ({"average_pool": 0}, "average_pool must be at least 1"),
        ({"train_size": -1}, "train_size must be at least 0"),
    ],
)
def test_impossible_sizes_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        examples_of(_arrays(), DataKnobs(name="mnist", **changes), CPU)
