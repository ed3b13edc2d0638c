"""Random streams: each a function of (seed, name, index) and never of what the process drew before.

Packed, resumed, forked and serial trials therefore draw the same numbers, and a trial on a GPU draws those of a CPU,
because every stream is drawn on the CPU and moved.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def generator(seed: int, stream: str, index: int = 0) -> torch.Generator:
    """Return a fresh generator of one stream at one index (a step, an epoch).

    Neighbouring seeds share nothing, since the generator starts from a hash of all three.
    """
    return torch.Generator().manual_seed(_start(seed, stream, index))


@contextmanager
def drawn_from(seed: int, stream: str, index: int = 0) -> Iterator[None]:
    """Let the global generator of the CPU be one stream's for a while: for modules that draw their own weights."""
    with torch.random.fork_rng(devices=[]):
        # `torch.manual_seed` would seed every GPU as well, which the fork does not put back.
        torch.default_generator.manual_seed(_start(seed, stream, index))
        yield


def batches_an_epoch(samples: int, batch_size: int, *, whole: bool = True) -> int:
    """Return how many batches an epoch has; what does not fill a `whole` one is left out, else the last and smaller.

    Raises:
        ValueError: The batch is larger than the data set.
    """
    if not 1 <= batch_size <= samples:
        raise ValueError(f"batch_size must be between 1 and the {samples} training samples, got {batch_size}")
    return samples // batch_size if whole else -(-samples // batch_size)


def _start(seed: int, stream: str, index: int) -> int:
    digest = hashlib.sha256(f"{seed}/{stream}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
