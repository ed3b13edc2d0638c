"""Scales: where the values of a column stand on an axis, zero, infinity and names included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.core.numbers import shown_value
from analysis.core.panels import spread

Kind = Literal["linear", "log", "categorical"]
Value = Any  # a number, or a name

_TICKS = 7
_LONGEST_NAMES = 36  # characters of all names of categories that stand side by side
_DECADE = 10.0


@dataclass(frozen=True)
class Scale:
    """Where values stand on an axis of matplotlib's, which can be told nothing but finite numbers.

    Attributes:
        kind: What kind of axis it is.
        places: Value -> number on the axis, in ascending order.
        breaks: Places half-way to a value that is no part of the scale: zero or an infinity.
    """

    kind: Kind
    places: Mapping[Value, float]
    breaks: tuple[float, ...] = ()

    @property
    def of_matplotlib(self) -> Literal["linear", "log"]:
        """The axis' name in matplotlib."""
        return "log" if self.kind == "log" else "linear"

    def at(self, values: pd.Series) -> pd.Series:
        """Return the places of values."""
        return values.map(self.places).astype(float)

    def values_at(self, places: pd.Series) -> pd.Series:
        """Return the values at places."""
        return places.map({place: value for value, place in self.places.items()})

    def is_ordinary(self, places: pd.Series) -> pd.Series:
        """Return which places are part of the scale, and neither zero nor infinite beside it."""
        return ~places.isin(list(self._special))

    def label(self, axes: Axes, direction: Literal["x", "y"]) -> None:
        """Make an axis this scale; its ticks are values where these are few, or zero and infinity are among them."""
        axes.set(**{f"{direction}scale": self.of_matplotlib})
        axis = {"x": axes.xaxis, "y": axes.yaxis}[direction]
        shown = self._ticks()
        if shown:
            names = [_name(value) for value in shown]
            axis.set_ticks([self.places[value] for value in shown], names)
            axis.set_ticks([], minor=True)
            if direction == "x" and self.kind == "categorical" and sum(map(len, names)) > _LONGEST_NAMES:
                axis.set_tick_params(rotation=30)

    def _ticks(self) -> Sequence[Value]:
        """Return the values that are ticks; none where matplotlib chooses better."""
        if self.kind == "categorical":
            return list(self.places)
        special = self._special
        ordinary = [value for value, place in self.places.items() if place not in special]
        if len(ordinary) > _TICKS and not special:
            return []
        shown = {*spread(ordinary, _TICKS - len(special)), *special.values()}
        return [value for value in self.places if value in shown]

    @property
    def _special(self) -> dict[float, Value]:
        """The values that are no part of the scale, by their places."""
        beside = (0.0, np.inf, -np.inf) if self.kind == "log" else (np.inf, -np.inf)
        if self.kind == "categorical":
            return {}
        return {place: value for value, place in self.places.items() if value in beside}


def scale_of(values: pd.Series, kind: Kind | None = None) -> Scale:
    """Return the scale of a column.

    On a logarithmic scale zero stands below the smallest value and infinity above the largest, as far off as neighbours
    are typically from each other; so do infinities on a linear one. Names stand in the order of a pandas categorical,
    or else in which they first come.

    Args:
        values: The column; what is missing has no place.
        kind: The kind of axis; by default names are categorical, and numbers linear or logarithmic, whichever they lie
            on more evenly.

    Raises:
        ValueError: The values cannot stand on such a scale.
    """
    if kind is not None and kind not in get_args(Kind):
        raise ValueError(f"scale {kind!r} of {values.name} is not one of {', '.join(get_args(Kind))}")
    present = values.dropna()
    numeric = pd.api.types.is_numeric_dtype(present) and not pd.api.types.is_bool_dtype(present)
    if kind == "categorical" or (kind is None and not numeric):
        return Scale("categorical", {value: float(place) for place, value in enumerate(_ordered(present))})
    if not numeric:
        raise ValueError(f"{values.name} has names, which no {kind} scale has; make it categorical")
    distinct = np.sort(present.unique())
    finite = distinct[np.isfinite(distinct)].astype(float)
    if kind is None:
        kind = "log" if _evener_in_logarithms(finite) else "linear"
    if kind == "log" and (distinct < 0).any():
        raise ValueError(f"{values.name} has {shown_value(float(distinct.min()))}, and a log scale no negative numbers")
    return _logarithmic(distinct, finite) if kind == "log" else _linear(distinct, finite)


def _logarithmic(distinct: np.ndarray, finite: np.ndarray) -> Scale:
    positive = finite[finite > 0] if (finite > 0).any() else np.ones(1)
    gaps = np.diff(np.log(positive))
    step = float(np.exp(np.median(gaps))) if len(gaps) else _DECADE
    outer = {0.0: positive[0] / step, np.inf: positive[-1] * step}
    halves = {0.0: positive[0] / np.sqrt(step), np.inf: positive[-1] * np.sqrt(step)}
    return _with_outer("log", distinct, outer, halves)


def _linear(distinct: np.ndarray, finite: np.ndarray) -> Scale:
    inner = finite if len(finite) else np.zeros(1)
    gaps = np.diff(inner)
    step = float(np.median(gaps)) if len(gaps) else 1.0
    outer = {-np.inf: inner[0] - step, np.inf: inner[-1] + step}
    halves = {-np.inf: inner[0] - step / 2, np.inf: inner[-1] + step / 2}
    return _with_outer("linear", distinct, outer, halves)


def _with_outer(kind: Kind, distinct: np.ndarray, outer: Mapping[float, float], halves: Mapping[float, float]) -> Scale:
    places = {value: float(outer.get(value, value)) for value in distinct.tolist()}
    breaks = tuple(float(half) for value, half in halves.items() if value in places and len(places) > 1)
    return Scale(kind, places, breaks)


def _evener_in_logarithms(finite: np.ndarray) -> bool:
    """Return whether numbers lie more evenly by their logarithms; of two, whether they are a decade apart."""
    positive = finite[finite > 0]
    if (finite < 0).any() or len(positive) < 2:
        return False
    if len(positive) == 2:
        return bool(positive[1] >= _DECADE * positive[0])
    plain, logarithmic = (np.diff(numbers) for numbers in (positive, np.log(positive)))
    return bool(logarithmic.max() / logarithmic.min() < plain.max() / plain.min())


def _ordered(present: pd.Series) -> Sequence[Value]:
    if isinstance(present.dtype, pd.CategoricalDtype):
        return [value for value in present.cat.categories if (present == value).any()]
    distinct: list[Value] = present.unique().tolist()
    return sorted(distinct) if pd.api.types.is_numeric_dtype(present) else distinct


def _name(value: Value) -> str:
    if value in (np.inf, -np.inf):
        return "∞" if value == np.inf else "−∞"
    return shown_value(value)
