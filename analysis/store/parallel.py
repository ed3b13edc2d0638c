"""Requests in parallel: a store answers many at once in the time of a few."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Answer = TypeVar("Answer")
Item = TypeVar("Item")

_THREADS = 16


def in_parallel(function: Callable[[Item], Answer], items: Sequence[Item]) -> list[Answer]:
    """Return `function` of every item, in order.

    Threads help themselves to the next item: handing out hundreds of small files one by one takes longer than reading.
    """
    if len(items) < 2:
        return [function(item) for item in items]
    waiting = iter(enumerate(items))
    answers: dict[int, Answer] = {}

    def work() -> None:
        try:
            answers.update((place, function(item)) for place, item in waiting)
        except BaseException:
            deque(waiting, maxlen=0)  # nobody needs the rest
            raise

    with ThreadPoolExecutor(min(_THREADS, len(items))) as pool:
        for done in [pool.submit(work) for _ in range(min(_THREADS, len(items)))]:
            done.result()
    return [answers[place] for place in range(len(items))]
