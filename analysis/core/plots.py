"""Plots of a frame of one's own: the phase diagram, its boundary, curves with bands, and matched loss.

A frame is a table of pandas, Polars or Arrow with one row a trial, or one a measured step. What rows of a place have in
common is averaged, as seeds are: choose the rows that belong together before. Two columns are known by name where they
are there. `trial_id` tells which rows are one trial's. `outcome` keeps trials apart that diverged (they are shown as
such), failed or were stopped (they are left out).

Axes are linear, logarithmic or categorical, by their values or as `scales` says of a column. Every plot returns a
`Drawing`, which a notebook shows: `figure` is matplotlib's, to change and to save, and `numbers` is what was drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.core.boundary_lines import MEASURED_BOUNDARY, crossings, draw_measured_boundary
from analysis.core.figures import Drawing, style
from analysis.core.matched_loss import at_matched_loss, loss_levels
from analysis.core.numbers import shown_value
from analysis.core.own_frames import as_pandas, cells_of, words
from analysis.core.panels import spread
from analysis.core.plot_parts import Band, diagram, figure_of, lines
from analysis.core.scales import Kind

_MOST_LEVELS = 5
_ONE_LINE = "line"


def phase_diagram(
    frame: Any,
    x: str,
    y: str,
    value: str,
    *,
    scales: Mapping[str, Kind] | None = None,
    labels: Mapping[str, str] | None = None,
    title: str = "",
    axes: Axes | None = None,
) -> Drawing:
    """Draw the mean of a column over two others, a colour for each cell.

    Cells in which at least half of the trials diverged are hatched, and those without any are dotted.

    Example:
        >>> import pandas
        >>> from analysis import phase_diagram
        >>> runs = pandas.DataFrame({"width": [8, 8, 64, 64], "rate": [0, 0.1, 0, 0.1], "acc": [0.5, 0.7, 0.6, 0.9]})
        >>> phase_diagram(runs, x="width", y="rate", value="acc").numbers["mean"].tolist()
        [0.5, 0.6, 0.7, 0.9]

    Args:
        frame: The rows.
        x: Column on the horizontal axis, a knob or a step.
        y: Column on the vertical axis.
        value: Column whose mean is the colour.
        scales: Column -> `linear`, `log` or `categorical`, where another one is wanted than its values suggest.
        labels: Column -> what to write on its axis; by default its name.
        title: Title of the figure.
        axes: Axes of matplotlib to draw into; by default a figure of its own.

    Returns:
        The figure; its numbers are one row a cell: `y`, `x`, `mean`, `smallest`, `largest`, `seeds` and `diverged`.

    Raises:
        ValueError: A column is not there, has no values, or cannot stand on its scale.
    """
    found = cells_of(frame, x, y, value, scales or {})
    with style():
        drawn = diagram(found, labels or {}, title, axes)
    return Drawing(figure_of(drawn), found.numbers)


def boundary(
    frame: Any,
    x: str,
    y: str,
    value: str,
    level: float,
    *,
    scales: Mapping[str, Kind] | None = None,
    labels: Mapping[str, str] | None = None,
    title: str = "",
    axes: Axes | None = None,
) -> Drawing:
    """Draw a phase diagram and in it the boundary: where the mean first crosses a level, in each row as `x` grows.

    Between two cells the mean is taken to be linear on the scale of `x`. A crossing beside zero or infinity has no
    place on a logarithmic scale and is left out.

    Example:
        >>> import pandas
        >>> from analysis import boundary
        >>> runs = pandas.DataFrame({"noise": [1, 100, 1, 100], "width": [8, 8, 64, 64], "accuracy": [1, 0, 1, 0.5]})
        >>> boundary(runs, x="noise", y="width", value="accuracy", level=0.75).numbers["noise"].round(2).tolist()
        [3.16, 10.0]

    Args:
        frame: The rows.
        x: Column with numbers on the horizontal axis.
        y: Column on the vertical axis.
        value: Column whose mean is the colour.
        level: The level that the boundary is at.
        scales: As `phase_diagram` takes them, and so are `labels`, `title` and `axes`.
        labels: Column -> what to write on its axis.
        title: Title of the figure.
        axes: Axes to draw into.

    Returns:
        The figure; its numbers are one row for each crossing: `y` and `x`.

    Raises:
        ValueError: A column is not there, has no values, or cannot stand on its scale.
    """
    found = cells_of(frame, x, y, value, scales or {})
    if found.across.kind == "categorical":
        raise ValueError(f"a boundary lies between numbers, and {x} has names; exchange x and y")
    ordinary = found.cells[found.across.is_ordinary(found.cells[x])]
    stable = ordinary[ordinary["seeds"] > ordinary["diverged"]]
    points = crossings(stable, x, y, level, found.across.of_matplotlib)
    entry = Line2D([], [], **MEASURED_BOUNDARY, label=f"mean {words(value, labels)} = {shown_value(level)}")
    with style():
        drawn = diagram(found, labels or {}, title, axes, [entry])
        draw_measured_boundary(drawn, points, x, y)
    return Drawing(figure_of(drawn), points.assign(**{y: found.up.values_at(points[y])}))


def curves(
    frame: Any,
    x: str,
    value: str,
    by: str | None = None,
    *,
    band: Band = "interval",
    scales: Mapping[str, Kind] | None = None,
    labels: Mapping[str, str] | None = None,
    title: str = "",
    axes: Axes | None = None,
) -> Drawing:
    """Draw the mean of a column against another one, a line with a band for each value of a third.

    Points are hollow where trials are missing that other points of the line have. Where at least half of them have
    diverged there is none; a cross ends the line or, where `x` is a knob, stands at the bottom.

    Example:
        >>> import pandas
        >>> from analysis import curves
        >>> runs = pandas.DataFrame({"step": [1, 10, 1, 10], "seed": [0, 0, 1, 1], "loss": [1.0, 0.2, 0.8, 0.4]})
        >>> curves(runs, x="step", value="loss", band="range").numbers["mean"].round(2).tolist()
        [0.9, 0.3]

    Args:
        frame: The rows.
        x: Column on the horizontal axis, a knob or a step.
        value: Column whose mean is the height.
        by: Column that tells the lines apart; without it there is one.
        band: What the band shows: the mean's `interval` of 95 % (Student's, from three trials on), or the `range` of
            the trials.
        scales: As `phase_diagram` takes them; the vertical axis is linear unless this says otherwise.
        labels: Column -> what to write on its axis.
        title: Title of the figure.
        axes: Axes to draw into.

    Returns:
        The figure; its numbers are one row a point: `by`, `x`, `mean`, `smallest`, `largest`, `seeds`, `diverged` and
        `half_width` of the interval.

    Raises:
        ValueError: A column is not there, has no values, or cannot stand on its scale.
    """
    table, line = as_pandas(frame, x, value), by or _ONE_LINE
    height = (scales or {}).get(value, "linear")
    if height not in ("linear", "log"):
        raise ValueError(f"{value} is averaged, so its scale is linear or log, not {height}")
    if band not in get_args(Band):
        raise ValueError(f"band={band!r} is not one of {', '.join(get_args(Band))}")
    table = table if by else table.assign(**{line: ""})
    found = cells_of(table, x, line, value, {**(scales or {}), line: "categorical"})
    with style():
        drawn = lines(found, band, labels or {}, title, axes, words(by, labels) if by else "")
        drawn.set_yscale(height)
    return Drawing(figure_of(drawn), found.numbers if by else found.numbers.drop(columns=line))


def matched_loss(
    frame: Any,
    x: str,
    value: str,
    loss: str,
    *,
    levels: Sequence[float] | None = None,
    step: str = "step",
    band: Band = "interval",
    scales: Mapping[str, Kind] | None = None,
    labels: Mapping[str, str] | None = None,
    title: str = "",
    axes: Axes | None = None,
) -> Drawing:
    """Draw what trials measured when their training loss first fell to a level, a line for each level.

    Trials that train at different speeds are unlike at equal time for two reasons, what they learn and how much of it.
    At equal training loss the second is gone. Between two rows, values are linear in the logarithm of the loss.

    Example:
        >>> import pandas
        >>> from analysis import matched_loss
        >>> runs = pandas.DataFrame(
        ...     {"trial_id": ["a", "a", "b", "b"], "step": [0, 10, 0, 10], "rate": [1, 1, 2, 2],
        ...      "loss": [1.0, 0.01, 1.0, 0.1], "accuracy": [0.5, 0.9, 0.5, 0.7]})
        >>> at_tenth = matched_loss(runs, x="rate", value="accuracy", loss="loss", levels=[0.1])
        >>> at_tenth.numbers["mean"].round(2).tolist()
        [0.7, 0.7]

    Args:
        frame: Measured rows, with a column `trial_id`.
        x: Knob on the horizontal axis.
        value: Column to read at each level.
        loss: Column with the training loss, above 0.
        levels: The levels; by default some of 1, 2 and 5 times powers of ten that trials passed.
        step: Column that orders the rows of a trial.
        band: As `curves` takes it, and so are the others.
        scales: Column -> kind of its axis.
        labels: Column -> what to write on its axis.
        title: Title of the figure.
        axes: Axes to draw into.

    Returns:
        The figure; its numbers are those of `curves`, with the level as `by`. Trials that never came to a level are
        missing there.

    Raises:
        ValueError: A column is not there or has no values, or no trial came to a level.
    """
    table = as_pandas(frame, "trial_id", step, x, value, loss)
    rows = table.rename(columns={step: "step"})
    chosen = spread(loss_levels(rows, loss), _MOST_LEVELS) if levels is None else levels
    reached = at_matched_loss(rows, sorted(chosen, reverse=True), loss, [value])
    if not len(reached):
        raise ValueError(f"no trial's {loss} falls to {', '.join(map(shown_value, chosen)) or 'any level'}")
    knobs = table.drop_duplicates("trial_id")[["trial_id", x]]
    named = {"level": words(loss, labels), **(labels or {})}
    look: dict[str, Any] = {"band": band, "scales": scales, "labels": named, "title": title, "axes": axes}
    return curves(reached.merge(knobs, on="trial_id"), x, value, "level", **look)
