"""Curves over seeds: bands are the intervals of means, and points of too few seeds are told apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.core.curves import draw_interval_band
from analysis.core.figures import Look
from analysis.core.seed_means import seed_means

STUDENT_3, STUDENT_4 = 4.302653, 3.182446
"""Student's factors of 95 % for three and for four seeds."""


def _drawn(*seeds: Sequence[float]) -> Axes:
    """Return axes with the band of places 0, 1, ... that have these values."""
    rows = pd.DataFrame([{"place": place, "value": value} for place, of in enumerate(seeds) for value in of])
    axes = Figure().subplots()
    draw_interval_band(axes, seed_means(rows, ["place"], "value"), "place", look=Look("black", "o"))
    return axes


def _band(axes: Axes) -> dict[float, tuple[float, float]]:
    """Return lower and upper end of the band by place."""
    (band,) = axes.collections
    vertices = np.concatenate([path.vertices for path in band.get_paths()] or [np.empty((0, 2))])
    return {
        place: (vertices[vertices[:, 0] == place, 1].min(), vertices[vertices[:, 0] == place, 1].max())
        for place in np.unique(vertices[:, 0])
    }


def test_a_band_is_students_interval_of_the_mean() -> None:
    """Deviation 0.1 of three seeds, and the root of 0.04 / 3 of four."""
    band = _band(_drawn([0.4, 0.5, 0.6], [0.6, 0.6, 0.8, 0.8]))
    half = STUDENT_3 * 0.1 / 3**0.5, STUDENT_4 * (0.04 / 3) ** 0.5 / 2
    assert band[0] == pytest.approx((0.5 - half[0], 0.5 + half[0]), abs=1e-6)
    assert band[1] == pytest.approx((0.7 - half[1], 0.7 + half[1]), abs=1e-6)


def test_two_seeds_have_no_band_and_a_hollow_point() -> None:
    axes = _drawn([0.4, 0.5, 0.6], [0.6, 0.7, 0.8], [0.1, 0.9])
    assert set(_band(axes)) == {0, 1}
    line, hollow = axes.lines
    assert line.get_ydata() == pytest.approx([0.5, 0.7, 0.5])
    assert list(hollow.get_xdata()) == [2]
    assert hollow.get_markerfacecolor() == "white"


def test_points_of_as_many_seeds_are_whole() -> None:
    _, hollow = _drawn([0.4, 0.5], [0.6, 0.7]).lines
    assert not len(hollow.get_xdata())
