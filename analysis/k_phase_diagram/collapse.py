"""Whether K and damping are one axis.

A round of K steps of gradient flow and a solved round with damping 1/(learning rate × K) filter the directions of the
tangent kernel nearly alike, so the two dampings of a damped round may add up: cells of all K and lambda would lie on
one curve of 1/(learning rate × K) + lambda. Both also cost time: where steps are drawn back, a round covers no more
than 1/lambda of gradient flow, and training comes as far as learning rate × T/(1 + learning rate × K × lambda).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.core.figures import Drawing, Look, ordered_looks
from analysis.core.pages import axes_grid
from analysis.core.panels import panels, subject
from analysis.k_phase_diagram.crossed_axes import DAMPING, RESPONSES, readings
from analysis.k_phase_diagram.interval_axes import interval_entries
from analysis.k_phase_diagram.intervals import INTERVAL

RATE, SUM, TIME = "learning_rate", "effective_damping", "time_covered"
COORDINATES: Mapping[str, str] = {
    SUM: "1/(learning rate × K) + damping",
    TIME: "learning rate × T/(1 + learning rate × K × damping)",
}
_LEAST_VALUES, _DEGREE = 3, 3
_SUBJECT = ("data_name", "network", "optimizer", RATE, "loss")
_SIZES = (3, 7)  # points


def collapse(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return accuracy and the kernel's movement over both coordinates, with what one curve of each explains.

    None of trials in several settings, or without several K and dampings.
    """
    several = all(name in trials and trials[name].nunique() >= _LEAST_VALUES for name in (INTERVAL, DAMPING))
    if not several or SUM not in rows or rows[SUM].isna().all():
        return None
    found = panels(trials, rows, inside=(INTERVAL, DAMPING, "seed", "steps"), across=[])
    if len(found.shown) > 1:
        return None
    responses = [name for name in RESPONSES if name in rows and rows[name].notna().any()]
    looks = ordered_looks(trials[INTERVAL])
    title = subject(trials, found, _SUBJECT, "a point a cell, the larger the more damping; grey: a cubic")
    figure, grid = axes_grid(
        len(responses),
        3,
        size=(4.0, 3.0),
        title=title,
        legend=interval_entries(trials, looks),
    )
    total = rows.groupby("trial_id")[SUM].last()
    numbers = []
    for line, response in zip(grid, responses, strict=True):
        end, *matched = readings(trials, rows, response)
        shown = [(end, SUM), (end, TIME), *((reading, SUM) for reading in matched)]
        for axes in line[len(shown) :]:
            axes.set_visible(False)
        for axes, (reading, coordinate) in zip(line, shown, strict=False):
            ends = reading.ends.assign(**{SUM: reading.ends["trial_id"].map(total)})
            cells = cells_of(ends[ends["outcome"] == "finished"].dropna(subset=[response, SUM]), response)
            explained = shares(cells, coordinate)
            _draw(axes, cells, coordinate, looks)
            axes.set_title(f"{reading.label}\n{_words(explained)}", fontsize=8)
            axes.set(xlabel=COORDINATES[coordinate], ylabel=RESPONSES[response])
            numbers.append(cells.assign(reading=reading.label, response=response, coordinate=coordinate, **explained))
    return Drawing(figure, pd.concat(numbers, ignore_index=True), "collapse")


def cells_of(ends: pd.DataFrame, response: str) -> pd.DataFrame:
    """Return a row for each K and damping: the `mean` over seeds and both coordinates; plain training is one cell.

    Args:
        ends: One row a trial, with its `step`, learning rate and `effective_damping`, which is the sum.
        response: Column to average.
    """
    once = ends[(ends[INTERVAL] > 1) | (ends[DAMPING] == ends[DAMPING].min())]
    means = {"mean": (response, "mean"), SUM: (SUM, "mean"), "step": ("step", "mean"), RATE: (RATE, "first")}
    cells = once.groupby([INTERVAL, DAMPING]).agg(**means).reset_index()
    of_rounds = cells[SUM] - cells[DAMPING].where(cells[INTERVAL] > 1, 0.0)
    return cells.assign(**{TIME: cells[RATE] * cells["step"] * of_rounds / cells[SUM]})


def shares(cells: pd.DataFrame, coordinate: str) -> dict[str, float]:
    """Return how much of the variance among the cells' means is explained, a share of 1 each.

    By one curve of the coordinate: a polynomial of degree 3 in its logarithm, fitted by least squares. By K alone and
    by damping alone: a mean for each of their values, which is the most that any curve of them explains. These have
    more free numbers than the polynomial, so the comparison is in their favour.
    """
    values = cells["mean"]
    fitted = {"curve": _curve(cells, coordinate)(np.log10(cells[coordinate].to_numpy(float)))}
    for name, column in (("k", INTERVAL), ("damping", DAMPING)):
        fitted[name] = values.groupby(cells[column]).transform("mean").to_numpy(float)
    whole = float(((values - values.mean()) ** 2).sum())
    return {f"by_{name}": 1 - float(((values - of) ** 2).sum()) / whole for name, of in fitted.items()}


def _curve(cells: pd.DataFrame, coordinate: str) -> np.polynomial.Polynomial:
    at = np.log10(cells[coordinate].to_numpy(float))
    return np.polynomial.Polynomial.fit(at, cells["mean"].to_numpy(float), min(_DEGREE, len(np.unique(at)) - 1))


def _draw(axes: Axes, cells: pd.DataFrame, coordinate: str, looks: Mapping[float, Look]) -> None:
    first, last = cells[coordinate].min(), cells[coordinate].max()
    line = np.geomspace(first, last, 100)
    axes.plot(line, _curve(cells, coordinate)(np.log10(line)), color="#AAAAAA", linewidth=3, zorder=0)
    dampings = np.sort(cells[DAMPING].unique())
    sizes = dict(zip(dampings, np.linspace(*_SIZES, len(dampings)), strict=True))
    for interval, (colour, marker) in looks.items():
        of_interval = cells[cells[INTERVAL] == interval]
        faint: dict[str, Any] = {"marker": marker, "markersize": 1, "linewidth": 0.8, "alpha": 0.6}
        axes.plot(of_interval[coordinate], of_interval["mean"], color=colour, **faint)
        for _, cell in of_interval.iterrows():
            axes.plot(cell[coordinate], cell["mean"], marker, color=colour, markersize=sizes[cell[DAMPING]])
    axes.set_xscale("log")


def _words(explained: Mapping[str, float]) -> str:
    names = {"by_curve": "by the curve", "by_k": "by K at most", "by_damping": "by damping at most"}
    curve, *others = (f"{names[name]} {share:.0%}" for name, share in explained.items())
    return f"explained {curve},\n{', '.join(others)}"
