"""Digits: scikit-learn's 1,797 handwritten digits of 8x8 pixels with 17 levels of grey, or jittered. No download.

Jittered, each lies at a place of its own on a larger canvas, so that shifts are natural.

Source: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import UInt8

TRAINING_IMAGES = 1000
SIDE = 12
"""Of the canvas."""
DRAWS = 10


def read(seed: int = 0) -> Mapping[str, np.ndarray]:
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


def jittered(draw: int = 0) -> Mapping[str, np.ndarray]:
    """Return the digits of the seed `draw` on canvases of 12x12 pixels.

    Every digit lies at an offset of 0 to 4 pixels down and right, drawn once for all by NumPy's frozen generator
    `RandomState(1 + draw)`.
    """
    random = np.random.RandomState(1 + draw)
    arrays = dict(read(draw))
    for part in ("train", "test"):
        arrays[f"{part}_inputs"] = _placed(arrays[f"{part}_inputs"], random)
    return arrays


def jittered_draws() -> Mapping[str, np.ndarray]:
    """Return ten draws of `jittered` one after another, 10,000 training and 7,970 test images.

    Each splits the digits anew and draws their places anew, so samples of different draws are not to be mixed.
    """
    draws = [jittered(draw) for draw in range(DRAWS)]
    return {name: np.concatenate([each[name] for each in draws]) for name in draws[0]}


def _placed(
    images: UInt8[np.ndarray, "samples 1 8 8"], random: np.random.RandomState
) -> UInt8[np.ndarray, "samples 1 12 12"]:
    side = images.shape[-1]
    canvas = np.zeros((len(images), 1, SIDE, SIDE), np.uint8)
    offsets = random.randint(SIDE - side + 1, size=(len(images), 2))
    for image, place, (down, right) in zip(images, canvas, offsets, strict=True):
        place[:, down : down + side, right : right + side] = image
    return canvas
