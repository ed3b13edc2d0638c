"""Early stopping: which rule ends the unpromising trials of a search before their last step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

RULES = ("asha", "median")


@dataclass(frozen=True, kw_only=True)
class Stopping:
    """Early stopping as a search declares it.

    A trial that is stopped is a row of its own with outcome `stopped`; its knobs count as not run for a grid, in whose
    diagram it would be a bias.

    Source: ASHA: Li et al., arXiv 1810.05934, algorithm 2. Median rule: Golovin et al., Google Vizier, KDD 2017,
    section 3.2.1.

    Attributes:
        rule: One of `RULES`.
        grace_steps: No trial is stopped before this step; `asha` compares trials at this step first.
        reduction: Of the trials at a rung, one in so many goes on; rungs are this factor apart. For `asha`.
        least_trials: Trials to compare with before one may be stopped. For `median`.

    Raises:
        ValueError: The rule is unknown, or a number is too small.
    """

    rule: str
    grace_steps: int
    reduction: int = 4
    least_trials: int = 3

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"search.stopping.rule={self.rule!r} is not one of {', '.join(RULES)}")
        for name, least in (("grace_steps", 1), ("reduction", 2), ("least_trials", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"search.stopping.{name} must be a whole number of at least {least}, got {value!r}")


def stopping_of(written: Any) -> Stopping | None:
    """Return the early stopping that the `stopping` of a search describes, None for none.

    Raises:
        ValueError: A key is unknown or missing, or a value is not allowed.
    """
    if written is None:
        return None
    allowed = [entry.name for entry in fields(Stopping)]
    if not isinstance(written, Mapping) or not {"rule", "grace_steps"} <= set(written) <= set(allowed):
        raise ValueError(
            f"search.stopping needs rule and grace_steps and may have {', '.join(allowed[2:])}, got {written!r}"
        )
    return Stopping(**written)
