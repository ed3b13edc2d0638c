"""Times in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a time in words short enough for a table."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def span(low: float, high: float) -> str:
    """Return a range of times in words; one time where both ends read the same."""
    first, last = duration(low), duration(high)
    if first == last:
        return last
    same_unit = first.partition(" ")[2] == last.partition(" ")[2]
    return f"{first.partition(' ')[0] if same_unit else first} to {last}"
