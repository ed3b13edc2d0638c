"""The stability ratio: learning rate times the largest curvature over 2, above which a step overshoots."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes

from analysis.core.curves import draw_paths

RATIO = "lr_stability_ratio"
# Curvature grows over rounds, and training loses accuracy before the ratio has reached 1.
WARNING_BAND = (0.5, 1.0)
LABEL = "learning rate × curvature / 2\n(shaded: warning; above 1: unstable)"


def draw_stability(axes: Axes, rows: pd.DataFrame, by: str, *, colours: Mapping[float, str]) -> pd.DataFrame:
    """Draw the ratio of each trial against the step over the warning band, and return it.

    Args:
        axes: Where to draw.
        rows: Measurements with columns `trial_id`, `seed`, `outcome`, `step`, the ratio and `by`.
        by: Knob that tells the lines apart.
        colours: Colour of each of its values.
    """
    measured = rows.dropna(subset=[RATIO])
    axes.axhspan(*WARNING_BAND, color="#CCBB44", alpha=0.3, linewidth=0)
    axes.axhline(WARNING_BAND[1], color="#555555", linewidth=0.8)
    draw_paths(axes, measured, "step", RATIO, by, colours=colours)
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)
    axes.set_xlim(-0.2, 1.2 * max([1, *measured["step"]]))
    axes.set_yscale("log")
    return measured[["trial_id", "seed", "outcome", by, "step", RATIO]]
