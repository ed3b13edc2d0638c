"""Phase diagrams of the patch model: measured accuracy, the boundary in it, and the lines of equal scores over it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from analysis.core.boundary_lines import crossings, draw_measured_boundary, draw_predicted_boundary, label_values
from analysis.core.diagrams import Labels, draw_diagrams
from analysis.core.figures import Drawing
from analysis.core.panels import Panel, Panels, knob_names
from analysis.core.phase_diagram import MARKED, phase_cells
from analysis.multi_view.feature_scores import Plane, Ratio

FITTED = 0.99  # below this training accuracy a cell may only be undertrained
_COLOUR, _STYLES = "#EE6677", ("-", "--")


def spans(trials: pd.DataFrame, plane: Plane) -> bool:
    """Return whether the trials that have the plane's response differ in both of its knobs."""
    shown = trials[trials[plane.response].notna()]
    return min(shown[plane.horizontal].nunique(), shown[plane.vertical].nunique()) > 1


def draw_plane(panels: Panels, plane: Plane, title: str, names: Mapping[str, str]) -> Drawing:
    """Return a figure with a diagram for each panel; cells that have not fitted their training set get a dot.

    Args:
        panels: The panels, their rows the trials themselves.
        plane: What is shown.
        title: What all panels have in common.
        names: Name and unit of each column.
    """
    across, up = plane.horizontal, plane.vertical
    tables = [_cells(panel, plane) for panel in panels.shown]
    words = {"across": names[across], "up": names[up], "colour": f"mean {names[plane.response]}"}
    labels = Labels(title=title, rows={}, dot=f"training accuracy below {FITTED}", **words)
    figure, grid = draw_diagrams(panels, tables, across, up, labels)
    for panel, cells in zip(panels.shown, tables, strict=True):
        axes, settings = grid[panel.row, panel.column], _settings(panel.trials)
        for ratio, line in zip(plane.ratios, _STYLES, strict=False):
            predicted = partial(_with_settings, ratio, settings)
            look = {"colors": _COLOUR, "linewidths": 2.0, "linestyles": line}
            draw_predicted_boundary(axes, predicted, across, up, **look)
        label_values(axes, "x", cells[across])
        label_values(axes, "y", cells[up])
        draw_measured_boundary(axes, crossings(cells, across, up, plane.level), across, up)
    return Drawing(figure, panels.numbered(tables))


def _cells(panel: Panel, plane: Plane) -> pd.DataFrame:
    cells = phase_cells(panel.rows, panel.trials, plane.horizontal, plane.vertical, plane.response)
    places = [plane.vertical, plane.horizontal]
    fits = panel.rows.groupby(places)["final_train_acc"].mean()
    return cells.assign(**{MARKED: (fits.reindex(pd.MultiIndex.from_frame(cells[places])) < FITTED).to_numpy()})


def _settings(trials: pd.DataFrame) -> dict[str, Any]:
    return {name: trials[name].iloc[0] for name in knob_names(trials)}


def _with_settings(ratio: Ratio, settings: Mapping[str, Any], places: pd.DataFrame) -> Any:
    """Return a ratio at places of a plane, with the other knobs as they are."""
    others = {name: value for name, value in settings.items() if name not in places}
    return ratio(places.assign(**others))
