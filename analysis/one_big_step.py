"""Figures of the one big step: error of the regression on the features, and their alignment, against its length."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.core.curves import draw_band, seed_band
from analysis.core.figures import Drawing, looks, style
from analysis.store.results import Results

STUDY = "one_big_step"
LENGTH = "step_size"
_PANEL_WIDTH, _PANEL_HEIGHT = 9.2, 3.4


def draw(results: Results) -> Sequence[Drawing]:
    """Return errors and alignments of the stored trials."""
    return [errors_and_alignments(results.measurements(STUDY, knobs=True))]


def errors_and_alignments(rows: pd.DataFrame) -> Drawing:
    """Return errors and alignments of trials against the step's length, one row of panels for each setting.

    The numbers have one row for each setting, length and quantity. Errors are those of the best penalty of each trial,
    chosen on the test data: too good for the regression on the features and for that on the inputs alike.

    Args:
        rows: One for each trial and penalty, with columns of the knobs.
    """
    trials = rows.groupby(["setting", LENGTH, "trial_id"]).agg(
        test_mse=("test_mse", "min"),
        test_mse_linear=("test_mse_linear", "min"),
        neuron_alignment=("neuron_alignment", "first"),
        top_alignment=("top_alignment", "first"),
    )
    settings = trials.index.get_level_values("setting").unique()
    numbers = []
    with style():
        figure = Figure(figsize=(_PANEL_WIDTH, _PANEL_HEIGHT * len(settings)), layout="constrained")
        panels = figure.subplots(len(settings), 2, squeeze=False)
        for setting, (left, right) in zip(settings, panels, strict=True):
            chosen = trials.loc[setting].reset_index()
            errors = {"test_mse": "features after the step", "test_mse_linear": "the inputs themselves"}
            shares = {"neuron_alignment": "units, mean", "top_alignment": "top singular vector"}
            numbers += [_drawn(left, chosen, errors, setting), _drawn(right, chosen, shares, setting)]
            left.set(ylabel="test error of the best regression", title=f"{setting}: error of a regression on")
            right.set(ylabel="|cosine| with the teacher", ylim=(0, 1), title="alignment of the first layer")
    return Drawing(figure, pd.concat(numbers, ignore_index=True))


def _drawn(axes: Axes, trials: pd.DataFrame, quantities: dict[str, str], setting: str) -> pd.DataFrame:
    """Draw one curve a quantity and return what was drawn."""
    bands = []
    for (name, label), look in zip(quantities.items(), looks(quantities).values(), strict=True):
        band = seed_band(trials, LENGTH, name)
        draw_band(axes, band, LENGTH, look=look, label=label)
        bands.append(band.assign(setting=setting, quantity=name))
    axes.set_xscale("symlog", linthresh=0.1)
    axes.set(xlabel="length of the step", xlim=(-0.01, None))
    axes.legend(loc="best")
    return pd.concat(bands, ignore_index=True)
