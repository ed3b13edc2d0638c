"""The phase diagram: which cells are coloured, diverged, missing or dotted, and where they lie."""

import matplotlib.colors as colors
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.core.phase_diagram import (
    cell_edges,
    common_range,
    draw_phase_diagram,
    legend_entries,
    mark_cells,
    phase_cells,
)

OUTCOMES = pd.DataFrame(
    {"trial_id": ["a", "b", "c", "d"], "outcome": ["finished", "diverged", "finished", "stopped"], "k": [1, 1, 10, 100]}
)
ROWS = pd.DataFrame(
    {
        "trial_id": ["a", "a", "a", "b", "c", "c", "c", "d"],
        "step": [1, 10, 100, 1, 1, 10, 100, 1],
        "k": [1, 1, 1, 1, 10, 10, 10, 100],
        "acc": [0.1, 0.2, 0.3, 0.3, 0.5, 0.6, np.nan, 0.7],
    }
)


def cells() -> pd.DataFrame:
    return phase_cells(ROWS, OUTCOMES, "step", "k", "acc")


def test_cells_average_the_seeds_and_count_the_diverged() -> None:
    table = cells().set_index(["k", "step"])
    assert table.loc[(1, 1), ["mean", "smallest", "largest", "seeds", "diverged"]].tolist() == [0.2, 0.1, 0.3, 2, 0]
    assert table.loc[(1, 10), ["mean", "seeds", "diverged"]].tolist() == [0.2, 1, 1]
    assert table.loc[(10, 10), "seeds"] == 1
    assert table.loc[(100, 10), ["seeds", "diverged"]].tolist() == [0, 0]


def test_columns_may_be_given() -> None:
    table = phase_cells(ROWS, OUTCOMES, "step", "k", "acc", columns=[1, 1000])
    assert sorted(table["step"].unique()) == [1, 1000]
    assert table.loc[(table["k"] == 1) & (table["step"] == 1000), "diverged"].tolist() == [1]


def test_edges_lie_half_way_in_the_logarithm() -> None:
    np.testing.assert_allclose(cell_edges([1, 100, 1000]), [0.1, 10, 10**2.5, 10**3.5])


@pytest.mark.parametrize("aligned", [True, False])
def test_every_cell_is_drawn_once(aligned: bool) -> None:
    table, axes = cells(), Figure().subplots()
    mesh = draw_phase_diagram(
        axes, table, "step", "k", shown=colors.Normalize(0, 1), labels={100: "∞"}, aligned=aligned
    )
    coloured, diverged, missing = (len(collection.get_paths()) for collection in axes.collections)
    # Where as many seeds diverged as are left the cell is hatched, and the measurement that is null is missing.
    assert (coloured, diverged, missing) == (4, 2, 3)
    assert mesh.get_array().tolist() == table.loc[table["seeds"] > table["diverged"], "mean"].tolist()


def test_cells_hold_their_centres_and_do_not_overlap() -> None:
    axes, table = Figure().subplots(), cells()
    draw_phase_diagram(axes, table, "step", "k", shown=colors.Normalize(0, 1), labels={})
    boxes = [path.get_extents() for collection in axes.collections for path in collection.get_paths()]
    for place in table[["step", "k"]].to_numpy():
        assert sum(box.contains(*place) for box in boxes) == 1


def test_dots_spare_cells_without_a_colour() -> None:
    axes, table = Figure().subplots(), cells()
    mark_cells(axes, table, "step", "k")
    assert len(axes.lines[0].get_xdata()) == 4


def test_a_mean_over_the_seeds_that_are_left_is_marked() -> None:
    axes, table = Figure().subplots(), cells()
    table.loc[(table["k"] == 10) & (table["step"] == 1), ["seeds", "diverged"]] = [2, 1]
    draw_phase_diagram(axes, table, "step", "k", shown=colors.Normalize(0, 1), labels={})
    assert axes.lines[0].get_xydata().tolist() == [[1, 10]]
    assert "diverged (some seeds; mean of the others)" in [entry.get_label() for entry in legend_entries(table)]
    assert len(legend_entries(cells())) == 2


def test_the_legend_names_what_there_is() -> None:
    table = cells()
    assert len(legend_entries(table)) == 2
    assert [entry.get_label() for entry in legend_entries(table, missing="not reached", dot="dot")][1:] == [
        "not reached",
        "dot",
    ]
    assert legend_entries(table[table["step"] == 1]) == []


def test_one_range_holds_all_tables_and_none_may_be_empty() -> None:
    table = cells()
    shown = common_range([table, table.assign(mean=2.0)])
    assert (shown.vmin, shown.vmax) == (0.2, 2.0)
    assert common_range([table.assign(mean=np.nan)]).vmax == 1
