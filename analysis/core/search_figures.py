"""Figures of a search: how it went, which knobs mattered, and what each of their values gave."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis.core.best_settings import front
from analysis.core.figures import COLOURS, Drawing, style

_MARKERS = "osD^vP*X"
_LINES = ("-", "--", "-.", ":")
_WIDE = 20.0  # a knob whose values span more than this factor is drawn on a logarithmic axis


@dataclass(frozen=True, kw_only=True)
class SearchFound:
    """What a search has found.

    Attributes:
        configurations: One row a configuration in the order in which they ended: the axes of the grid, the knobs
            searched, and under the columns of the objectives the mean over its seeds, NaN where one diverged or failed.
        axes: Columns of the grid's axes; each combination is a search of its own.
        over: Columns of the knobs searched.
        directions: Columns of the objectives -> `maximize` or `minimize`.
        importances: Objective -> axis or knob -> its share of the variance; empty where too little is known.
    """

    configurations: pd.DataFrame
    axes: Sequence[str]
    over: Sequence[str]
    directions: Mapping[str, str]
    importances: Mapping[str, Mapping[str, float]]

    def cells(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Yield the configurations of each search with what tells it apart."""
        if not self.axes:
            yield "", self.configurations
            return
        for values, rows in self.configurations.groupby(list(self.axes), sort=False):
            told = zip(self.axes, values if isinstance(values, tuple) else (values,), strict=True)
            yield ", ".join(f"{name} = {_short(value)}" for name, value in told), rows


def search_drawings(found: SearchFound) -> list[Drawing]:
    """Return the figures of a search: its history, or the front of two objectives; importances; slices."""
    if not len(found.configurations.dropna(subset=list(found.directions))):
        return []
    with style():
        drawings = [_history(found) if len(found.directions) == 1 else _front_of(found)]
        if found.importances:
            drawings.append(_importances(found))
        return [*drawings, _slices(found)]


def _history(found: SearchFound) -> Drawing:
    """Draw every configuration in the order in which they ended, and the best so far."""
    ((column, direction),) = found.directions.items()
    figure = Figure(figsize=(6.0, 3.6))
    axes = figure.subplots()
    numbers = []
    for place, (label, rows) in enumerate(found.cells()):
        best = rows[column].cummax() if direction == "maximize" else rows[column].cummin()
        order = np.arange(1, len(rows) + 1)
        axes.plot(
            order, rows[column], _marker(place), color=_colour(place), markersize=3.5, alpha=0.7, linestyle="none"
        )
        line = _LINES[place % len(_LINES)]
        axes.step(order, best, where="post", color=_colour(place), linestyle=line, label=label or "best so far")
        numbers.append(rows.assign(order=order, best=best))
    axes.set(xlabel="configurations, as they ended", ylabel=f"{column}, mean over seeds", title="Search: best so far")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(axes)
    return Drawing(figure, pd.concat(numbers, ignore_index=True))


def _front_of(found: SearchFound) -> Drawing:
    """Draw the configurations by their first two objectives, and those that none surpasses."""
    first, second, *_ = found.directions
    figure = Figure(figsize=(5.2, 4.0))
    axes = figure.subplots()
    numbers = []
    for place, (label, rows) in enumerate(found.cells()):
        known = rows.dropna(subset=list(found.directions))
        signs = np.array([1 if direction == "maximize" else -1 for direction in found.directions.values()])
        kept = front(known[list(found.directions)].to_numpy(float) * signs)
        best = known[kept].sort_values(first)
        axes.plot(
            known[first], known[second], _marker(place), color=_colour(place), markersize=3, alpha=0.5, linestyle="none"
        )
        axes.plot(best[first], best[second], f"{_marker(place)}-", color=_colour(place), label=label or "front")
        numbers.append(known.assign(on_front=kept))
    names = [f"{name}, {direction}d" for name, direction in found.directions.items()]
    axes.set(xlabel=names[0], ylabel=names[1], title="Search: the front, which nothing surpasses")
    _legend(axes)
    return Drawing(figure, pd.concat(numbers, ignore_index=True))


def _importances(found: SearchFound) -> Drawing:
    """Draw the share of each knob in the variance of each objective."""
    count = len(found.importances)
    names = list(next(iter(found.importances.values())))
    figure = Figure(figsize=(2.4 + 2.6 * count, 1.2 + 0.3 * len(names)))
    panels = figure.subplots(1, count, squeeze=False, sharey=True)[0]
    for panel, (column, shares) in zip(panels, found.importances.items(), strict=True):
        panel.barh(range(len(names)), [shares[name] for name in names], color=COLOURS[0])
        panel.set_yticks(range(len(names)), names)
        panel.set(xlim=(0, 1), xlabel=f"share of the variance of\n{column}")
    panels[0].invert_yaxis()
    panels[0].set_title("Search: which knobs mattered")
    table = pd.DataFrame(found.importances).rename_axis("knob").reset_index()
    return Drawing(figure, table, "importance")


def _slices(found: SearchFound) -> Drawing:
    """Draw each objective against each knob that was searched."""
    rows, columns = len(found.directions), len(found.over)
    figure = Figure(figsize=(1.4 + 2.8 * columns + (2.4 if found.axes else 0.0), 0.9 + 2.6 * rows))
    grid = figure.subplots(rows, columns, squeeze=False, sharex="col", sharey="row")
    for (row, column), axes in np.ndenumerate(grid):
        name, objective = found.over[column], list(found.directions)[row]
        values, ticks = _positions(found.configurations[name])
        for place, (label, cell) in enumerate(found.cells()):
            where = values[cell.index]
            axes.plot(
                where,
                cell[objective],
                _marker(place),
                color=_colour(place),
                markersize=3.5,
                linestyle="none",
                label=label,
            )
        if ticks:
            axes.set_xticks(range(len(ticks)), ticks)
        elif _is_wide(found.configurations[name]):
            axes.set_xscale("log")
        if row == rows - 1:
            axes.set_xlabel(name)
        if column == 0:
            axes.set_ylabel(f"{objective},\nmean over seeds")
    grid[0][0].set_title("Search: what each value gave")
    _legend(grid[0][-1])
    return Drawing(figure, found.configurations, "slices")


def _positions(values: pd.Series[Any]) -> tuple[pd.Series[Any], list[str]]:
    """Return where values lie on an axis, and the names of its ticks where they are no numbers."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return values, []
    names = sorted(map(str, values.unique()))
    return values.map(lambda value: names.index(str(value))), names


def _is_wide(values: pd.Series[Any]) -> bool:
    low, high = float(values.min()), float(values.max())
    return low > 0 and math.isfinite(high) and high / low > _WIDE


def _legend(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if any(labels):
        axes.legend(handles, labels, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def _marker(place: int) -> str:
    return _MARKERS[place % len(_MARKERS)]


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
