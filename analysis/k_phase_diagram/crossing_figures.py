"""How two axes that cross are drawn: their phase diagram, and what each does at the ends of the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.core.curves import EVERYWHERE, SHARE, draw_interval_band
from analysis.core.figures import COLOURS, Drawing, looks
from analysis.core.numbers import shown_number
from analysis.core.pages import axes_grid
from analysis.core.panels import Panel, Panels, spread
from analysis.core.phase_diagram import MARKED, common_range, draw_phase_diagram, legend_entries
from analysis.core.seed_means import seed_means
from analysis.k_phase_diagram.crossings import INTERACTION, Corners, corners, crossed_cells, interactions

MOST_PANELS = 3
_MOST_NUMBERS = 100  # cells with a number in each
_PALE = 0.6  # of the range of colours: above it a number is dark
_SOME = "* some seeds only"
_SIZES = {"diagram": (4.9, 3.6), "effects": (3.7, 2.9)}  # inches


@dataclass(frozen=True, kw_only=True)
class CrossedAxis:
    """One of the two axes.

    Attributes:
        column: The knob.
        name: What effects call it.
        label: Name and unit on an axis of a figure.
        names: Text of a value where it is not the number itself.
    """

    column: str
    name: str
    label: str
    names: Mapping[float, str] = field(default_factory=lambda: MappingProxyType({}))

    def text(self, value: float) -> str:
        """Return a value as it stands in figures."""
        return self.names.get(value) or shown_number(value)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A response of every trial, read in one way.

    Attributes:
        label: What is read, and when.
        ends: One row a trial: `trial_id`, `seed`, `outcome`, both axes and the response.
        response: Its column.
        name: Name and unit of the response.
        missing: What a cell without a value means.
    """

    label: str
    ends: pd.DataFrame
    response: str
    name: str
    missing: str = "missing"

    def of(self, panel: Panel) -> pd.DataFrame:
        """Return the trials of a panel."""
        return self.ends[self.ends["trial_id"].isin(panel.trials["trial_id"])]


def draw_crossing(
    panels: Panels, readings: Sequence[Reading], axes: tuple[CrossedAxis, CrossedAxis], *, title: str, name: str
) -> Drawing:
    """Return the phase diagram over both axes, a row a panel and a column a reading, the mean written in each cell."""
    figure, grid, shown = _page(panels, len(readings), "diagram", title, readings)
    numbers, entries = [], dict[str, Artist]()
    for column, reading in enumerate(readings):
        cells = [
            crossed_cells(reading.of(panel), (axes[0].column, axes[1].column), reading.response) for panel in shown
        ]
        colours = common_range(cells)
        for place, panel, table in zip(grid[:, column], shown, cells, strict=True):
            mesh = _draw_cells(place, table, axes, colours)
            place.set_title("\n".join(filter(None, (panel.title, reading.label))))
            numbers.append(table.assign(reading=reading.label, **panel.setting))
        figure.colorbar(mesh, ax=grid[:, column], aspect=30, pad=0.01)
        entries |= {str(each.get_label()): each for each in legend_entries(pd.concat(cells), missing=reading.missing)}
        if pd.concat(cells)[MARKED].any():
            entries[_SOME] = Line2D([], [], linestyle="none", label=_SOME)
    if entries:
        figure.legend(handles=list(entries.values()), loc="outside lower left", ncols=len(entries), fontsize=7)
    return Drawing(figure, pd.concat(numbers, ignore_index=True), name)


def draw_effects(
    panels: Panels, readings: Sequence[Reading], axes: tuple[CrossedAxis, CrossedAxis], *, title: str, name: str
) -> Drawing | None:
    """Return what each axis does at the ends of the other, and their interaction, a row a panel and reading.

    None where no panel has two seeds at four corners.
    """
    pair = (axes[0].column, axes[1].column)
    shown = spread(panels.shown, MOST_PANELS)
    found = [
        (panel, reading, at)
        for panel in shown
        for reading in readings
        if (at := corners(reading.of(panel), pair, reading.response)) is not None
    ]
    if not found:
        return None
    figure, grid = axes_grid(len(found), 3, size=_SIZES["effects"], title=title)
    numbers = []
    for row, (panel, reading, at) in zip(grid, found, strict=True):
        ends = reading.of(panel)
        _draw_curves(row[0], ends, reading, axes, at.second)
        _draw_curves(row[1], ends, reading, axes[::-1], at.first)
        table = interactions(ends, pair, reading.response, at)
        _draw_forest(row[2], table, axes, at)
        row[0].set_title("\n".join(filter(None, (panel.title, reading.label))))
        numbers.append(table.assign(reading=reading.label, **_told(axes, at), **panel.setting))
    return Drawing(figure, pd.concat(numbers, ignore_index=True), f"{name}_effects")


