"""Whether K and damping are one axis: accuracy against 1/(learning rate × K) + damping.

A round of K steps of gradient flow and a solved round with damping 1/(learning rate × K) filter the directions of the
tangent kernel nearly alike, so that of a damped round of K steps the two may add up. Where they do, cells of all K and
all dampings lie on one curve of the sum.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.core.crossed_axes import DAMPING, readings
from analysis.core.figures import Drawing, ordered_colours
from analysis.core.interval_axes import interval_entries
from analysis.core.intervals import INTERVAL
from analysis.core.pages import axes_grid, label_outside
from analysis.core.panels import panels, subject

OWN, SUM = "effective_damping", "total_damping"
_DEGREE = 3
_SUBJECT = ("data_name", "network", "inner_optimizer", "learning_rate", "loss")
_MARKERS = "osD^vP*Xdph<>8"


def collapse(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return accuracy against the sum of K's own damping and lambda, with what one curve of it explains.

    None of trials in several settings, or without several K and dampings.
    """
    if not {DAMPING, OWN} <= set(rows) or trials[DAMPING].nunique() < 3 or trials[INTERVAL].nunique() < 3:
        return None
    found = panels(trials, rows, inside=(INTERVAL, DAMPING, "seed", "steps"), across=[])
    if len(found.shown) > 1 or rows[OWN].isna().all():
        return None
    colours = ordered_colours(trials[INTERVAL])
    read = [reading for response in _responses(rows) for reading in readings(trials, rows, response)]
    title = subject(trials, found, _SUBJECT, "one point a cell, mean of seeds; one colour a K, one marker a damping")
    figure, grid = axes_grid(1, len(read), size=(3.9, 3.3), title=title, legend=interval_entries(trials, colours))
    own = rows.groupby("trial_id")[OWN].last()
    numbers = []
    for axes, reading in zip(grid[0], read, strict=True):
        ends = reading.ends.assign(**{OWN: reading.ends["trial_id"].map(own)})
        cells = cells_of(ends[ends["outcome"] == "finished"].dropna(subset=[reading.response, OWN]), reading.response)
        explained = shares(cells)
        _draw(axes, cells, colours)
        axes.set_title(f"{reading.response.replace('_', ' ')}\n{reading.label}\n{_words(explained)}", fontsize=7.5)
        numbers.append(cells.assign(reading=reading.label, response=reading.response, **explained))
    label_outside(grid, "1/(learning rate × K) + damping", "mean of seeds")
    return Drawing(figure, pd.concat(numbers, ignore_index=True), "collapse")


def cells_of(ends: pd.DataFrame, response: str) -> pd.DataFrame:
    """Return a row for each K and damping: the `mean` over seeds and the `total_damping`; plain training is one cell."""
    once = ends[(ends[INTERVAL] > 1) | (ends[DAMPING] == ends[DAMPING].min())]
    cells = once.groupby([INTERVAL, DAMPING]).agg(mean=(response, "mean"), own=(OWN, "mean")).reset_index()
    return cells.assign(**{SUM: cells["own"] + cells[DAMPING].where(cells[INTERVAL] > 1, 0.0)})


def shares(cells: pd.DataFrame) -> dict[str, float]:
    """Return how much of the variance among the cells' means is explained, a share of 1 each.

    By the sum, as a polynomial of degree 3 in its logarithm, fitted by least squares. By K alone and by damping alone,
    as a mean for each of their values, which is the most that any curve of them explains: both have more free numbers
    than the polynomial, so that the comparison is in their favour.
    """
    values = cells["mean"].to_numpy(float)
    fitted = {"sum": _curve(cells)(np.log10(cells[SUM].to_numpy(float)))}
    for name, column in (("k", INTERVAL), ("damping", DAMPING)):
        fitted[name] = cells.groupby(column)["mean"].transform("mean").to_numpy(float)
    whole = ((values - values.mean()) ** 2).sum()
    return {f"by_{name}": 1 - float(((values - of) ** 2).sum() / whole) for name, of in fitted.items()}


def _curve(cells: pd.DataFrame) -> np.polynomial.Polynomial:
    at = np.log10(cells[SUM].to_numpy(float))
    return np.polynomial.Polynomial.fit(at, cells["mean"].to_numpy(float), min(_DEGREE, len(np.unique(at)) - 1))


def _draw(axes: Axes, cells: pd.DataFrame, colours: dict[float, str]) -> None:
    ends = np.log10([cells[SUM].min(), cells[SUM].max()])
    line = np.linspace(*ends, 100)
    axes.plot(10**line, _curve(cells)(line), color="#AAAAAA", linewidth=3, zorder=0)
    markers = dict(zip(np.sort(cells[DAMPING].unique()), _MARKERS, strict=False))
    for interval, of_interval in cells.groupby(INTERVAL):
        axes.plot(of_interval[SUM], of_interval["mean"], color=colours[interval], linewidth=0.8, alpha=0.6)
        for _, cell in of_interval.iterrows():
            axes.plot(cell[SUM], cell["mean"], markers.get(cell[DAMPING], "."), color=colours[interval], markersize=5)
    axes.set_xscale("log")


def _words(explained: dict[str, float]) -> str:
    names = {"by_sum": "a cubic of the sum", "by_k": "K alone, at most", "by_damping": "damping alone, at most"}
    return "explained: " + ", ".join(f"{names[name]} {share:.0%}" for name, share in explained.items())


def _responses(rows: pd.DataFrame) -> Sequence[str]:
    return [name for name in ("test_acc_lin", "ntk_distance") if name in rows and rows[name].notna().any()]
