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


def _start(seed: int, stream: str, index: int) -> int:
    digest = hashlib.sha256(f"{seed}/{stream}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
