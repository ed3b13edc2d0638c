"""Placement: where the parts of a finished figure go on its page."""

from __future__ import annotations

from matplotlib.figure import Figure


def place(figure: Figure) -> None:
    """Place all parts of a figure for good: with an engine, every file would place and draw them once more."""
    if engine := figure.get_layout_engine():
        engine.execute(figure)
        figure.set_layout_engine(None)
