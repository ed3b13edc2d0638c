"""Jittered digits: scikit-learn's digits, each at a place of its own on a larger canvas, so that shifts are natural."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trials.core.data import digits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import UInt8

SIDE = 12
DRAWS = 10


def read() -> Mapping[str, np.ndarray]:
    """Return 1,000 training and 797 test images of 12x12 pixels with 17 levels of grey.

    Every digit of 8x8 pixels lies at an offset of 0 to 4 pixels down and right, drawn once for all by NumPy's frozen
    generator `RandomState(1)`.
    """
    return _jittered(0)


def read_draws() -> Mapping[str, np.ndarray]:
    """Return ten draws one after another, 10,000 training and 7,970 test images; the first is what `read` returns.

    Each splits the digits anew and draws their places anew, so samples of different draws are not to be mixed.
    """
    draws = [_jittered(draw) for draw in range(DRAWS)]
    return {name: np.concatenate([each[name] for each in draws]) for name in draws[0]}


def _jittered(draw: int) -> Mapping[str, np.ndarray]:
    random = np.random.RandomState(1 + draw)
    arrays = dict(digits.split(draw))
    for part in ("train", "test"):
        arrays[f"{part}_inputs"] = _placed(arrays[f"{part}_inputs"], random)
    return arrays


def _placed(
    images: UInt8[np.ndarray, "samples 1 8 8"], random: np.random.RandomState
) -> UInt8[np.ndarray, "samples 1 12 12"]:
    side = images.shape[-1]
    canvas = np.zeros((len(images), 1, SIDE, SIDE), np.uint8)
    offsets = random.randint(SIDE - side + 1, size=(len(images), 2))
    for image, place, (down, right) in zip(images, canvas, offsets, strict=True):
        place[:, down : down + side, right : right + side] = image
    return canvas
