"""Cats and dogs: the two classes of CIFAR-10 that are hardest to tell apart, in the order of the whole data set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trials.core.data import cifar10
from trials.core.data.pairs import two_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

CAT, DOG = 3, 5


def read(path: str | None = None) -> Mapping[str, np.ndarray]:
    """Return the images (N, 3, 32, 32) of both classes; cats are labelled 0 and dogs 1.

    Args:
        path: As for CIFAR-10.

    Raises:
        ValueError: As for CIFAR-10.
    """
    return two_of(cifar10.read(path), CAT, DOG)
