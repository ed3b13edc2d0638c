"""What every figure shares: the drawing and its numbers, and a style that reads in print and in colour blindness."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

# Paul Tol's "bright" scheme (technical note SRON/EPS/TN/09-002): distinct in every colour-vision deficiency.
COLOURS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#BBBBBB")

_STYLE: dict[Any, Any] = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "hatch.linewidth": 0.6,
}


@dataclass(frozen=True)
class Drawing:
    """A figure and the numbers behind it.

    Attributes:
        figure: The figure.
        numbers: One row for each point or cell that is drawn.
        name: Tells a study's figures apart in their file names; empty for its first.
    """

    figure: Figure
    numbers: pd.DataFrame
    name: str = ""


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw everything inside in the common style."""
    with matplotlib.rc_context(_STYLE):
        yield
