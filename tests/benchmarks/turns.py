"""Timing of arms that take turns, so that a busy machine slows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch

Arms = Mapping[str, Callable[[], object]]


def times_in_turns(arms: Arms, *, repeats: int, seconds: float) -> dict[str, list[float]]:
    """Return the seconds a call of every arm in every repeat: the processor's, or with a GPU those waited for.

    Args:
        arms: Name -> what is timed.
        repeats: How often each arm has its turn.
        seconds: How long the turn of the first arm takes; the others make as many calls.
    """
    for arm in arms.values():
        seconds_a_call(arm, 3)
    calls = max(1, int(seconds / seconds_a_call(next(iter(arms.values())), 3)))
    times: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(repeats):
        for name, arm in arms.items():
            times[name].append(seconds_a_call(arm, calls))
    return times


def seconds_a_call(arm: Callable[[], object], calls: int) -> float:
    """Return the seconds of one of several calls."""
    waits = torch.cuda.is_available()
    clock = time.perf_counter if waits else time.process_time
    start = clock()
    for _ in range(calls):
        arm()
    if waits:
        torch.cuda.synchronize()
    return (clock() - start) / calls
