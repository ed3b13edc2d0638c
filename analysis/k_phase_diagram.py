"""Figures of the K phase diagram: test accuracy over K and training time, and against the number of feature updates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from analysis.core.curves import draw_band, seed_band
from analysis.core.figures import COLOURS, Drawing, style
from analysis.core.phase_diagram import draw_phase_diagram, legend_patches, phase_cells
from analysis.core.results import Results

STUDY = "k_phase_diagram"
INTERVAL, RESPONSE = "feature_update_interval", "test_acc_lin"
_PANEL_WIDTH, _PANEL_HEIGHT = 9.2, 3.9
_TIMES_SHOWN = 3


def draw(results: Results) -> Sequence[Drawing]:
    """Return the phase diagram of the stored trials, one row of panels for each combination of the other knobs.

    The numbers have one row a cell: the knobs of its panel, K, the step, and mean, smallest and largest test accuracy
    of the linearised model (the function that is trained) over the seeds.
    """
    trials = results.trials(STUDY)
    rows = results.measurements(STUDY, knobs=True)
    panels = list(_panels(trials, rows))
    numbers = []
    with style():
        figure = Figure(figsize=(_PANEL_WIDTH, _PANEL_HEIGHT * len(panels)), layout="constrained")
        for (setting, panel_trials, panel_rows), (left, right) in zip(
            panels, figure.subplots(len(panels), 2, squeeze=False), strict=True
        ):
            cells = phase_cells(panel_rows[panel_rows["step"] > 0], panel_trials, "step", INTERVAL, RESPONSE)
            _draw_diagram(figure, left, cells, int(panel_trials["steps"].max()), _title(setting, panel_trials))
            _draw_updates(right, panel_rows)
            numbers.append(cells.assign(**setting))
    return [Drawing(figure, pd.concat(numbers, ignore_index=True))]


def _panels(trials: pd.DataFrame, rows: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]]:
    """Yield the trials and rows of each combination of the knobs that vary beside K and the seed."""
    finished = trials[trials["outcome"] != "failed"]
    varying = [name for name in _knobs(finished) if name not in (INTERVAL, "seed") and finished[name].nunique() > 1]
    if not varying:
        yield {}, finished, rows
        return
    for values, chosen in finished.groupby(varying):
        yield dict(zip(varying, values, strict=True)), chosen, rows[rows["trial_id"].isin(chosen["trial_id"])]


def _knobs(trials: pd.DataFrame) -> list[str]:
    """Return the knobs' columns, which stand between the JSON of all knobs and the final measurements."""
    names = list(trials.columns)
    first = names.index("knobs_json") + 1
    return [name for name in names[first:] if not name.startswith("final_")]


def _title(setting: dict[str, Any], trials: pd.DataFrame) -> str:
    described = ", ".join(f"{name} = {value}" for name, value in setting.items())
    first = trials.iloc[0]
    return described or f"{first['data_name']}, {first['network']}, learning rate {first['learning_rate']:g}"


def _draw_diagram(figure: Figure, axes: Axes, cells: pd.DataFrame, steps: int, title: str) -> None:
    shown = Normalize(cells["mean"].min(), cells["mean"].max())
    mesh = draw_phase_diagram(axes, cells, "step", INTERVAL, shown=shown, labels={steps: "∞"})
    figure.colorbar(mesh, ax=axes, label="test accuracy (linearised), mean over seeds")
    axes.set(xlabel="training time T (steps)", ylabel="K: steps between feature updates", title=title)
    axes.axline((1, 1), (10, 10), color="white", linewidth=1.0, linestyle="--")
    axes.annotate("K = T", (3, 3), color="white", xytext=(-26, 2), textcoords="offset points", fontsize=8)
    entries = legend_patches(cells)
    if entries:
        axes.legend(handles=entries, loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2)


def _draw_updates(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw accuracy against the number of feature updates so far, one curve a training time."""
    for colour, step in zip(COLOURS, _times(rows), strict=False):
        # Every K at or above T is the same training: one of them stands for all.
        distinct = rows[rows["step"] == step].drop_duplicates(["num_feature_updates", "seed"])
        band = seed_band(distinct, "num_feature_updates", RESPONSE)
        draw_band(axes, band, "num_feature_updates", colour=colour, label=f"T = {step}")
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)
    axes.set(xlim=(-0.2, None), xlabel="number of feature updates", ylabel="test accuracy (linearised)")
    axes.set_title("mean and range of seeds (hollow: not all)")
    axes.legend(title="after", loc="best")


def _times(rows: pd.DataFrame) -> list[int]:
    """Return the last measured step and earlier ones, about half a decade apart."""
    steps = np.sort(rows.loc[rows["step"] > 0, "step"].unique())
    wanted = steps[-1] / np.sqrt(10) ** np.arange(_TIMES_SHOWN)
    return sorted({int(steps[np.argmin(np.abs(np.log(steps / time)))]) for time in wanted}, reverse=True)
