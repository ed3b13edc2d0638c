"""Selection: the best epoch so far by a score, and what was measured there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Selected:
    """The best epoch so far.

    Attributes:
        score: What it was chosen by; the first of equals stays.
        epoch: Which it was.
        values: What was measured then.
    """

    score: float = -math.inf
    epoch: int = 0
    values: tuple[float, ...] = ()

    def after(self, score: float, epoch: int, values: Sequence[float]) -> Selected:
        """Return the selection after another epoch."""
        return Selected(score, epoch, tuple(values)) if score > self.score else self
