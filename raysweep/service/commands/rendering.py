"""Rendering: figures become files, side by side where this machine has several cores."""

from __future__ import annotations

import contextlib
import io
import os
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 150
_MOST_PROCESSES = 8


@dataclass(frozen=True)
class Rendered:
    """What became of one figure.

    Attributes:
        contents: The content of its file in each format; none where it failed.
        reason: Why it failed, in one line; empty if it did not.
    """

    contents: Sequence[bytes]
    reason: str = ""


Render = Callable[[Sequence["Figure"], Sequence[str]], Iterator[Rendered]]
"""(figures, formats) -> what became of each, in their order."""


@contextlib.contextmanager
def renderer(side_by_side: bool) -> Iterator[Render]:
    """Yield what renders figures, in processes of their own that start at once if they are to be side by side."""
    processes = min(os.cpu_count() or 1, _MOST_PROCESSES)
    if not side_by_side or processes == 1:
        yield lambda figures, formats: (rendered(figure, formats) for figure in figures)
        return
    from loky import ProcessPoolExecutor

    with ProcessPoolExecutor(processes) as pool:
        for _ in range(processes):
            pool.submit(_warm_up)

        def render(figures: Sequence[Figure], formats: Sequence[str]) -> Iterator[Rendered]:
            waiting = list(figures)
            try:
                for outcome in pool.map(rendered, figures, [formats] * len(figures)):
                    waiting.pop(0)
                    yield outcome
            except Exception:  # noqa: BLE001 - whatever keeps other processes from it, this one can do it
                yield from (rendered(figure, formats) for figure in waiting)

        yield render


def rendered(figure: Figure, formats: Sequence[str]) -> Rendered:
    """Place the parts of a figure and return its files' contents, or why there are none."""
    from analysis.core.figures import style
    from analysis.core.placement import place

    try:
        with style():
            place(figure)
            return Rendered([_content(figure, form) for form in formats])
    except Exception as error:  # noqa: BLE001 - the other figures are still to be drawn
        return Rendered((), told(error))


def written(file: Path, content: bytes) -> None:
    """Write a file, which is whole or what was there before."""
    file.parent.mkdir(parents=True, exist_ok=True)
    whole = file.resolve()  # a link stays one
    unfinished = whole.with_name(f".{uuid.uuid4().hex}.unfinished")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(whole)
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def told(error: Exception) -> str:
    """Return an error in one line; one of the drawing's own code with its place."""
    text = " ".join(str(error).split()) or "no reason given"
    if isinstance(error, OSError):
        return text
    at = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {text} ({at.filename}, line {at.lineno})"


def _content(figure: Figure, form: str) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, dpi=_DPI, format=form)
    return content.getvalue()


def _warm_up() -> None:
    from analysis.core import placement  # noqa: F401 - matplotlib takes half a second to import
