"""What every figure shares: the drawing and its numbers, and a style that reads in print and in colour blindness."""

from __future__ import annotations

import base64
import contextlib
import html
import io
import itertools
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, overload

import matplotlib
import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from analysis.core.placement import fit

# Paul Tol's "bright" scheme (technical note SRON/EPS/TN/09-002): distinct in every colour-vision deficiency.
COLOURS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#BBBBBB")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*", "d", "8")

V = TypeVar("V", bound=Hashable)
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
_SCREEN_DPI = 100
# Ends before the map's pale yellow, which white paper swallows.
_PALEST = 0.88


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        return f"Drawing({self.name or 'main'}: .figure, .numbers of {len(self.numbers)} rows)"

    def _repr_png_(self) -> bytes:
        """Return the figure as a notebook shows it."""
        file = io.BytesIO()
        with style():
            fit(self.figure)
            self.figure.savefig(file, format="png", dpi=_SCREEN_DPI)
        return file.getvalue()


class Figures(Sequence[Drawing]):
    """Figures in order, which a notebook shows all; one is `figures[0]`, or by its name `figures["updates"]`.

    The first is called `main`.
    """

    def __init__(self, drawings: Iterable[Drawing]) -> None:
        self._drawings = tuple(drawings)

    @overload
    def __getitem__(self, place: int | str) -> Drawing: ...

    @overload
    def __getitem__(self, place: slice) -> Figures: ...

    def __getitem__(self, place: int | str | slice) -> Drawing | Figures:
        if isinstance(place, slice):
            return Figures(self._drawings[place])
        if isinstance(place, int):
            return self._drawings[place]
        for drawing in self._drawings:
            if (drawing.name or "main") == place:
                return drawing
        raise KeyError(f"no figure is called {place!r}; there are {self._names()}")

    def __len__(self) -> int:
        return len(self._drawings)

    def __repr__(self) -> str:
        return f"{len(self)} figures: {self._names()}"

    def _repr_html_(self) -> str:
        """Return the figures one below the other, each with its name."""
        images = ((drawing.name or "main", base64.b64encode(drawing._repr_png_()).decode()) for drawing in self)
        return "\n".join(
            f'<figure><img alt="{html.escape(name)}" src="data:image/png;base64,{image}">'
            f"<figcaption>{html.escape(name)}</figcaption></figure>"
            for name, image in images
        )

    def _names(self) -> str:
        return ", ".join(drawing.name or "main" for drawing in self._drawings)


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw everything inside in the common style, whatever a matplotlibrc says: it may ask for a missing LaTeX."""
    with matplotlib.style.context(["default", _STYLE]):
        yield


class Look(NamedTuple):
    """What tells a line from others: in colour, and in grey by its marker."""

    colour: str
    marker: str


def looks(values: Iterable[V]) -> dict[V, Look]:
    """Return a look for each value, in their order, in colours as distinct as there are."""
    return {value: _look(place) for place, value in enumerate(dict.fromkeys(values))}


def _look(place: int) -> Look:
    # With each round of markers they move on by one, for they are twice as many as the colours.
    return Look(COLOURS[place % len(COLOURS)], MARKERS[(place + place // len(MARKERS)) % len(MARKERS)])


def ordered_looks(values: Iterable[float]) -> dict[float, Look]:
    """Return a look for each value, its colour from dark for the smallest to light for the largest.

    The order of colours survives grey print and colour blindness.
    """
    ordered = sorted(set(values))
    shades = map(to_hex, matplotlib.colormaps["viridis"](np.linspace(0, _PALEST, len(ordered))))
    return {value: Look(*of) for value, *of in zip(ordered, shades, itertools.cycle(MARKERS))}


def present(table: pd.DataFrame, *columns: str) -> bool:
    """Return whether a table has all the columns, each with a value somewhere: older trials lack newer measurements."""
    return all(column in table and bool(table[column].notna().any()) for column in columns)
