"""Training together: how a recipe runs several trials at once, where that costs less than one after another."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from trials.core.context import TrialContext
from trials.core.rows import Diverged, Row

TogetherRun = Callable[[Sequence[Any], TrialContext], Iterator[tuple[int, Row | Diverged]]]


@dataclass(frozen=True, kw_only=True)
class Together:
    """How a recipe trains several trials at once.

    Attributes:
        run: `run_many(knobs, context)`: yields (index into knobs, row) as rows arise, in step order for each index;
            (index, Diverged) ends that trial, the others go on. Rows equal those of the recipe's `run` within
            `tolerance` (relative, float32 arithmetic in another order).
        key: knobs -> hashable; trials of equal key may train together; None: this trial only by itself.
        most: Largest number of trials in one group.
        tolerance: Difference of a row's values from `run`'s that is allowed, over the largest value of the column in
            the trial; stated in docs and tested. It is one of arithmetic: where a unit's sign hangs on rounding, a
            recipe says which columns may differ by more (`rounds/together.py`).
    """

    run: TogetherRun
    key: Callable[[Any], Hashable | None]
    most: int = 32
    tolerance: float = 1e-4
