"""Random numbers that count: each a function of (seed, sample, copy, visit) and of nothing else.

Whatever a row's place in the data set, its batch, the process or the share of samples that are used, the same copy of
the same image is transformed in the same way.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float32

LANES = 4
"""Numbers that one block of the generator gives."""
_BITS = 24  # all that float32 resolves below 1


def draws(
    seed: int,
    samples: int,
    *,
    copy: int = 0,
    visit: int = 0,
    attempt: int = 0,
    stream: str = "augmentation",
    lanes: int = LANES,
) -> Float32[np.ndarray, "samples lanes"]:
    """Return numbers in [0, 1) for each of the first `samples` samples of a data set, by default four.

    Row i is block i of a generator whose counter starts at (0, copy, visit, attempt), so more samples add rows and
    change none; wider rows are as many blocks as hold them.

    Args:
        seed: Seed of the trial.
        samples: Number of rows.
        copy: Which copy of the sample; 0 is the original.
        visit: How often the copy was drawn before, where every visit is drawn anew.
        attempt: How many draws of this visit were refused.
        stream: Name of the stream.
        lanes: Numbers a row.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.3, Philox4x64-10.
    """
    key = np.frombuffer(hashlib.sha256(f"{seed}/{stream}".encode()).digest()[:16], np.uint64)
    generator = np.random.Philox(key=key, counter=np.array([0, copy, visit, attempt], np.uint64))
    width = -(-lanes // LANES) * LANES
    raw = generator.random_raw(samples * width) >> np.uint64(64 - _BITS)
    return (raw.astype(np.float32) / np.float32(2**_BITS)).reshape(samples, width)[:, :lanes]
