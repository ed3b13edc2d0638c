"""Requests in parallel: a store answers many at once in the time of a few."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Answer = TypeVar("Answer")
Item = TypeVar("Item")

_THREADS = 16


def in_parallel(function: Callable[[Item], Answer], items: Sequence[Item]) -> list[Answer]:
    """Return `function` of every item, in order."""
    if len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(_THREADS, len(items))) as pool:
        return list(pool.map(function, items))
