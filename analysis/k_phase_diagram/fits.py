"""Loss and accuracy of a linearised model and of its network, side by side: solid and dashed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.core.curves import DIVERGED_MARKER, diverged_entries, draw_band, draw_lines, line_entries, seed_band
from analysis.core.figures import Look, ordered_looks
from analysis.core.pages import page_of_measurements
from analysis.core.panels import Panel, Panels, described
from analysis.core.phase_diagram import phase_cells

# A column is one of these and the function it is of: train_loss_lin, test_acc_net.
FITS = MappingProxyType(
    {
        "train_loss": "training loss",
        "test_loss": "test loss",
        "train_acc": "training accuracy",
        "test_acc": "test accuracy",
    }
)
_FUNCTIONS: Mapping[str, tuple[str, Any]] = MappingProxyType(
    {"lin": ("linearised", "-"), "net": ("network", (0, (3, 1.5)))}
)
_GROWTH_SHOWN = 100.0  # a loss this many times the first is as good as diverged
_FOOT = 0.03  # of the height of the axes
_UNITS = MappingProxyType({"cross_entropy": "nats", "mse": "squared outputs"})


def fit_labels(trials: pd.DataFrame) -> dict[str, str]:
    """Return names and units of the fits of these trials."""
    unit = loss_unit(trials)
    return {name: label + (unit if "loss" in name else "") for name, label in FITS.items()}


def loss_unit(trials: pd.DataFrame) -> str:
    """Return the unit of the trials' loss in brackets, as it follows a name; empty if they have several losses."""
    units = [_UNITS.get(loss, loss) for loss in trials["loss"].unique()]
    return f" ({units[0]})" if len(units) == 1 else ""


def function_entries() -> list[Line2D]:
    """Return the legend's entries that tell the two functions apart."""
    return [Line2D([], [], color="#555555", linestyle=line, label=label) for label, line in _FUNCTIONS.values()]


def draw_fit(
    axes: Axes, rows: pd.DataFrame, trials: pd.DataFrame, column: str, by: str, *, looks: Mapping[float, Look]
) -> pd.DataFrame:
    """Draw the means of a fit against the step and return them.

    Args:
        axes: Where to draw.
        rows: Measurements at steps that all trials share.
        trials: Their trials.
        column: One of `FITS`.
        by: Knob that tells the lines apart.
        looks: Look of each of its values.
    """
    drawn = []
    ceiling = _GROWTH_SHOWN * float(rows.loc[rows["step"] == rows["step"].min(), f"{column}_lin"].mean())
    for function, (_, line) in _FUNCTIONS.items():
        cells = phase_cells(rows, trials, "step", by, f"{column}_{function}")
        draw_lines(axes, cells, "step", by, looks=looks, linestyle=line, ceiling=ceiling)
        drawn.append(cells.assign(function=function))
    axes.set_xscale("log")
    _scale(axes, column)
    return pd.concat(drawn, ignore_index=True)


def draw_ends(
    axes: Axes, ends: pd.DataFrame, column: str, across: str, by: str, *, looks: Mapping[float, Look]
) -> pd.DataFrame:
    """Draw a measurement at the end of training, mean and range of seeds, and return these.

    A line breaks where all seeds diverged, with a cross at the foot.

    Args:
        axes: Where to draw.
        ends: One row a trial, with its `outcome`.
        column: A measurement; one of `FITS` is drawn of both functions.
        across: Column on the horizontal axis.
        by: Knob that tells the lines apart.
        looks: Look of each of its values.
    """
    lines = {f"{column}_{name}": line for name, (_, line) in _FUNCTIONS.items()} if column in FITS else {column: "-"}
    drawn, foot = [], axes.get_xaxis_transform()
    for response, line in lines.items():
        for value in np.sort(ends[by].unique()):
            of_line = ends[ends[by] == value]
            finished = of_line["outcome"] == "finished"
            band = seed_band(of_line.assign(**{response: of_line[response].where(finished)}), across, response)
            draw_band(axes, band, across, look=looks[value], linestyle=line)
            drawn.append(band.assign(**{by: value, "response": response}))
            lost = band.loc[(band["seeds"] == 0) & band[across].isin(of_line.loc[~finished, across]), across]
            axes.plot(lost, [_FOOT] * len(lost), transform=foot, color=looks[value].colour, **DIVERGED_MARKER)
    _scale(axes, column)
    return pd.concat(drawn, ignore_index=True) if drawn else pd.DataFrame()


def page_of_ends(
    panels: Panels,
    measured: Mapping[str, str],
    across: str,
    by: str,
    *,
    axis: Callable[[Axes, pd.DataFrame], None],
    title: str,
    label: str,
) -> tuple[Figure, pd.DataFrame]:
    """Return a figure of measurements at the end of training, and the numbers drawn.

    Args:
        panels: The panels, their measurements those at the end.
        measured: Name and unit of each measurement by its column, a column of axes each.
        across: Column on the horizontal axis.
        by: Knob that tells the lines apart.
        axis: Scales the horizontal axis for the trials of a panel.
        title: What all panels have in common.
        label: Name and unit of the horizontal axis.
    """
    looks = ordered_looks(value for panel in panels.shown for value in panel.trials[by])

    def draw_one(axes: Axes, panel: Panel, column: str) -> pd.DataFrame:
        drawn = draw_ends(axes, panel.rows, column, across, by, looks=looks)
        axis(axes, panel.trials)
        return drawn

    legend = line_entries(looks, {value: described({by: value}) for value in looks})
    legend += diverged_entries(pd.concat([panel.rows["outcome"] for panel in panels.shown]))
    if set(measured) & set(FITS):
        legend += function_entries()
    return page_of_measurements(panels, measured, draw_one, title=title, across=label, legend=legend)


def _scale(axes: Axes, column: str) -> None:
    """Scale the vertical axis, a loss's in the logarithm."""
    if "loss" in column:
        axes.set_yscale("log")
