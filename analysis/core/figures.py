"""What every figure shares: the drawing and its numbers, and a style that reads in print and in colour blindness."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
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
# Ends before the map's pale yellow, which white paper swallows.
_PALEST = 0.88


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
    """Draw everything inside in the common style, whatever a matplotlibrc says: it may ask for a missing LaTeX."""
    with matplotlib.style.context(["default", _STYLE]):
        yield


def ordered_colours(values: Iterable[float]) -> dict[float, str]:
    """Return a colour for each value, from dark for the smallest to light for the largest.

    Lightness alone tells them apart, so the order survives grey print and colour blindness.
    """
    ordered = sorted(set(values))
    colour_map = matplotlib.colormaps["viridis"]
    return dict(zip(ordered, map(to_hex, colour_map(np.linspace(0, _PALEST, len(ordered)))), strict=True))


def present(table: pd.DataFrame, *columns: str) -> bool:
    """Return whether a table has all the columns, each with a value somewhere: older trials lack newer measurements."""
    return all(column in table and bool(table[column].notna().any()) for column in columns)
