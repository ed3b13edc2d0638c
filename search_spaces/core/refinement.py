"""The order of a coarse picture first: bisection of positions 0 ... count - 1."""

from __future__ import annotations

from collections.abc import Iterator


def refined(count: int, deepest: int) -> Iterator[tuple[int, int]]:
    """Yield, in ascending order, every position that bisection visits up to round `deepest`, with its round.

    Round 0 visits the two ends. Nothing is kept, so that an axis may be of any length.
    """
    if count:
        yield 0, 0
    yield from _between(0, count - 1, 1, deepest)
    if count > 1:
        yield count - 1, 0


def deepest_round(count: int) -> int:
    """Return the round of bisection in which the last of `count` positions is visited."""
    return max(count - 2, 0).bit_length()


def refinement_levels(count: int) -> list[int]:
    """Return for each of `count` positions the round of bisection that first visits it, 0 for the two ends."""
    return [level for _, level in refined(count, deepest_round(count))]


def _between(low: int, high: int, level: int, deepest: int) -> Iterator[tuple[int, int]]:
    if high - low < 2 or level > deepest:
        return
    middle = (low + high) // 2
    yield from _between(low, middle, level + 1, deepest)
    yield middle, level
    yield from _between(middle, high, level + 1, deepest)
