"""Graphics cards: which share of one a trial takes, and how much of its memory that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

CONTEXT_GIB = 0.5  # of GPU memory that every process pays for its CUDA context and libraries before its first tensor
MOST_SHARES = 16  # above it, processes take turns on the GPU for longer than they compute


@dataclass(frozen=True, kw_only=True)
class Card:
    """One GPU of a machine, of the cloud's data sheet or measured.

    Attributes:
        name: Name for messages.
        memory_gib: Its memory.
        cpus: Cores of the machine that belong to it.
    """

    name: str
    memory_gib: float
    cpus: int


def gpu_share(memory_gib_needed: float, card: Card, *, cpus: int = 1) -> float:
    """Return the smallest 1/n of a GPU that gives a trial its memory, so that as many as possible share one.

    Every one of the n processes also pays for a CUDA context and takes `cpus` of the cores that belong to the GPU. The
    share is rounded down to Ray's resolution of 0.0001: rounded up, six times 0.1667 would no longer fit on a GPU.

    Args:
        memory_gib_needed: Peak GPU memory of one trial, without its CUDA context.
        card: The GPU it is to run on.
        cpus: Cores that one trial takes.

    Raises:
        ValueError: The trial does not fit on the whole card, or an argument is not positive.
    """
    if not 0 < memory_gib_needed < math.inf or cpus < 1:
        raise ValueError(f"a trial needs memory and at least a core, got {memory_gib_needed!r} GiB and {cpus!r} cores")
    by_memory = math.floor(card.memory_gib / (memory_gib_needed + CONTEXT_GIB))
    shares = min(by_memory, card.cpus // cpus, MOST_SHARES)
    if shares < 1:
        raise ValueError(
            f"a trial of {memory_gib_needed:g} GiB and {cpus} cores does not fit on one {card.name}, "
            f"which has {card.memory_gib - CONTEXT_GIB:g} GiB for it and {card.cpus} cores"
        )
    return math.floor(10_000 / shares) / 10_000


def memory_cap(share: float, memory_gib: float) -> float:
    """Return the fraction of a card's memory that the tensors of one process may take, so that 1/share of them fit.

    A framework's cap counts tensors and not the CUDA context, which therefore comes out of the process's share.

    Args:
        share: Share of the card.
        memory_gib: Memory of the card.

    Raises:
        ValueError: The share does not even hold a context.
    """
    cap = share - CONTEXT_GIB / memory_gib
    if cap <= 0:
        raise ValueError(
            f"{share:g} of a GPU of {memory_gib:.1f} GiB leaves no memory beside a CUDA context of {CONTEXT_GIB:g} GiB"
        )
    return cap
