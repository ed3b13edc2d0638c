"""Placement: where the parts of a finished figure go on its page, so that all of its texts can be read."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from analysis.core.numbers import shown_numbers

_PAGE = 0.98  # of its width
_ROUNDS = 6  # a text of more lines leaves less room for others
_MOST_TICKS, _LEAST_TICKS, _MOST_DIGITS = 7, 3, 3
_SHORT = 300.0  # ratio of a logarithmic axis's ends
_GAP = 2.0  # pixels between the names of ticks


def place(figure: Figure) -> None:
    """Fit a figure and place all of its parts for good: with an engine, every file would place and draw them anew."""
    fit(figure)
    figure.set_layout_engine(None)


def fit(figure: Figure) -> None:
    """Make all texts of a figure readable; one that has been placed stays as it is.

    Titles and names of axes that are longer than what they belong to are wrapped, numbers at ticks have few digits, and
    of names of ticks or of points that would overlap some are left out.
    """
    if not (engine := figure.get_layout_engine()):
        return
    for axis in _axes_of(figure):
        _number(axis)
    for _ in range(_ROUNDS):
        engine.execute(figure)
        if not _wrapped(figure):
            break
    renderer = figure._get_renderer()  # type: ignore[attr-defined]
    for axis in _axes_of(figure):
        _thin_out(_labels(axis), renderer, last_stays=True)
    for axes in figure.axes:
        _thin_out([text for text in axes.texts if text.get_visible()], renderer, last_stays=False)


def _axes_of(figure: Figure) -> Iterator[Axis]:
    for axes in figure.axes:
        if axes.get_visible():
            yield from (axes.xaxis, axes.yaxis)


def _number(axis: Axis) -> None:
    """Give an axis ticks of few digits, unless its figure has chosen them: matplotlib's own may have six.

    A logarithmic one shorter than some decades has them at 1, 2 and 5, or where these are too few at round numbers.
    """
    if isinstance(axis.get_major_locator(), FixedLocator | NullLocator):
        return
    low, high = sorted(axis.get_view_interval())
    if axis.get_scale() == "linear":
        for ticks in range(_MOST_TICKS, 2, -1):
            axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 5, 10]))
            if _digits(_within(axis.get_major_locator().tick_values(low, high), low, high)) <= _MOST_DIGITS:
                break
    elif axis.get_scale() == "log" and high < _SHORT * low:
        _tick(axis, _round_numbers(low, high))
    elif axis.get_scale() == "symlog" and _digits(_within(axis.get_majorticklocs(), low, high)) > _MOST_DIGITS:
        # Its threshold is no round number, and the axis is too short for powers of ten.
        _tick(axis, [*([0.0] if low <= 0 else []), *_round_numbers(max(low, high / _SHORT), high)])


def _tick(axis: Axis, values: Sequence[float]) -> None:
    names = shown_numbers(values)
    axis.set_ticks(list(names), list(names.values()))
    axis.set_ticks([], minor=True)


def _round_numbers(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten between two positive numbers, or other round ones where these are few."""
    found = _within(LogLocator(subs=(1.0, 2.0, 5.0)).tick_values(low, high), low, high)
    if len(found) < _LEAST_TICKS:
        found = _within(MaxNLocator(_LEAST_TICKS + 1, steps=[1, 2, 5, 10]).tick_values(low, high), low, high)
    return found


def _within(values: Iterable[float], low: float, high: float) -> list[float]:
    margin = 1e-9 * (high - low)
    # Locators compute their ticks: 0.30000000000000004 is meant as 0.3.
    return [float(f"{value:.9g}") for value in values if low - margin <= value <= high + margin]


def _digits(values: Iterable[float]) -> int:
    """Return how many digits the longest of numbers has, without the zeros at either end."""
    texts = (f"{abs(value):.9g}".partition("e")[0].replace(".", "").strip("0") for value in values)
    return max(map(len, texts), default=0)


def _wrapped(figure: Figure) -> bool:
    """Wrap what is too long; return whether anything was."""
    found = [_wrap(text, _PAGE * figure.bbox.width) for text in figure.texts]
    found += [_narrow(legend, _PAGE * figure.bbox.width) for legend in figure.legends]
    if figure._suptitle:  # type: ignore[attr-defined]
        found.append(_wrap(figure._suptitle, _PAGE * figure.bbox.width))  # type: ignore[attr-defined]
    for axes in figure.axes:
        if axes.get_visible():
            found += [_wrap(text, length) for text, length in _names(axes)]
    return any(found)


def _narrow(legend: Legend, length: float) -> bool:
    """Give a legend that is wider than the page fewer columns; return whether it was."""
    columns: int = legend._ncols  # type: ignore[attr-defined]
    taken = legend.get_window_extent().width
    if taken <= length or columns == 1:
        return False
    legend.set_ncols(max(1, min(columns - 1, int(columns * length / taken))))
    return True


def _names(axes: Axes) -> Iterator[tuple[Text, float]]:
    """Yield the title and the names of both axes with the length that each has beside it."""
    box = axes.get_window_extent()
    titles = {axes.get_title(place) for place in ("left", "center", "right")}
    yield from (
        (child, box.width) for child in axes.get_children() if isinstance(child, Text) and child.get_text() in titles
    )
    yield axes.xaxis.label, box.width
    yield axes.yaxis.label, box.height


def _wrap(text: Text, length: float) -> bool:
    """Wrap a text that is longer than it may be, in pixels; return whether it was."""
    if not text.get_text().strip():
        return False
    box = text.get_window_extent()
    taken = box.height if text.get_rotation() == 90 else box.width
    lines = text.get_text().split("\n")
    longest = max(map(len, lines))
    width = max(8, int(longest * length / taken))
    if taken <= length or width >= longest:
        return False
    wrapped = "\n".join(textwrap.fill(line, width, break_long_words=False) for line in lines)
    changed = wrapped != text.get_text()
    text.set_text(wrapped)
    return changed


def _thin_out(texts: Iterable[Text], renderer: Any, *, last_stays: bool) -> None:
    """Leave out texts that overlap one before them; if the last one stays, those before it that it overlaps."""
    shown = [(text, text.get_window_extent(renderer)) for text in texts]
    kept: list[tuple[Text, Bbox]] = []
    for label, box in shown:
        if any(_overlap(box, other) for _, other in kept):
            if not last_stays or label is not shown[-1][0]:
                label.set_visible(False)
                continue
            for other in [one for one, place in kept if _overlap(box, place)]:
                other.set_visible(False)
        kept.append((label, box))


def _labels(axis: Axis) -> Iterable[Text]:
    """Return the names of the ticks within the axis, in order."""
    low, high = sorted(axis.get_view_interval())
    margin = 1e-9 * (high - low)
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    axis_ticks = [tick for tick in ticks if low - margin <= tick.get_loc() <= high + margin]
    ordered = sorted(axis_ticks, key=lambda tick: tick.get_loc())
    return [tick.label1 for tick in ordered if tick.label1.get_visible() and tick.label1.get_text().strip()]


def _overlap(one: Bbox, other: Bbox) -> bool:
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return bool(width > -_GAP and height > -_GAP)
