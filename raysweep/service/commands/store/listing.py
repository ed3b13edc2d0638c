"""The commands `raysweep ls|status|watch`: how far every sweep is, read from the store."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console

from analysis.core.versions import Versions, mixture_of
from analysis.store.common_columns import OUTCOMES
from analysis.store.results import Results
from analysis.store.sweeps import Sweep
from analysis.store.tables import Run
from raysweep.service.commands.printed.durations import duration
from raysweep.service.commands.store.cells import print_table
from raysweep.service.commands.store.damage import of_each_study

_HEADINGS = ("study", "sweep", "trials", *OUTCOMES, "missing", "last activity", "rate", "left", "space", "command")
_COLUMNS = ("trial_id", "outcome", "started_at", "finished_at", "wall_seconds")
_RECENT = 100  # trials whose starts and ends tell the rate
_PATIENCE = timedelta(hours=1)
"""How long the plan of a job that was submitted is waited for."""
FAILED = 1
_LONGEST_SECONDS = 86_400

Rows = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Progress:
    """How far a study or one of its sweeps is.

    Attributes:
        trials: Trials planned; of a search that runs, those that it may ask for at most.
        counts: Stored trials by outcome.
        last: When the last of them ended.
        rate: Trials a second at the last, None where nothing is under way.
        awaited: Whether trials are still to come that are in no plan: those of a search, or of a job that has not
            planned yet.
    """

    trials: int
    counts: Mapping[str, int]
    last: datetime | None
    rate: float | None
    awaited: bool = False

    @property
    def missing(self) -> int:
        return max(0, self.trials - sum(self.counts.values()))

    @property
    def cells(self) -> tuple[object, ...]:
        """The cells of the table from `trials` to `left`."""
        counts = (self.counts.get(outcome, 0) for outcome in OUTCOMES)
        rate = f"{self.rate:.3g}/s" if self.rate and self.missing else None
        left = duration(self.missing / self.rate) if self.rate and self.missing else None
        return (self.trials, *counts, self.missing, self.last, rate, left)


def add_to(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the commands to a parser's commands."""
    command(commands, "ls", _ls, "list studies and sweeps with the outcomes of their trials, rate and time left")
    command(commands, "status", _ls, "show how far every sweep is, from the store")
    watch = command(
        commands,
        "watch",
        _watch,
        "show it again and again until no trial is missing; exit code 1 if any has failed. Ctrl-C leaves it",
    )
    watch.add_argument("--every", type=_seconds, default=10.0, metavar="SECONDS")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= _LONGEST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text} is no time above 0 and up to {_LONGEST_SECONDS} seconds")
    return value


def _ls(results: Results, console: Console, options: argparse.Namespace) -> int:
    _listed(results, console)
    return 0


def _watch(results: Results, console: Console, options: argparse.Namespace) -> int:
    while True:
        sweeps = _listed(results, console)
        if not sweeps:
            console.print("no sweep is planned yet; waiting for a plan", soft_wrap=True)
        elif not any(sweep.missing or sweep.awaited for sweep in sweeps):
            return FAILED if any(sweep.counts.get("failed") for sweep in sweeps) else 0
        time.sleep(options.every)


def _listed(results: Results, console: Console) -> list[Progress]:
    """Print a line for each study and each of its sweeps, and which mix versions; return how far the sweeps are."""
    rows: list[tuple[object, ...]] = []
    sweeps: list[Progress] = []
    notes: list[str] = []
    for study, (runs, stored, recorded) in of_each_study(results, lambda study: _read(results, study)):
        versions = Versions(results, study)
        planned = set(stored).union(*(sweep.trial_ids for sweep in recorded))
        rows.append((study, f"({len(recorded)})", *_progress(planned, stored).cells))
        for sweep in recorded:
            sweeps.append(_sweep_progress(sweep, stored))
            told = (sweep.document.get("space"), sweep.document.get("command"))
            rows.append((study, sweep.sweep_id, *sweeps[-1].cells, *told))
            mixed = mixture_of((runs[name] for name in sweep.trial_ids if name in runs), versions)
            notes += [f"{study} {sweep.sweep_id} {mixed}"] if mixed else []
    if rows:
        print_table(console, _HEADINGS, rows)
        for note in notes:
            console.print(note, soft_wrap=True)
    else:
        console.print(f"no studies in {results.root}", soft_wrap=True)
    return sweeps


def _read(results: Results, study: str) -> tuple[Mapping[str, Run], Rows, list[Sweep]]:
    """Return the runs of a study, its stored trials but for those that are to be computed anew, and its sweeps."""
    runs, asked = results.runs(study), results.reruns(study).asked()
    table = results.arrow().trials(study).select(list(_COLUMNS)).to_pylist()
    stored = {row["trial_id"]: row for row in table if _rerun(runs, row) >= asked.get(row["trial_id"], 0)}
    return runs, stored, sorted(results.sweeps(study), key=_start)


def _rerun(runs: Mapping[str, Run], row: Mapping[str, Any]) -> int:
    run = runs.get(row["trial_id"])
    return run.rerun if run else 0


def _start(sweep: Sweep) -> str:
    return str(sweep.document.get("started_at", ""))


def _sweep_progress(sweep: Sweep, stored: Rows) -> Progress:
    if not sweep.is_open:
        return _progress(set(sweep.trial_ids), stored)
    # Which trials will be its own is not known: those that began since count.
    began = {identity for identity, row in stored.items() if _began_after(row, _start(sweep))}
    progress = _progress(began, stored)
    waits = "at_most" in sweep.document or datetime.now(UTC) - _moment(_start(sweep)) < _PATIENCE
    return Progress(int(sweep.document.get("at_most", 0)), progress.counts, progress.last, progress.rate, awaited=waits)


def _began_after(row: Mapping[str, Any], start: str) -> bool:
    return row["started_at"] is not None and row["started_at"] >= _moment(start)


def _moment(start: str) -> datetime:
    """Return a time as a record has it, long ago for what is none."""
    try:
        return datetime.fromisoformat(start).astimezone(UTC)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)


def _progress(planned: set[str], stored: Rows) -> Progress:
    present = [stored[identity] for identity in planned if identity in stored]
    ended = sorted((row for row in present if row["finished_at"]), key=lambda row: row["finished_at"])
    counts = Counter(row["outcome"] for row in present)
    return Progress(len(planned), counts, ended[-1]["finished_at"] if ended else None, _rate(ended[-_RECENT:]))


def _rate(recent: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the trials a second that the last trials come to, by their starts and ends; None when all are long over.

    Trials of one pack are stored together, so the time at which they are seen says little.
    """
    times = [(row["started_at"], row["finished_at"]) for row in recent if row["started_at"]]
    if not times:
        return None
    first, last = min(start for start, _ in times), max(end for _, end in times)
    longest = max(end - start for start, end in times)
    if datetime.now(UTC) - last > max(timedelta(minutes=2), 3 * longest):
        return None
    return len(times) / max((last - first).total_seconds(), 1e-3)
