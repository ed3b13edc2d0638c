"""Figures rendered side by side are those rendered here, whatever becomes of the other processes."""

from __future__ import annotations

import os

import pytest
from matplotlib.figure import Figure

from raysweep.service.commands.rendering import rendered, renderer


class Homebound(Figure):
    """A figure that kills any process but its own."""

    def savefig(self, *args: object, **kwargs: object) -> None:
        if os.getpid() != int(os.environ["RAYSWEEP_HOME_OF_A_FIGURE"]):
            os._exit(1)
        super().savefig(*args, **kwargs)


def figure(kind: type[Figure], slope: float) -> Figure:
    drawn = kind(figsize=(2, 2), layout="constrained")
    drawn.subplots().plot([0, 1], [0, slope])
    return drawn


def test_other_processes_render_what_this_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYSWEEP_HOME_OF_A_FIGURE", str(os.getpid()))
    kinds = (Figure, Homebound, Figure)
    here = [rendered(figure(kind, slope), ("png", "pdf")) for slope, kind in enumerate(kinds)]
    with renderer(side_by_side=True) as render:
        there = list(render([figure(kind, slope) for slope, kind in enumerate(kinds)], ("png", "pdf")))
    assert [each.contents[0] for each in there] == [each.contents[0] for each in here]
    assert all(each.contents[0][:4] == b"\x89PNG" and each.contents[1][:4] == b"%PDF" for each in there)
    assert not any(each.reason for each in there)


def test_a_figure_that_fails_says_why_and_others_are_rendered() -> None:
    broken = figure(Figure, 1)
    broken.axes[0].set_title("$\\nothing{$")
    with renderer(side_by_side=True) as render:
        failed, whole = render([broken, figure(Figure, 2)], ("png",))
    assert failed.contents == () and failed.reason.startswith("ValueError: ")
    assert "\n" not in failed.reason
    assert len(whole.contents) == 1
