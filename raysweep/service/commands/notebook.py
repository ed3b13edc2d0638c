"""Progress in the output of a notebook's cell."""

from __future__ import annotations

import time
from typing import Any

from rich.progress import Progress

EVERY_SECONDS = 0.25


class NotebookBar:
    """A bar that is redrawn in place, by the notebook's own means: rich's way needs ipywidgets.

    Args:
        bar: What to show.
    """

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._handle: Any = None
        self._shown = 0.0

    def start(self) -> None:
        """Show the bar."""
        from IPython.display import display

        self._handle = display(self._bar, display_id=True)

    def refresh(self) -> None:
        """Show how far it is now, unless it was shown a moment ago."""
        if time.monotonic() - self._shown >= EVERY_SECONDS:
            self._shown = time.monotonic()
            self._handle.update(self._bar)

    def stop(self) -> None:
        """Leave the last state."""
        self._handle.update(self._bar)
