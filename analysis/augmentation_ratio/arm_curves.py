"""Curves of augmentation's arms: means over seeds with intervals, and the arms' colours and names."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from analysis.core.augmentation_worth import ARM, COPIES, RATIO
from analysis.core.boundary_lines import label_values
from analysis.core.curves import draw_interval_band
from analysis.core.figures import COLOURS
from analysis.core.panels import Panel
from analysis.core.seed_means import seed_means

MEANS = "mean and 95 % interval over seeds"
ARM_COLOURS: Mapping[str, str] = MappingProxyType(
    dict(zip((COPIES, "fixed_aug", "fresh_aug", "fixed_aug_all", "subset"), COLOURS, strict=False))
)
ARM_NAMES: Mapping[str, str] = MappingProxyType(
    {
        COPIES: "copies",
        "fixed_aug": "fixed transforms",
        "fresh_aug": "fresh transforms",
        "fixed_aug_all": "fixed, originals too",
        "subset": "subset alone",
    }
)


def arm_entries(trials: pd.DataFrame, marker: str = "o") -> list[Line2D]:
    """Return the legend's entries of the arms that there are."""
    shown = [arm for arm in ARM_NAMES if arm in set(trials[ARM])]
    look: Mapping[str, Any] = {"marker": marker, "markersize": 3.5}
    return [Line2D([], [], color=ARM_COLOURS[arm], label=ARM_NAMES[arm], **look) for arm in shown]


def draw_arms(axes: Axes, panel: Panel, column: str) -> pd.DataFrame:
    """Draw a measurement against the ratio, a curve each arm, and return its means and intervals."""
    bands = []
    for arm in [name for name in ARM_NAMES if name in set(panel.rows[ARM])]:
        means = seed_means(panel.rows[panel.rows[ARM] == arm], [RATIO], column)
        draw_interval_band(axes, means, RATIO, colour=ARM_COLOURS[arm])
        bands.append(means.assign(arm=arm))
    label_values(axes, "x", panel.rows[RATIO])
    return pd.concat(bands, ignore_index=True)
