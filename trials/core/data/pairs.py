"""Pairs: two classes of a data set as a data set of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trials.core.data import digits

if TYPE_CHECKING:
    from collections.abc import Mapping

THREE, EIGHT = 3, 8


def two_of(whole: Mapping[str, np.ndarray], zero: int, one: int) -> Mapping[str, np.ndarray]:
    """Return the images of two classes in the order of the whole data set, labelled 0 and 1."""
    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "test"):
        labels = whole[f"{split}_labels"]
        chosen = (labels == zero) | (labels == one)
        arrays[f"{split}_inputs"] = whole[f"{split}_inputs"][chosen]
        arrays[f"{split}_labels"] = (labels[chosen] == one).astype(np.int64)
    return arrays


def read_digit_pair(path: str | None = None) -> Mapping[str, np.ndarray]:
    """Return the threes (0) and eights (1) of digits: the small pair that needs no download.

    Raises:
        ValueError: As for digits.
    """
    return two_of(digits.read(path), THREE, EIGHT)
