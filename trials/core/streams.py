"""Random streams: each a function of (seed, name, index) and never of what the process drew before.

Packed, resumed, forked and serial trials therefore draw the same numbers, and a trial on a GPU draws those of a CPU,
because every stream is drawn on the CPU and moved.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Int64
    from torch import Tensor


def generator(seed: int, stream: str, index: int = 0) -> torch.Generator:
    """Return a fresh generator of one stream at one index (a step, an epoch).

    Neighbouring seeds share nothing, since the generator starts from a hash of all three.
    """
    digest = hashlib.sha256(f"{seed}/{stream}/{index}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def batch_indices(
    seed: int, step: int, samples: int, batch_size: int, device: torch.device | None = None
) -> Int64[Tensor, " batch"]:
    """Return the samples of the batch at `step`: a function of (seed, step) alone.

    Every epoch is a fresh permutation, cut into whole batches; what does not fill a batch waits for another epoch.

    Raises:
        ValueError: The batch is larger than the data set.
    """
    if not 1 <= batch_size <= samples:
        raise ValueError(f"batch_size must be between 1 and the {samples} training samples, got {batch_size}")
    epoch, batch = divmod(step, samples // batch_size)
    order = _epoch_order(seed, epoch, samples, device or torch.device("cpu"))
    return order[batch * batch_size : (batch + 1) * batch_size]


@lru_cache(maxsize=64)
def _epoch_order(seed: int, epoch: int, samples: int, device: torch.device) -> Int64[Tensor, " samples"]:
    order = torch.randperm(samples, generator=generator(seed, "batches", epoch))
    if device.type == "cuda":
        # Only a copy from pinned memory leaves the host free to queue the next steps.
        order = order.pin_memory()
    return order.to(device, non_blocking=True)
