"""Sparse parity: signs in 40 dimensions, labelled by the product of the first two. No download.

No linear function of the inputs tells anything about the label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

DIMENSIONS = 40
SAMPLES = 4000  # of either split


def read(path: str | None = None) -> Mapping[str, np.ndarray]:
    """Return inputs as bytes 0 and 1, which scaling turns into -1 and +1, as images of one row of pixels.

    Raises:
        ValueError: A path is given, which this data set does not have.
    """
    if path is not None:
        raise ValueError(f"the data set sparse_parity is generated and takes no path, got {path!r}")
    inputs = np.random.RandomState(0).randint(0, 2, (2 * SAMPLES, 1, 1, DIMENSIONS)).astype(np.uint8)
    labels = (inputs[:, 0, 0, 0] == inputs[:, 0, 0, 1]).astype(np.int64)
    return {
        "train_inputs": inputs[:SAMPLES],
        "train_labels": labels[:SAMPLES],
        "test_inputs": inputs[SAMPLES:],
        "test_labels": labels[SAMPLES:],
    }
