"""Figures of the augmentation ratio: what a fixed transform of an image is worth beside a copy and a new image.

Each figure takes the finished trials, and is left out where these do not carry it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D

from analysis.augmentation_ratio.arm_curves import ARM_LOOKS, MEANS, arm_entries, draw_arms
from analysis.augmentation_ratio.augmentation_levels import levels
from analysis.augmentation_ratio.equal_loss import EQUAL_ACCURACY, EQUAL_LOSS, at_equal_loss
from analysis.augmentation_ratio.invariance_gains import MARKERS, draw_gains, gains
from analysis.core.augmentation_worth import (
    ACCURACY,
    ARM,
    COPIES,
    DRAWN,
    INVARIANCES,
    RATIO,
    TRANSFORM,
    lent,
    worth,
)
from analysis.core.boundary_lines import label_values
from analysis.core.figures import Drawing, present
from analysis.core.numbers import shown_numbers
from analysis.core.pages import axes_grid, page_of_measurements, page_of_panels, titled
from analysis.core.panels import Panel, Panels, panels, subject
from analysis.core.phase_diagram import COLOUR_MAP
from analysis.core.study_figures import carried, finished_trials
from analysis.store.results import Results

STUDY = "augmentation_ratio"
SIZE, NETWORK, MIXING = "data_train_size", "network", "mixing"
_COMPARED = ("fixed_aug", "fixed_aug_all", "fresh_aug")
_SUBJECT = ("data_name", NETWORK, TRANSFORM, "epochs")
_AT_EQUAL_LOSS = ("fixed_aug", "fresh_aug")
_INTERVALS = "95 % bootstrap intervals over seeds"
_EFFICIENCIES, _DARK = Normalize(-0.5, 1), 0.6
_RATIO = "share of distinct images p"
_ACCURACIES = MappingProxyType({ACCURACY: "test accuracy", "final_train_acc": "training accuracy (last epoch)"})
_EQUALLY_TRAINED = MappingProxyType(
    {EQUAL_ACCURACY: "test accuracy at equal training loss", EQUAL_LOSS: "that training loss (nats)"}
)
_KINDS = MappingProxyType(dict(zip(INVARIANCES, ("training images", "never transformed", "test images"), strict=True)))


def draw(results: Results) -> Sequence[Drawing]:
    """Return every figure that the stored trials carry."""
    trials = finished_trials(results, STUDY)
    own = lent(trials[trials[MIXING] == "none"])
    rows = results.measurements(STUDY)
    return [*carried(FIGURES, own), *carried([equal_loss], own, rows), *carried([levels], trials)]


def curves(trials: pd.DataFrame) -> Drawing | None:
    """Return test and training accuracy against the ratio, a band of seeds each arm."""
    if trials[RATIO].nunique() < 2:
        return None
    found = _panels(trials)
    title = subject(trials, found, _SUBJECT, MEANS)
    figure, numbers = page_of_measurements(
        found, _ACCURACIES, draw_arms, title=title, across=_RATIO, legend=arm_entries(trials)
    )
    return Drawing(figure, numbers)


def equal_loss(trials: pd.DataFrame, rows: pd.DataFrame) -> Drawing | None:
    """Return test accuracy at a training loss that all arms reach, and that loss, against the ratio."""
    if trials[RATIO].nunique() < 2:
        return None
    own = at_equal_loss(trials[trials[ARM].isin([COPIES, *_AT_EQUAL_LOSS])], rows)
    if not len(own):
        return None
    found = _panels(own, *_EQUALLY_TRAINED)
    title = subject(own, found, _SUBJECT, MEANS)
    figure, numbers = page_of_measurements(
        found, _EQUALLY_TRAINED, draw_arms, title=title, across=_RATIO, legend=arm_entries(own)
    )
    return Drawing(figure, numbers, "equal_loss")


def efficiency(trials: pd.DataFrame) -> Drawing | None:
    """Return the augmentation efficiency against the ratio: 0 is a copy, 1 a new image."""
    return _worth_figure(trials, "aug_efficiency", "augmentation efficiency e(p)", "efficiency")


def equivalent(trials: pd.DataFrame) -> Drawing | None:
    """Return the number of images that one image and its transforms are worth (equivalent ratio over p)."""
    return _worth_figure(trials, "data_multiplier", "data multiplier", "equivalent")


def invariance(trials: pd.DataFrame) -> Drawing | None:
    """Return the gain in accuracy over copies against the gain in invariance, a point each ratio and arm."""
    found = _panels(trials)
    if not any(len(gains(panel)) for panel in found.shown):
        return None
    kinds = [name for name in INVARIANCES if any(present(gains(panel), name) for panel in found.shown)]
    marks = [Line2D([], [], marker=MARKERS[name], color="#555555", linestyle="", label=_KINDS[name]) for name in kinds]
    figure, numbers = page_of_panels(
        found,
        draw_gains,
        title=subject(trials, found, _SUBJECT, "means and 95 % intervals over seeds; line: equal gains"),
        across="gain in invariance rate over copies",
        up="gain in test accuracy over copies",
        legend=[*arm_entries(trials[trials[ARM] != COPIES], marker="", linewidth=4), *marks],
    )
    return Drawing(figure, numbers, "invariance")


def invariance_rates(trials: pd.DataFrame) -> Drawing | None:
    """Return the share of answers that a transform does not change against the ratio, a band of seeds each arm."""
    kinds = {name: f"invariance rate, {_KINDS[name]}" for name in INVARIANCES if present(trials, name)}
    if trials[RATIO].nunique() < 2 or not kinds:
        return None
    found = _panels(trials)
    title = subject(trials, found, _SUBJECT, MEANS)
    figure, numbers = page_of_measurements(
        found, kinds, draw_arms, title=title, across=_RATIO, legend=arm_entries(trials)
    )
    return Drawing(figure, numbers, "invariance_rates")


def plane(trials: pd.DataFrame) -> Drawing | None:
    """Return the efficiency of fixed transforms over the ratio and the transform, or the number of rows."""
    fixed = trials[trials[ARM] == "fixed_aug"]
    vertical = next((name for name in (TRANSFORM, SIZE) if fixed[name].nunique() > 1), None)
    if vertical is None:
        return None
    found = panels(trials, trials, inside=(RATIO, ARM, *DRAWN, "exclude_identity", vertical), across=[])
    tables = [_plane_cells(panel, vertical) for panel in found.shown]
    if not any(len(table) for table in tables):
        return None
    figure, grid = axes_grid(
        *found.shape, size=(5.4, 3.8), title=subject(trials, found, _SUBJECT, f"below: {_INTERVALS}")
    )
    shown = zip(titled(found, grid), tables, strict=True)
    meshes = [_draw_plane(axes, cells, vertical) for (_, axes), cells in shown if len(cells)]
    figure.colorbar(meshes[0], ax=grid, label="augmentation efficiency e(p)", aspect=30)
    return Drawing(figure, found.numbered(tables), "plane")


# The first is the study's main figure.
FIGURES = (curves, efficiency, equivalent, invariance, invariance_rates, plane)


def _panels(trials: pd.DataFrame, *measured: str) -> Panels:
    return panels(trials, trials, inside=(RATIO, ARM, *DRAWN, *measured), across=[], several=RATIO)


def _worth_figure(trials: pd.DataFrame, column: str, label: str, name: str) -> Drawing | None:
    found = _panels(trials)
    tables = [_worth_of_arms(panel) for panel in found.shown]
    if not any(len(table) and table[column].notna().any() for table in tables):
        return None
    title = subject(trials, found, _SUBJECT, f"bars: {_INTERVALS}")
    figure, numbers = page_of_panels(
        found,
        lambda axes, panel: _draw_worth(axes, _worth_of_arms(panel), column),
        title=title,
        across=_RATIO,
        up=label,
        legend=arm_entries(trials[trials[ARM].isin(_COMPARED)]),
    )
    return Drawing(figure, numbers, name)


def _worth_of_arms(panel: Panel) -> pd.DataFrame:
    tables = [worth(panel.rows, arm).assign(arm=arm) for arm in _COMPARED]
    return pd.concat([table for table in tables if len(table)] or [pd.DataFrame()], ignore_index=True)


def _draw_worth(axes: Axes, table: pd.DataFrame, column: str) -> pd.DataFrame:
    if not len(table):
        return table
    for number, (arm, own) in enumerate(table.groupby("arm")):
        shown = own.dropna(subset=[column])
        # Side by side, so that the bars of arms do not hide each other.
        places = shown[RATIO] * (1 + 0.02 * number)
        lengths = np.abs(shown[[f"{column}_low", f"{column}_high"]].to_numpy(float).T - shown[column].to_numpy(float))
        colour, marker = ARM_LOOKS[str(arm)]
        axes.errorbar(places, shown[column], lengths, color=colour, marker=marker, markersize=3.5, capsize=2)
    for value in (0, 1) if column == "aug_efficiency" else (1,):
        axes.axhline(value, color="#999999", linewidth=0.8, linestyle=":")
    label_values(axes, "x", table[RATIO])
    return table


def _plane_cells(panel: Panel, vertical: str) -> pd.DataFrame:
    tables = [worth(own, "fixed_aug").assign(**{vertical: value}) for value, own in panel.rows.groupby(vertical)]
    return pd.concat([table for table in tables if len(table)] or [pd.DataFrame()], ignore_index=True)


def _draw_plane(axes: Axes, cells: pd.DataFrame, vertical: str) -> QuadMesh:
    shown = [f"aug_efficiency{end}" for end in ("", "_low", "_high")]
    table, *intervals = (cells.pivot(index=vertical, columns=RATIO, values=column) for column in shown)
    ends = np.stack(intervals, axis=-1)
    mesh = axes.pcolormesh(table.to_numpy(float), cmap=COLOUR_MAP, norm=_EFFICIENCIES, edgecolor="white")
    for (row, column), value in np.ndenumerate(table.to_numpy(float)):
        look: Mapping[str, Any] = {"ha": "center", "color": "black" if _EFFICIENCIES(value) > _DARK else "white"}
        axes.text(column + 0.5, row + 0.5, "–" if np.isnan(value) else f"{value:.2f}", va="bottom", **look)
        if not np.isnan(ends[row, column]).any():
            written = "{:.2f} to {:.2f}".format(*ends[row, column])
            axes.text(column + 0.5, row + 0.42, written, va="top", fontsize=6, **look)
    ratios = table.columns.to_numpy(float)
    axes.set_xticks(np.arange(table.shape[1]) + 0.5, list(shown_numbers(ratios).values()))
    axes.set_yticks(np.arange(table.shape[0]) + 0.5, [str(value) for value in table.index])
    axes.set(xlabel=_RATIO, ylabel={TRANSFORM: "transform", SIZE: "rows N"}[vertical])
    return mesh
