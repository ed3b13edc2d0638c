"""Pages: the axes of a figure in rows and columns, a panel or a measurement each."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.core.panels import Panel, Panels

_SIZE = (3.5, 2.9)  # inches
_CHARACTERS = 13  # an inch
_HANDLE = 7  # characters that a symbol in a legend is wide
_ROOM_ABOVE = 0.4  # inches
_LINE_HEIGHT = 0.17  # inches
_LEGEND_WIDTH = 1.1  # inches
_MOST_BESIDE = 3  # measurements


def axes_grid(
    rows: int, columns: int, *, size: tuple[float, float] = _SIZE, title: str = "", legend: Sequence[Artist] = ()
) -> tuple[Figure, np.ndarray]:
    """Return a figure and its axes in rows and columns.

    Args:
        rows: Number of rows.
        columns: Number of columns.
        size: Width and height of one panel in inches.
        title: What all panels have in common.
        legend: Entries of the legend beside the panels.
    """
    width = size[0] * columns + (_LEGEND_WIDTH if legend else 0)
    lines = textwrap.wrap(title, int(width * _CHARACTERS))
    height = size[1] * rows + _ROOM_ABOVE + _LINE_HEIGHT * len(lines[1:])
    figure = Figure(figsize=(width, height), layout="constrained")
    if title:
        figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=10)
    if legend:
        figure.legend(handles=list(legend), loc="outside right center")
    return figure, figure.subplots(rows, columns, squeeze=False)


def legend_below(figure: Figure, entries: Sequence[Artist]) -> None:
    """Put a legend below all axes, in as many columns as the page is wide enough for; none without entries."""
    if entries:
        longest = max(len(str(entry.get_label())) for entry in entries) + _HANDLE
        columns = int(figure.get_figwidth() * _CHARACTERS / longest)
        figure.legend(handles=list(entries), loc="outside lower left", ncols=min(max(columns, 1), len(entries)))


def titled(panels: Panels, grid: np.ndarray) -> Iterator[tuple[Panel, Axes]]:
    """Yield each panel with its axes, which get its title; axes without a panel are hidden."""
    for axes in grid.flat:
        axes.set_visible(False)
    for panel in panels.shown:
        axes = grid[panel.row, panel.column]
        axes.set_visible(True)
        axes.set_title(panel.title)
        yield panel, axes


def label_outside(grid: np.ndarray, across: str, up: str) -> None:
    """Name the axes of a grid once: below the lowest visible of each column, left of the first of each row."""
    for column in grid.T:
        next(axes for axes in column[::-1] if axes.get_visible()).set_xlabel(across)
    for row in grid:
        next(axes for axes in row if axes.get_visible()).set_ylabel(up)


def page_of_panels(
    panels: Panels,
    draw: Callable[[Axes, Panel], pd.DataFrame],
    *,
    title: str,
    across: str,
    up: str,
    legend: Sequence[Artist] = (),
) -> tuple[Figure, pd.DataFrame]:
    """Return a figure with axes for each panel, and the numbers that `draw` returns with the panel's knobs.

    Args:
        panels: The panels.
        draw: Draws a panel and returns what it has drawn.
        title: What all panels have in common.
        across: Name and unit of the horizontal axis.
        up: Name and unit of the vertical axis.
        legend: Entries of the legend beside the panels.
    """
    figure, grid = axes_grid(*panels.shape, title=title, legend=legend)
    numbers = []
    for panel, axes in titled(panels, grid):
        numbers.append(draw(axes, panel))
        _note_emptiness(axes)
    label_outside(grid, across, up)
    return figure, panels.numbered(numbers)


def page_of_measurements(
    panels: Panels,
    measured: Mapping[str, str],
    draw: Callable[[Axes, Panel, str], pd.DataFrame],
    *,
    title: str,
    across: str,
    legend: Sequence[Artist] = (),
) -> tuple[Figure, pd.DataFrame]:
    """Return a figure with axes for each measurement of each panel, and the numbers drawn.

    The measurements of a panel stand in as few rows as a page is wide.

    Args:
        panels: The panels.
        measured: Name and unit of each measurement by its column.
        draw: Draws one measurement of a panel and returns what it has drawn.
        title: What all panels have in common.
        across: Name and unit of the horizontal axis.
        legend: Entries of the legend beside the panels.
    """
    lines = math.ceil(len(measured) / _MOST_BESIDE)
    columns = math.ceil(len(measured) / lines)
    figure, grid = axes_grid(lines * len(panels.shown), columns, title=title, legend=legend)
    numbers = []
    for block, panel in zip(grid.reshape(-1, lines * columns), panels.shown, strict=True):
        block[0].set_title(panel.title)
        for axes, (column, name) in zip(block, measured.items(), strict=False):
            numbers.append(draw(axes, panel, column).assign(measurement=column, **panel.setting))
            axes.set(xlabel=across, ylabel=name)
            _note_emptiness(axes)
        for axes in block[len(measured) :]:
            axes.set_visible(False)
    return figure, pd.concat(numbers, ignore_index=True)


def _note_emptiness(axes: Axes) -> None:
    if not axes.has_data():
        axes.text(0.5, 0.5, "no trial came so far", transform=axes.transAxes, ha="center", color="#555555")
        axes.tick_params(which="both", bottom=False, left=False, labelbottom=False, labelleft=False)
