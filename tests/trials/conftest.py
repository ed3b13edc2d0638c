"""Small problems in float64, where identities hold to rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trials.core.context import TrialContext
from trials.core.data.arrays import Arrays


@pytest.fixture(autouse=True)
def _one_thread():
    """Keep tests from slowing each other: these problems are too small for threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small_arrays(train: int = 60, test: int = 40, side: int = 4, classes: int = 3) -> Arrays:
    """Return random images whose labels depend on them, read-only as an executor hands them out."""
    random = np.random.default_rng(0)
    images = random.integers(0, 17, (train + test, 1, side, side), dtype=np.uint8)
    scores = images.reshape(train + test, -1) @ random.normal(size=(side * side, classes))
    labels = scores.argmax(1).astype(np.int64)
    for array in (images, labels):
        array.setflags(write=False)
    return Arrays(
        train_inputs=images[:train], train_labels=labels[:train], test_inputs=images[train:], test_labels=labels[train:]
    )


@pytest.fixture(scope="session")
def context() -> TrialContext:
    """Return a context whose only data set, under any name, is a small random one."""
    arrays = small_arrays()
    return TrialContext(arrays=lambda name: arrays)
