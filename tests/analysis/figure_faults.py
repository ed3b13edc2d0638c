"""What a paper would not print: a checker of drawn figures that looks at texts, numbers, intervals and lines."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from typing import Any
from unittest import mock

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import Collection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox

MOST_DIGITS = 3
_TOUCHING = 1.0  # pixels that boxes may share, or reach over the page: glyphs do not fill theirs
_NUMBER = re.compile(r"(?<![\w.])\d*\.?\d+(?:e[+-]?\d+)?(?![\w.]*\d)")
_NO_SHARE = ("gain", "efficiency", "over", "at an", "loss")
_NO_MARKER = ("None", "none", "", " ", None)


def faults(figure: Figure) -> list[str]:
    """Return a sentence for each fault of a placed figure."""
    texts = _drawn_texts(figure)
    found = [*_overlaps(texts), *_beyond_the_page(figure, texts), *_digits(texts)]
    for axes in figure.axes:
        if axes.get_visible():
            found += [*_intervals(axes), *_lines(axes)]
    return found


def _drawn_texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """Return the texts that a drawing of the figure shows, with their boxes in pixels."""
    drawn: list[Text] = []
    draw = Text.draw

    def noting(text: Text, renderer: Any, *rest: Any, **more: Any) -> None:
        drawn.append(text)
        draw(text, renderer, *rest, **more)

    canvas = FigureCanvasAgg(figure)
    with mock.patch.object(Text, "draw", noting):
        canvas.draw()
    shown = {id(text): text for text in drawn if text.get_visible() and text.get_text().strip()}
    renderer = canvas.get_renderer()
    return [(text.get_text(), Text.get_window_extent(text, renderer)) for text in shown.values()]


def _overlaps(texts: list[tuple[str, Bbox]]) -> Iterator[str]:
    for (one, first), (other, second) in itertools.combinations(texts, 2):
        width = min(first.x1, second.x1) - max(first.x0, second.x0)
        height = min(first.y1, second.y1) - max(first.y0, second.y0)
        if min(width, height) > _TOUCHING:
            yield f"{one!r} overlaps {other!r}"


def _beyond_the_page(figure: Figure, texts: list[tuple[str, Bbox]]) -> Iterator[str]:
    page = figure.bbox
    for text, box in texts:
        beyond = max(page.x0 - box.x0, box.x1 - page.x1, page.y0 - box.y0, box.y1 - page.y1)
        if beyond > _TOUCHING:
            yield f"{text!r} leaves the page by {beyond:.0f} pixels"


def _digits(texts: list[tuple[str, Bbox]]) -> Iterator[str]:
    ticks = [float(text.replace("−", "-")) for text, _ in texts if re.fullmatch(r"−?[\d.]+", text)]
    for text, _ in texts:
        for number in _NUMBER.findall(text):
            mantissa = number.partition("e")[0]
            digits = mantissa.replace(".", "").lstrip("0")
            worth = digits.rstrip("0")  # zeros at the end align the ticks of an axis
            if "." in number and len(worth) > MOST_DIGITS and not _is_told_apart(float(number), ticks):
                yield f"{number} in {text!r} has {len(worth)} digits"
            if "e+" in number or "e-0" in number:
                yield f"{number} in {text!r} is written as computers do"


def _is_told_apart(number: float, others: list[float]) -> bool:
    """Return whether fewer digits would make a tick the same as its neighbour on a narrow axis."""
    apart = 2 * 10 ** (math.floor(math.log10(abs(number) or 1)) + 1 - MOST_DIGITS)
    return any(0 < abs(number - other) < apart for other in others)


def _intervals(axes: Axes) -> Iterator[str]:
    """Yield bands and bars that leave [0, 1] along an axis of accuracies."""
    for place, label in enumerate((axes.get_xlabel(), axes.get_ylabel())):
        if "accuracy" not in label or any(word in label for word in _NO_SHARE):
            continue
        for collection in axes.collections:
            ends = np.concatenate([np.empty(0), *(values[:, place] for values in _outlines(axes, collection))])
            if len(ends) and (np.nanmin(ends) < -1e-9 or np.nanmax(ends) > 1 + 1e-9):
                yield f"an interval of {label!r} reaches from {np.nanmin(ends):.3g} to {np.nanmax(ends):.3g}"


def _outlines(axes: Axes, collection: Collection) -> list[np.ndarray]:
    if not collection.get_transform().contains_branch(axes.transData):
        return []
    return [path.vertices for path in collection.get_paths() if len(path.vertices)]


def _lines(axes: Axes) -> Iterator[str]:
    """Yield pairs of lines that colour alone tells apart."""
    looks: dict[str, set[tuple[str, str]]] = {}
    for line in axes.lines:
        if _is_curve(line):
            shape = (line.get_linestyle(), "none" if line.get_marker() in _NO_MARKER else str(line.get_marker()))
            looks.setdefault(to_hex(line.get_color()), set()).add(shape)
    for (one, first), (other, second) in itertools.combinations(looks.items(), 2):
        if alike := first & second:
            yield f"lines of {one} and {other} are both {', '.join(map(str, sorted(alike)))} in {axes.get_ylabel()!r}"


def _is_curve(line: Line2D) -> bool:
    return bool(line.get_visible() and len(line.get_xdata()) > 1 and line.get_linestyle() not in _NO_MARKER)