def _page(
    panels: Panels, columns: int, kind: str, title: str, readings: Sequence[Reading]
) -> tuple[Figure, np.ndarray, Sequence[Panel]]:
    shown = spread(panels.shown, MOST_PANELS)
    figure, grid = axes_grid(len(shown), columns, size=_SIZES[kind], title=title)
    return figure, grid, shown


def _draw_cells(
    axes: Axes, cells: pd.DataFrame, crossed: tuple[CrossedAxis, CrossedAxis], colours: Normalize
) -> ScalarMappable:
    """Draw cells at equal distances, whatever the values: an axis may begin at 0."""
    across, up = crossed
    placed = cells.assign(**{axis.column: _places(cells[axis.column]) for axis in crossed})
    levels = {axis.column: np.sort(cells[axis.column].unique()) for axis in crossed}
    names = {2.0**place: up.text(value) for place, value in enumerate(levels[up.column])}
    mesh = draw_phase_diagram(axes, placed, across.column, up.column, shown=colours, labels=names)
    axes.set_xticks(2.0 ** np.arange(len(levels[across.column])), [across.text(each) for each in levels[across.column]])
    axes.minorticks_off()
    axes.set(xlabel=across.label, ylabel=up.label)
    coloured = placed[(placed["seeds"] > 0) & (placed["diverged"] < placed["seeds"])]
    for _, cell in coloured.iterrows() if len(placed) <= _MOST_NUMBERS else ():
        shade = "black" if float(colours(float(cell["mean"]))) > _PALE else "white"
        where = (cell[across.column], cell[up.column])
        star = "*" if cell[MARKED] else ""
        axes.annotate(f"{cell['mean']:.3f}{star}", where, color=shade, ha="center", va="center", fontsize=6.5)
    return mesh


def _draw_curves(
    axes: Axes, ends: pd.DataFrame, reading: Reading, crossed: Sequence[CrossedAxis], given: tuple[float, float]
) -> None:
    """Draw the response against one axis at both ends of the other, with intervals over seeds."""
    across, other = crossed
    values = np.sort(ends[across.column].unique())
    finished = ends[ends["outcome"] == "finished"]
    within = SHARE if "accuracy" in reading.name else EVERYWHERE
    for value, look, line in zip(given, looks(given).values(), ("-", "--"), strict=True):
        means = seed_means(finished[finished[other.column] == value], [across.column], reading.response)
        placed = means.assign(place=np.searchsorted(values, means[across.column]))
        label = f"{other.name} {other.text(value)}"
        draw_interval_band(axes, placed, "place", look=look, label=label, linestyle=line, within=within)
    axes.set_xticks(range(len(values)), [across.text(value) for value in values])
    axes.set(xlabel=across.label, ylabel=reading.name)
    axes.legend(fontsize=7)


def _draw_forest(axes: Axes, table: pd.DataFrame, crossed: tuple[CrossedAxis, CrossedAxis], at: Corners) -> None:
    """Draw effects and interaction, one below the other, with their intervals."""
    names = [_effect_name(row, crossed, at) for _, row in table.iterrows()]
    heights = np.arange(len(table))[::-1]
    for height, (_, row) in zip(heights, table.iterrows(), strict=True):
        colour = COLOURS[1] if row["effect"] == INTERACTION else "black"
        axes.errorbar(
            row["mean"],
            height,
            xerr=row["half_width"],
            color=colour,
            marker="o",
            markersize=4,
            capsize=3,
            linewidth=1.4,
        )
    axes.axvline(0, color="#888888", linewidth=0.8, linestyle=":")
    axes.set_yticks(heights, names, fontsize=7)
    axes.set(xlabel="gain, mean and 95 % interval", ylim=(-0.6, len(table) - 0.4))


def _effect_name(row: pd.Series, crossed: tuple[CrossedAxis, CrossedAxis], at: Corners) -> str:
    if row["effect"] == INTERACTION:
        return "interaction"
    first = row["effect"] == crossed[0].column
    moved, other = crossed if first else crossed[::-1]
    low, high = at.first if first else at.second
    return f"{moved.name} {moved.text(low)} → {moved.text(high)},\n{other.name} {other.text(row['given'])}"


def _told(crossed: tuple[CrossedAxis, CrossedAxis], at: Corners) -> dict[str, float]:
    """Return the ends of both axes as columns."""
    ends = ("low", "high")
    return {
        f"{axis.column}_{end}": value
        for axis, span in zip(crossed, at, strict=True)
        for end, value in zip(ends, span, strict=True)
    }


def _places(values: pd.Series) -> np.ndarray:
    """Return powers of two in the order of the values, which are equally far apart on a logarithmic axis."""
    return 2.0 ** np.searchsorted(np.sort(values.unique()), values)
