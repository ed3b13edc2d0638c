"""Stages: work that trials share, under names that outlive the places of their code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from trials.core.context import TrialContext

Computed = Callable[[Any, "TrialContext"], "Mapping[str, np.ndarray]"]
"""(a stage's own knobs, context) -> arrays by name."""


@dataclass(frozen=True)
class Stage:
    """Work that trials share.

    Attributes:
        name: What its results are stored under, beside its knobs: another name computes all of them anew.
        compute: Its arrays from its knobs; what it needs of another stage it asks the context for.
    """

    name: str
    compute: Computed

    def __call__(self, knobs: Any, context: TrialContext) -> Mapping[str, np.ndarray]:
        """Return the stage's arrays, computed here and now."""
        return self.compute(knobs, context)


def stage(name: str) -> Callable[[Computed], Stage]:
    """Make a function a stage of this name, which stays what it is when the function moves or is renamed."""
    return lambda compute: Stage(name, compute)
