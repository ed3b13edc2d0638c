"""The command `python -m raysweep.<study>`: from overrides to the figure."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from analysis.core.errors import StoreError
from analysis.core.results import Results
from raysweep.service import explanation, provenance, summary
from raysweep.service.configuration import Settings, read_settings
from raysweep.service.errors import UsageError
from raysweep.service.messages import PlannedTrial, TrialReport, Work, work_of
from raysweep.service.plan import Plan, planned, resumed
from raysweep.service.progress import ProgressDisplay
from raysweep.service.serial import Executor, SerialExecutor
from raysweep.service.study import Study
from raysweep.service.supply import AskedTrials, ListedTrials, Supply
from raysweep.service.upkeep import Upkeep
from search_spaces.core.planner import GridPlanner
from trials.core.data.arrays import Arrays, load_arrays
from trials.core.data.examples import DataKnobs, refuse_misfit
from trials.core.knobs import fingerprint

USAGE, FAILED, INTERRUPTED = 2, 1, 130


def main(study: Study, arguments: Sequence[str] | None = None) -> int:
    """Run a study from the command line and return the exit code.

    0: every trial asked for is in the store; 1: some failed; 2: what was asked for is not allowed; 130: interrupted.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        with _terminated_as_interrupt():
            return _run(study, _parsed(study, arguments), console)
    except (UsageError, StoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("interrupted: finished trials are in the store, the same command goes on from there", file=sys.stderr)
        return INTERRUPTED


def _parsed(study: Study, arguments: Sequence[str]) -> Settings:
    parser = argparse.ArgumentParser(prog=f"python -m raysweep.{study.name}", add_help=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("overrides", nargs="*")
    parser.error = _usage_error  # type: ignore[method-assign]
    options = parser.parse_intermixed_args(arguments)
    if options.help:
        print(explanation.of(study))
        raise SystemExit(0)
    return read_settings(study, [*options.overrides, *(["plan=true"] if options.dry_run else [])])


def _usage_error(message: str) -> NoReturn:
    raise UsageError(f"{message}; allowed are --help, --dry-run and overrides such as seed=1")


def _run(study: Study, settings: Settings, console: Console) -> int:
    results = _opened(settings)
    results.prepare(study.schema)
    trials = (_gridded if isinstance(settings.planner, GridPlanner) else _searched)(study, settings, results, console)
    if settings.plan_only:
        return 0
    sweep = results.only([trial.trial_id for trial in trials])
    outcomes = sweep.outcomes(study.name)
    console.print(summary.outcome_table(study, sweep))
    if set(outcomes.values()) & {"finished", "diverged"}:
        for path in _drawn(study, settings, sweep):
            console.print(f"figure: {path}", soft_wrap=True, markup=False, highlight=False)
    console.print(summary.reading_lines(study, settings), soft_wrap=True, markup=False, highlight=False)
    return 0 if len(outcomes) == len(trials) and "failed" not in outcomes.values() else FAILED


def _gridded(study: Study, settings: Settings, results: Results, console: Console) -> Sequence[PlannedTrial]:
    """Run what is missing of a grid; return all its trials."""
    assert isinstance(settings.planner, GridPlanner)
    try:
        plan = planned(study, settings.planner.grid, results.outcomes(study.name))
    except ValueError as error:
        raise UsageError(str(error)) from None
    console.print(summary.plan_line(study, settings, plan, results), soft_wrap=True, highlight=False)
    if settings.plan_only:
        console.print(summary.plan_table(study, plan))
    elif plan.missing:
        arrays = _arrays(settings, plan.missing)
        origin = provenance.captured(arrays)
        _record(study, settings, plan.trials, results, origin)
        trials = _resumed(study, plan, results)
        console.print(summary.resumption_line(trials), end="", soft_wrap=True, highlight=False)
        work = work_of(study, settings.results, arrays, origin, settings.resources)
        failed = _executed(settings, work, ListedTrials(trials), results, console)
        summary.print_failures(study, trials, failed, console)
    return plan.trials


def _searched(study: Study, settings: Settings, results: Results, console: Console) -> Sequence[PlannedTrial]:
    """Run a planner that learns, from what the store has on; return the trials of its space."""
    stored = results.trials(study.name).to_dict("records") if results.outcomes(study.name) else []
    supply = AskedTrials(study, settings.planner, stored)
    console.print(summary.search_line(study, settings, supply), soft_wrap=True, highlight=False)
    if not settings.plan_only and supply.remaining:
        arrays = _arrays(settings, supply.known)
        origin = provenance.captured(arrays)
        work = replace(work_of(study, settings.results, arrays, origin, settings.resources), learning=True)
        try:
            failed = _executed(settings, work, supply, results, console)
        finally:
            _record(study, settings, supply.known, results, origin)
        summary.print_failures(study, supply.known, failed, console)
    return supply.known


def _opened(settings: Settings) -> Results:
    try:
        return Results(settings.results)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _resumed(study: Study, plan: Plan, results: Results) -> list[PlannedTrial]:
    """Return the missing trials, with the checkpoints that they may go on from."""
    known = study.extendable and results.finished(study.name)
    values = results.trials(study.name)[study.extendable].unique().tolist() if known else []
    return resumed(study, plan, results.checkpoints(study.name).ids(), values)


def _arrays(settings: Settings, trials: Iterable[PlannedTrial]) -> dict[str, Arrays]:
    """Return the raw arrays of every data set, loaded once, before any actor starts, and found to suit the trials."""
    wanted = {knobs for trial in trials for knobs in vars(trial.knobs).values() if isinstance(knobs, DataKnobs)}
    try:
        arrays = {name: load_arrays(name, settings.data_path) for name in settings.data_sets}
        for knobs in wanted:
            refuse_misfit(arrays[knobs.name], knobs)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return arrays


def _record(
    study: Study,
    settings: Settings,
    trials: Iterable[PlannedTrial],
    results: Results,
    origin: provenance.Provenance,
) -> None:
    """Leave in the store which trials this sweep asks for, so that others can see what is still missing."""
    ids = [trial.trial_id for trial in trials]
    document = {
        "space": settings.space,
        "command": shlex.join(["python", "-m", f"raysweep.{study.name}", *sys.argv[1:]]),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": origin.git_commit,
        "source_hash": origin.source_hash,
    }
    results.record_sweep(study.name, fingerprint(sorted(ids)), document, ids)


def _executed(settings: Settings, work: Work, supply: Supply, results: Results, console: Console) -> list[TrialReport]:
    """Run the trials and return the reports of those that failed."""
    failed: list[TrialReport] = []
    with Upkeep(results, work.schema.study), ProgressDisplay(supply.remaining, console) as display:

        def listen(reports: Sequence[TrialReport], running: int) -> None:
            failed.extend(report for report in reports if report.outcome == "failed")
            display.update(reports, running)

        _executor(settings).run(work, supply, listen)
    return failed


def _executor(settings: Settings) -> Executor:
    if settings.executor == "serial":
        return SerialExecutor()
    from raysweep.service.tune import TuneExecutor  # Ray takes seconds to import: not for --help, a plan or a figure

    return TuneExecutor(settings.address)


def _drawn(study: Study, settings: Settings, sweep: Results) -> list[Path]:
    """Draw the study's figures and return the files."""
    import matplotlib

    matplotlib.use("Agg")
    target = Path(settings.figure) if settings.figure else _figure_folder(study, settings) / f"{settings.space}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    paths = []
    for drawing in study.draw(sweep):
        stem = target.with_suffix("") if not drawing.name else target.with_name(f"{target.stem}_{drawing.name}")
        for suffix in dict.fromkeys((target.suffix or ".png", ".svg")):
            path = stem.with_name(stem.name + suffix)
            drawing.figure.savefig(path, dpi=150)
            paths.append(path)
    return paths


def _figure_folder(study: Study, settings: Settings) -> Path:
    """Return a folder beside the tables, or in the working directory where the tables are in a bucket."""
    if "://" in settings.results:
        return Path("figures") / study.name
    return Path(settings.results) / study.name / "figures"


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
