"""Analysis: stored results as tables, the figures of each study, and plots of a frame of one's own.

`from analysis import phase_diagram, boundary, curves, matched_loss`: what a user draws with (`analysis/core/plots.py`,
docs/plotting.md). Nothing here needs Ray or torch, and matplotlib is imported where a plot is asked for.

A study's figures belong here, in a file of its name or, where they need several, in a package whose `figures.draw` the
declaration names. `store` holds the results, `core` the drawing kit; a study imports these two and itself.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.core.plots import boundary, curves, matched_loss, phase_diagram

__all__ = ["boundary", "curves", "matched_loss", "phase_diagram"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module("analysis.core.plots"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
