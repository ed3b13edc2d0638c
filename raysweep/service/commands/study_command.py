"""The command `python -m raysweep.<study>`: from overrides to the figure."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import NoReturn

from rich.console import Console

from analysis.core.versions import mixture
from analysis.store.errors import StoreError
from analysis.store.results import Results
from raysweep.service.commands import drawing, explanation, lost_cluster, summary, sweep
from raysweep.service.commands.configuration import Settings, read_settings
from raysweep.service.commands.printed.reading_lines import reading_lines
from raysweep.service.commands.process import open_streams, spare_last_collection
from raysweep.service.commands.redrawing import drawn_if_changed
from raysweep.service.commands.store.damage import warned_in_lines
from raysweep.service.errors import ClusterLost, UsageError
from raysweep.service.studies import importable
from raysweep.service.study import Study

_FLAGS = {"--dry-run": "plan=true", "--rerun": "rerun=true", "--reuse": "reuse=always"}
FAILED, USAGE, SPENT, INTERRUPTED = 1, 2, 3, 130


def main(study: Study, arguments: Sequence[str] | None = None) -> int:
    """Run a study from the command line and return the exit code.

    0: every trial asked for is in the store; 1: some failed; 2: what was asked for is not allowed; 3: the
    budget is spent; 4: the cluster was lost; 130: interrupted.
    """
    own_process = arguments is None
    if arguments is None:
        atexit.register(spare_last_collection)
        # Files need no window, and what a notebook left there may not be installed.
        os.environ["MPLBACKEND"] = "agg"
        arguments = sys.argv[1:]
    open_streams()
    console = output()
    try:
        with _terminated_as_interrupt(), warned_in_lines():
            study = importable(study)
            return _run(study, _parsed(study, arguments), console, own_process)
    except (UsageError, StoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("interrupted: finished trials are in the store, the same command goes on from there", file=sys.stderr)
        return INTERRUPTED


def _parsed(study: Study, arguments: Sequence[str]) -> Settings:
    parser = _Parser(prog=" ".join(study.command), add_help=False)
    parser.add_argument("-h", "--help", action="store_true")
    for flag in _FLAGS:
        parser.add_argument(flag, dest=flag, action="store_true")
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_intermixed_args(arguments)
    if options.help:
        print(explanation.of(study))
        raise SystemExit(0)
    given = [override for flag, override in _FLAGS.items() if getattr(options, flag)]
    return read_settings(study, [*options.overrides, *given])


class _Parser(argparse.ArgumentParser):
    """A parser whose refusals are one line, like those of every other setting."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; allowed are --help, {', '.join(_FLAGS)} and overrides such as seed=1")


def _run(study: Study, settings: Settings, console: Console, own_process: bool) -> int:
    results = opened(study, settings)
    drawing.figure_target(study, settings)
    try:
        ran = sweep.run(study, settings, results, console)
    except ClusterLost as error:
        if own_process:
            lost_cluster.leave(study, settings, error)
        print(f"error: {lost_cluster.farewell(study, settings, error)}", file=sys.stderr)
        return lost_cluster.LOST
    if settings.plan_only:
        return 0
    if ran.interrupted:
        raise KeyboardInterrupt
    chosen = results.only([trial.trial_id for trial in ran.trials])
    outcomes = chosen.outcomes(study.name)
    summary.print_outcome(study, settings, chosen, console)
    if mixed := mixture(chosen, study.name):
        console.print(f"this table {mixed}", soft_wrap=True, highlight=False)
    target = drawing.figure_target(study, settings, ran.sweep_id)
    for line in drawn_if_changed(study, settings, chosen, target):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    console.print(reading_lines(results, study.name), soft_wrap=True, markup=False, highlight=False)
    if ran.spent:
        console.print(f"{ran.spent} is spent; the same command goes on", soft_wrap=True, highlight=False)
        return SPENT
    is_whole = len(outcomes) == len(ran.trials) and "failed" not in outcomes.values()
    return 0 if is_whole and not ran.failed else FAILED


def output() -> Console:
    """Return the console of a run: a terminal, a notebook, or the lines of a log."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()  # a program with a window may have none
    return Console(width=None if is_terminal else 120)


def opened(study: Study, settings: Settings) -> Results:
    """Return the results that a run reads and, where something is to run, writes.

    Raises:
        UsageError: The root is none.
    """
    try:
        return Results(settings.results, expected=study.schema)
    except ValueError as error:
        raise UsageError(str(error)) from None


@contextlib.contextmanager
def _terminated_as_interrupt() -> Iterator[None]:
    """Let SIGTERM, which ends a submitted job, unwind like Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
