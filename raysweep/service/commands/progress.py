"""Progress: a live line on a terminal or in a notebook, plain lines now and then in a job's log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from raysweep.service.commands.notebook import NotebookBar
from raysweep.service.commands.printed.durations import duration, span
from raysweep.service.driver.forecast import Forecast
from raysweep.service.messages import TrialReport

EVERY_SECONDS = 10.0
EVERY_SHARE = 0.05
_TOO_WIDE = 3.0
"""A range of more than 16 from end to end tells nothing."""


class ProgressDisplay:
    """Shows how far a sweep is.

    On a terminal and in a notebook one line is redrawn in place. Elsewhere a line is printed every `EVERY_SECONDS`,
    and sooner after `EVERY_SHARE` of the trials, though never twice within a second.

    Args:
        total: Trials to run.
        console: Where to print.
        forecast: What is known of the times of the trials to come, None where they are not known themselves.
    """

    def __init__(self, total: int, console: Console, forecast: Forecast | None = None) -> None:
        self._total = total
        self._forecast = forecast
        self._spent_seconds = 0.0
        self._console = console
        self._outcomes: Counter[str] = Counter()
        self._running = 0
        self._printed = time.monotonic()
        self._began: float | None = None
        self._printed_done = 0
        # Narrow, so that the time left is still to be read on 80 columns.
        self._bar = Progress(MofNCompleteColumn(), BarColumn(bar_width=12), TextColumn("{task.fields[rest]}"))
        self._task = self._bar.add_task("trials", total=total, rest="starting")
        self._live = _live(self._bar, console)

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    @property
    def outcomes(self) -> Counter[str]:
        """Number of trials of this run by outcome."""
        return self._outcomes

    def update(self, reports: Sequence[TrialReport], running: int) -> None:
        """Take in the reports of trials that are now durable."""
        self._outcomes.update(report.outcome for report in reports)
        self._spent_seconds += sum(report.wall_seconds for report in reports)
        if self._forecast:
            self._forecast.tell(reports)
        self._running = running
        if self._began is None and (running or reports):
            self._began = time.monotonic()
        if self._live:
            self._bar.update(self._task, completed=self._done, rest=self._rest())
            if isinstance(self._live, NotebookBar):
                self._live.refresh()
        elif self._due():
            self._printed, self._printed_done = time.monotonic(), self._done
            self._console.print(f"{self._done}/{self._total} trials, {self._rest()}", highlight=False, soft_wrap=True)

    @property
    def _done(self) -> int:
        return self._outcomes.total()

    def _due(self) -> bool:
        waited = time.monotonic() - self._printed
        share = (self._done - self._printed_done) / self._total
        last = self._done == self._total and share > 0
        return last or waited >= EVERY_SECONDS or (waited >= 1.0 and share >= EVERY_SHARE)

    def _rest(self) -> str:
        counts = f"{self._running} running, {self._outcomes['failed']} failed, {self._outcomes['diverged']} diverged"
        if self._began is None:
            return f"{counts}, starting"
        elapsed = max(time.monotonic() - self._began, 1e-9)
        return f"{counts}, {self._done / elapsed:.2f} trials/s, {self._left(elapsed)}"

    def _left(self, elapsed: float) -> str:
        """Return what is known of the time left: of the trials to come by what they are, else by their number."""
        to_come = self._total - self._done
        if self._forecast and to_come and (expected := self._forecast.left(to_come)):
            if expected.spread > _TOO_WIDE:
                return "time left not known yet"
            # What processes have done so far beside each other, overhead included; before that, how many there are.
            beside = self._spent_seconds / elapsed if self._done > self._running else max(self._running, 1)
            return f"{span(expected.low / beside, expected.high / beside)} left"
        if not self._done:
            return "time left not known yet"
        return f"{duration(to_come * elapsed / self._done)} left"


def _live(bar: Progress, console: Console) -> Live | NotebookBar | None:
    """Return what redraws the bar in place, None where nothing can."""
    if console.is_jupyter:
        return NotebookBar(bar)
    return Live(bar, console=console, transient=True) if console.is_terminal else None
