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
from analysis.core.curves import EVERYWHERE, SHARE, draw_interval_band, line_entry
from analysis.core.figures import looks
from analysis.core.panels import Panel
from analysis.core.seed_means import seed_means

MEANS = "mean and 95 % interval over seeds"
ARM_NAMES: Mapping[str, str] = MappingProxyType(
    {
        COPIES: "copies",
        "fixed_aug": "fixed transforms",
        "fresh_aug": "fresh transforms",
        "fixed_aug_all": "fixed, originals too",
        "subset": "subset alone",
    }
)


ARM_LOOKS = MappingProxyType(looks(ARM_NAMES))


def arm_entries(trials: pd.DataFrame, **line: Any) -> list[Line2D]:
    """Return the legend's entries of the arms that there are."""
    return [line_entry(ARM_LOOKS[arm], ARM_NAMES[arm], **line) for arm in ARM_NAMES if arm in set(trials[ARM])]


def draw_arms(axes: Axes, panel: Panel, column: str) -> pd.DataFrame:
    """Draw a measurement against the ratio, a curve each arm, and return its means and intervals."""
    bands, within = [], EVERYWHERE if "loss" in column else SHARE
    for arm in [name for name in ARM_NAMES if name in set(panel.rows[ARM])]:
        means = seed_means(panel.rows[panel.rows[ARM] == arm], [RATIO], column)
        draw_interval_band(axes, means, RATIO, look=ARM_LOOKS[arm], within=within)
        bands.append(means.assign(arm=arm))
    label_values(axes, "x", panel.rows[RATIO])
    return pd.concat(bands, ignore_index=True)
