"""Every figure of every study can be printed, and the checker that says so finds what cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.core.figures import Drawing, looks, ordered_looks, style
from analysis.core.placement import place
from raysweep.service.study import Study
from tests.analysis.figure_faults import faults
from tests.analysis.invented_results import InventedResults, grids
from tests.studies import every_study

studies = pytest.mark.parametrize("study", every_study(), ids=lambda study: study.name)
SHOWN_AT_ONCE = 3


def faults_of(drawings: list[Drawing]) -> list[str]:
    with style():
        for drawing in drawings:
            place(drawing.figure)
        return [f"{drawing.name or 'main'}: {fault}" for drawing in drawings for fault in faults(drawing.figure)]


@studies
def test_the_first_figures_of_the_usual_space_can_be_printed(study: Study) -> None:
    drawings = list(study.draw(InventedResults(study, grids(study, "laptop")["laptop"])))
    assert drawings
    assert not faults_of(drawings[:SHOWN_AT_ONCE])


@pytest.mark.slow
@studies
def test_every_figure_of_every_space_can_be_printed(study: Study) -> None:
    found = {}
    for space, trials in grids(study).items():
        found[space] = faults_of(list(study.draw(InventedResults(study, trials))))
    assert len(found) > 1
    assert not {space: told for space, told in found.items() if told}


def curve(axes: Axes, place: int, **look: Any) -> None:
    axes.plot([0, 1], [0.2, 0.3 + place], **look)


def overlapping_ticks(axes: Axes) -> None:
    axes.set_xticks([0.5, 0.51, 0.52], ["one half", "a bit more", "more still"])


def cut_title(axes: Axes) -> None:
    axes.figure.suptitle("mean and range of seeds " * 4, x=0.01, ha="left")


def long_number(axes: Axes) -> None:
    axes.set_title("rate 0.0215443")


def computers_number(axes: Axes) -> None:
    axes.set_title("rate 1e-05")


def certain_beyond_one(axes: Axes) -> None:
    axes.set_ylabel("test accuracy")
    axes.fill_between([0, 1], [0.9, 0.95], [0.99, 1.02])


def bars_below_zero(axes: Axes) -> None:
    axes.set_ylabel("worst-group accuracy")
    axes.errorbar([0, 1], [0.02, 0.5], [0.05, 0.1])


def told_by_colour_alone(axes: Axes) -> None:
    curve(axes, 0, color="#4477AA", marker="o")
    curve(axes, 1, color="#EE6677", marker="o")


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (overlapping_ticks, "overlaps"),
        (cut_title, "leaves the page"),
        (long_number, "has 6 digits"),
        (computers_number, "as computers do"),
        (certain_beyond_one, "reaches from 0.9 to 1.02"),
        (bars_below_zero, "reaches from -0.03"),
        (told_by_colour_alone, "are both"),
    ],
)
def test_the_checker_finds_what_cannot_be_printed(spoil: Callable[[Axes], None], fault: str) -> None:
    figure = Figure(figsize=(4, 3), dpi=100, layout="constrained")
    axes = figure.subplots()
    assert not faults(figure)
    spoil(axes)
    assert any(fault in told for told in faults(figure)), faults(figure)


@pytest.mark.parametrize("spoil", [overlapping_ticks, cut_title])
def test_placement_mends_what_does_not_fit(spoil: Callable[[Axes], None]) -> None:
    figure = Figure(figsize=(4, 4), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.set_ylabel("distance of the tangent kernel from initialisation, which is long")
    axes.set_title("a title of a panel that is wider than the panel is")
    spoil(axes)
    assert faults(figure)
    place(figure)
    assert not faults(figure)


@pytest.mark.parametrize("scale", ["linear", "log", "symlog"])
@pytest.mark.parametrize("ends", [(0.0123456, 0.0567891), (1.23456, 1.27891), (3.3, 4123.4), (0.98765, 1.0)])
def test_ticks_have_few_digits(scale: str, ends: tuple[float, float]) -> None:
    figure = Figure(figsize=(3, 3), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.plot(ends, ends)
    axes.set_xscale(scale, **({"linthresh": ends[0]} if scale == "symlog" else {}))
    place(figure)
    assert not faults(figure)
    assert sum(bool(label.get_text()) and label.get_visible() for label in axes.get_xticklabels()) > 1


def test_lines_differ_in_more_than_colour() -> None:
    for found in (looks("abcdefghij"), ordered_looks(np.geomspace(1, 100, 12))):
        assert len({look.marker for look in found.values()}) == len(found)
    assert len(set(looks(range(40)).values())) == 40
