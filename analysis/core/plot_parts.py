"""Parts of a plot of a user's own frame: its page, its diagram, its lines and its legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.core.curves import DIVERGED_MARKER, draw_band, draw_interval_band, line_entries
from analysis.core.figures import Look, ordered_looks
from analysis.core.figures import looks as looks_of
from analysis.core.numbers import shown_value
from analysis.core.own_frames import Places, words
from analysis.core.phase_diagram import common_range, draw_phase_diagram, legend_entries

Band = Literal["interval", "range"]
_Beside = Literal["outside lower left", "outside right upper"]

_DIAGRAM, _CURVES = (5.4, 4.2), (5.8, 3.6)  # inches
_BREAK_OF_CELLS: Mapping[str, Any] = {"color": "white", "linewidth": 4}
_BREAK_OF_LINES: Mapping[str, Any] = {"color": "#888888", "linewidth": 0.8, "linestyle": ":"}
_AT_THE_BOTTOM = 0.03


def diagram(
    found: Places, labels: Mapping[str, str], title: str, axes: Axes | None, entries: Sequence[Artist] = ()
) -> Axes:
    """Draw cells and return their axes.

    Args:
        found: The cells.
        labels: Column -> what to write on its axis.
        title: Title of the figure.
        axes: Where to draw, None for a figure of its own.
        entries: What else the legend has.
    """
    drawn, own = axes or _new(_DIAGRAM), axes is None
    scales = found.across.of_matplotlib, found.up.of_matplotlib
    shown = common_range([found.cells])
    mesh = draw_phase_diagram(drawn, found.cells, found.x, found.y, shown=shown, labels={}, scales=scales)
    limits = {"xlim": drawn.get_xlim(), "ylim": drawn.get_ylim()}
    found.across.label(drawn, "x")
    found.up.label(drawn, "y")
    drawn.set(xlabel=words(found.x, labels), ylabel=words(found.y, labels), title=title, **limits)
    for place in found.across.breaks:
        drawn.axvline(place, **_BREAK_OF_CELLS)
    for place in found.up.breaks:
        drawn.axhline(place, **_BREAK_OF_CELLS)
    drawn.figure.colorbar(mesh, ax=drawn, label=f"mean {words(found.value, labels)}")
    if handles := [*legend_entries(found.cells), *entries]:
        _legend(drawn, handles, own, beside="outside lower left")
    return drawn


def lines(found: Places, band: Band, labels: Mapping[str, str], title: str, axes: Axes | None, by: str = "") -> Axes:
    """Draw a line with a band for each value of `y`, and return the axes.

    Args:
        found: The points.
        band: What the band shows.
        labels: Column -> what to write on its axis.
        title: Title of the figure.
        axes: Where to draw, None for a figure of its own.
        by: What the legend calls the lines; empty for one without a legend.
    """
    drawn, own = axes or _new(_CURVES), axes is None
    looks, crossed = _looks(found), False
    for value, place in found.up.places.items():
        of_line = found.cells[found.cells[found.y] == place].sort_values(found.x)
        lost = of_line["diverged"] >= of_line["seeds"].clip(lower=1)
        alive = of_line[~lost & (of_line["seeds"] > 0)]
        draw = draw_interval_band if band == "interval" else draw_band
        draw(drawn, _interrupted(alive, found), found.x, look=looks[value])
        _draw_beside(drawn, alive[~found.across.is_ordinary(alive[found.x])], found.x, band, looks[value].colour)
        if lost.any():
            crossed = True
            _mark_lost(drawn, of_line[lost], alive, found, looks[value].colour)
    found.across.label(drawn, "x")
    for place in found.across.breaks:
        drawn.axvline(place, **_BREAK_OF_LINES)
    drawn.set(xlabel=words(found.x, labels), ylabel=words(found.value, labels), title=title)
    handles: list[Artist] = list(line_entries(looks, {value: shown_value(value) for value in looks})) if by else []
    if crossed:
        handles.append(Line2D([], [], color="#555555", label="diverged", **DIVERGED_MARKER))
    if handles:
        _legend(drawn, handles, own, beside="outside right upper", title=by)
    return drawn


def figure_of(axes: Axes) -> Figure:
    """Return the whole figure that axes are part of."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return figure


def _looks(found: Places) -> dict[Any, Look]:
    values = list(found.up.places)
    return ordered_looks(values) if all(isinstance(value, int | float) for value in values) else looks_of(values)


def _interrupted(points: pd.DataFrame, found: Places) -> pd.DataFrame:
    """Return the points of a line with gaps where zero and infinity stand beside the scale."""
    if not found.across.breaks:
        return points
    gaps = pd.DataFrame({found.x: found.across.breaks, "seeds": points["seeds"].max()})
    return pd.concat([points, gaps], ignore_index=True).sort_values(found.x)


def _draw_beside(axes: Axes, points: pd.DataFrame, across: str, band: Band, colour: str) -> None:
    """Draw the band of points that stand alone."""
    half = points["half_width"].where(points["seeds"] > 2)
    by_band = {
        "interval": (points["mean"] - half, points["mean"] + half),
        "range": (points["smallest"], points["largest"]),
    }
    axes.vlines(points[across], *by_band[band], color=colour, alpha=0.2, linewidth=5)


def _mark_lost(axes: Axes, lost: pd.DataFrame, alive: pd.DataFrame, found: Places, colour: str) -> None:
    """Put a cross at the end of a line that goes no further, or below each place where trials diverged."""
    if not found.in_time:
        bottom = [_AT_THE_BOTTOM] * len(lost)
        axes.plot(lost[found.x], bottom, transform=axes.get_xaxis_transform(), color=colour, **DIVERGED_MARKER)
    elif len(alive):
        axes.plot(alive[found.x].iloc[-1], alive["mean"].iloc[-1], color=colour, **DIVERGED_MARKER)


def _new(size: tuple[float, float]) -> Axes:
    return Figure(figsize=size, layout="constrained").subplots()


def _legend(axes: Axes, handles: Sequence[Artist], own: bool, *, beside: _Beside, title: str = "") -> None:
    """Put the legend beside the axes of a figure of its own, or within axes that somebody else has laid out."""
    if own:
        figure_of(axes).legend(handles=handles, loc=beside, title=title or None)
    else:
        axes.legend(handles=handles, title=title or None)
