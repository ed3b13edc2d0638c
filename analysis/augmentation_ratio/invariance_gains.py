"""What arms of augmentation add to copies: gains in accuracy against gains in invariance."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from analysis.augmentation_ratio.arm_curves import ARM_LOOKS
from analysis.core.augmentation_worth import ACCURACY, ARM, COPIES, DRAWN, INVARIANCES, RATIO
from analysis.core.panels import Panel
from analysis.core.seed_means import seed_means

MARKERS = MappingProxyType(dict(zip(INVARIANCES, ("o", "s", "^"), strict=True)))
_MEASURED = (ACCURACY, *INVARIANCES)


def gains(panel: Panel) -> pd.DataFrame:
    """Return what arms add to copies at the same ratio and seed, one row each arm and ratio below 1.

    Accuracy and invariance rates are means over seeds, each with half its 95 % interval as `..._half_width`.
    """
    repetition = [RATIO, *(name for name in DRAWN if name in panel.rows)]
    rows = panel.rows[panel.rows[RATIO] < 1]
    copies = rows.loc[rows[ARM] == COPIES, [*repetition, *_MEASURED]]
    pairs = rows[rows[ARM] != COPIES].merge(copies, on=repetition, suffixes=("", "_copies"))
    differences = pairs.assign(**{name: pairs[name] - pairs[f"{name}_copies"] for name in _MEASURED})
    table = pd.concat([_means(differences, name) for name in _MEASURED], axis=1).reset_index()
    return table[table[ACCURACY].notna() & table[list(INVARIANCES)].notna().any(axis=1)]


def draw_gains(axes: Axes, panel: Panel) -> pd.DataFrame:
    """Draw a point with both its intervals for each arm, ratio and kind of images, and return the gains."""
    table = gains(panel)
    for _, point in table.iterrows():
        for name, marker in MARKERS.items():
            look: Mapping[str, Any] = {"fmt": marker, "markersize": 4.5, "elinewidth": 0.6}
            ends: Mapping[str, Any] = {"xerr": point[f"{name}_half_width"], "yerr": point[f"{ACCURACY}_half_width"]}
            axes.errorbar(point[name], point[ACCURACY], **ends, **look, color=ARM_LOOKS[point[ARM]].colour)
    axes.axline((0, 0), slope=1, color="#999999", linewidth=0.8)
    return table


def _means(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    means = seed_means(rows, [ARM, RATIO], name).set_index([ARM, RATIO])
    return means[["mean", "half_width"]].set_axis([name, f"{name}_half_width"], axis=1)
