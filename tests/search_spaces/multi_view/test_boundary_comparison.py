"""Ways of finding a boundary side by side: what each took, and what it has wrong."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest

from tests.search_spaces.multi_view.boundary_comparison import draw_comparison

NAMES = {"x": "across", "y": "up", "mean": "response"}


def cells(above: list[bool], seeds: list[int]) -> pd.DataFrame:
    """Return six cells whose truth is above the level at x below 3."""
    table = pd.DataFrame(itertools.product([1.0, 2.0, 4.0], [1.0, 10.0]), columns=["x", "y"])
    return table.assign(truth=table["x"] < 3, above=above, mean=0.5, seeds=[float(n) for n in seeds], diverged=0)


def test_titles_count_trials_and_wrong_cells() -> None:
    right = [True] * 4 + [False] * 2
    ways = {"dense": cells(right, [3] * 6), "sought": cells([False, *right[1:]], [1, 0, 2, 1, 0, 0])}
    drawing = draw_comparison(ways, "x", "y", NAMES, "both")
    left, sought = drawing.figure.axes[:2]
    assert left.get_title(loc="left") + left.get_title() == "dense: 18 trials, 0.0% of 6 cells wrong"
    assert sought.get_title(loc="left") + sought.get_title() == "sought: 4 trials, 16.7% of 6 cells wrong"
    assert [len(line.get_xdata()) for axes in (left, sought) for line in axes.lines] == [0, 1]
    assert drawing.numbers.groupby("way")["seeds"].sum().to_dict() == {"dense": 18, "sought": 4}


def test_the_line_runs_between_cells_of_different_truth() -> None:
    (axes, *_) = draw_comparison({"dense": cells([True] * 6, [1] * 6)}, "x", "y", NAMES, "").figure.axes
    sides = axes.collections[-1].get_segments()
    assert len(sides) == 2
    assert [float(x) for side in sides for x, _ in side] == pytest.approx([8**0.5] * 4)
