"""Cats and dogs: the two classes of CIFAR-10 that are hardest to tell apart, in the order of the whole data set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trials.core.data import cifar10

if TYPE_CHECKING:
    from collections.abc import Mapping

CAT, DOG = 3, 5


def read(path: str | None = None) -> Mapping[str, np.ndarray]:
    """Return the images (N, 3, 32, 32) of both classes; cats are labelled 0 and dogs 1.

    Args:
        path: As for CIFAR-10.

    Raises:
        ValueError: As for CIFAR-10.
    """
    whole = cifar10.read(path)
    arrays: dict[str, np.ndarray] = {}
    for split in ("train", "test"):
        labels = whole[f"{split}_labels"]
        chosen = (labels == CAT) | (labels == DOG)
        arrays[f"{split}_inputs"] = whole[f"{split}_inputs"][chosen]
        arrays[f"{split}_labels"] = (labels[chosen] == DOG).astype(np.int64)
    return arrays
