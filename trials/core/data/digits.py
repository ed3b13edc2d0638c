"""Digits: scikit-learn's 1,797 handwritten digits of 8x8 pixels with 17 levels of grey. No download.

Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

TRAINING_IMAGES = 1000


def read() -> Mapping[str, np.ndarray]:
    """Return 1,000 training and 797 test images."""
    return split(0)


def split(seed: int) -> Mapping[str, np.ndarray]:
    """Return 1,000 training and 797 test images, of which a seed decides.

    The images come sorted by writer. They are shuffled by the permutation that NumPy's frozen generator
    `RandomState(seed)` draws, so that every writer is in both parts; the first 1,000 of the shuffled are for training.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.RandomState(seed).permutation(len(digits.target))
    images = digits.images.astype(np.uint8)[order, None]
    labels = digits.target.astype(np.int64)[order]
    return {
        "train_inputs": images[:TRAINING_IMAGES],
        "train_labels": labels[:TRAINING_IMAGES],
        "test_inputs": images[TRAINING_IMAGES:],
        "test_labels": labels[TRAINING_IMAGES:],
    }
