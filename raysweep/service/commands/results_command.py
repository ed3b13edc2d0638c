"""The command `raysweep`: look into the results store. `submit` alone imports torch, and what asks a cluster Ray."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from analysis.store.errors import StoreError
from analysis.store.results import Results
from analysis.store.schema import StudySchema
from analysis.store.sweeps import Sweep
from raysweep.service.commands import export, job_command
from raysweep.service.commands.export import write_csv

_OUTCOMES = ("finished", "diverged", "stopped", "failed")
_FOUND, _USAGE = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 1 where `check` finds something, or 2 for what cannot be done."""
    options = _parser().parse_args(arguments)
    # A pipe has no width: cells there are never cut.
    console = Console(width=None if sys.stdout.isatty() else 10_000, highlight=False, markup=False)
    try:
        run: Callable[[Results, Console, argparse.Namespace], int] = options.run
        return run(Results(options.results), console, options)
    except (StoreError, ValueError, OSError) as error:
        print(f"raysweep: {' '.join(str(error).split())}", file=sys.stderr)
        return _USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="raysweep", description="Look into the results of finished trials.")
    parser.add_argument(
        "--results",
        metavar="ROOT",
        default=os.environ.get("RAYSWEEP_RESULTS", "results"),
        help="folder or s3://bucket/prefix (default: RAYSWEEP_RESULTS, or else results)",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _command(commands, "ls", _ls, "list studies and sweeps with the outcomes of their trials")
    query = _command(commands, "query", _query, "answer one SELECT over <study>.trials and <study>.measurements")
    query.add_argument("sql", metavar="SQL")
    query.add_argument("--csv", action="store_true", help="print CSV rather than a table")
    show = _command(
        commands, "show", _show, "show a trial's knobs, outcome, provenance and the command that repeats it"
    )
    show.add_argument("trial", metavar="TRIAL", help="its id, or the first digits of it")
    export.add_to(commands, _command)
    for name, run, meaning in (
        ("compact", _compact, "move finished trials into the tables that other readers see"),
        ("check", _check, "read everything and name what is wrong; exit code 1 if anything is"),
    ):
        _command(commands, name, run, meaning).add_argument("study", metavar="STUDY", nargs="*", help="default: all")
    job_command.add_to(commands, _command, _ls)
    remove = _command(commands, "rm", _rm, "remove a sweep and those of its trials that no other sweep planned")
    remove.add_argument("study", metavar="STUDY")
    remove.add_argument("sweep", metavar="SWEEP")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def _command(commands: Any, name: str, run: Callable[..., int], meaning: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=meaning, description=meaning)
    parser.set_defaults(run=run)
    return parser


def _ls(results: Results, console: Console, options: argparse.Namespace) -> int:
    rows = [row for study in results.studies() for row in _rows_of(results, study)]
    if not rows:
        console.print(f"no studies in {results.root}")
        return 0
    _print(console, ("study", "sweep", "trials", *_OUTCOMES, "missing", "last activity"), rows)
    return 0


def _rows_of(results: Results, study: str) -> Iterable[tuple[object, ...]]:
    """Yield the line of a study, then one a sweep."""
    trials = results.arrow().trials(study).select(["trial_id", "outcome", "finished_at"]).to_pylist()
    ended = {row["trial_id"]: row for row in trials}
    sweeps = results.sweeps(study)
    planned = set(ended).union(*(sweep.trial_ids for sweep in sweeps))
    yield (study, f"({len(sweeps)})", *_counted(planned, ended))
    for sweep in sorted(sweeps, key=_start):
        yield (study, sweep.sweep_id, *_counted(set(sweep.trial_ids), ended))


def _start(sweep: Sweep) -> str:
    return str(sweep.document.get("started_at", ""))


def _counted(planned: set[str], ended: Mapping[str, Mapping[str, Any]]) -> tuple[object, ...]:
    present = [ended[identity] for identity in planned if identity in ended]
    counts = Counter(row["outcome"] for row in present)
    last = max((row["finished_at"] for row in present if row["finished_at"]), default=None)
    missing = len(planned) - len(present)
    return (len(planned), *(counts[outcome] for outcome in _OUTCOMES), missing, _shown(last))


def _query(results: Results, console: Console, options: argparse.Namespace) -> int:
    table: pa.Table = results.arrow().sql(options.sql)
    if options.csv:
        write_csv(table, sys.stdout.buffer)
        return 0
    _print(console, table.schema.names, zip(*(column.to_pylist() for column in table.columns), strict=True))
    return 0


def _show(results: Results, console: Console, options: argparse.Namespace) -> int:
    study, row = _found(results, options.trial)
    schema = results.schema(study, row["revision"])
    knobs = {column.name: row[column.name] for column in schema.knobs}
    finals = {name: row[name] for name in row if name.startswith("final_")}
    rest = {name: row[name] for name in row if name not in {*knobs, *finals, "error", "knobs_json"}}
    for title, values in (("knobs", knobs), ("measurements", finals), ("trial", rest)):
        console.print(f"{title}")
        for name, value in values.items():
            console.print(f"  {name:<28} {_shown(value)}", soft_wrap=True)
    if row["error"]:
        console.print(f"error\n{row['error'].rstrip()}", soft_wrap=True)
    console.print(f"reproduce\n  {_reproducing(_module(results, study), schema, row)}", soft_wrap=True)
    return 0


def _found(results: Results, start: str) -> tuple[str, dict[str, Any]]:
    """Return the one trial whose id begins with `start`, and its study."""
    named = [(study, identity) for study in results.studies() for identity in results.outcomes(study)]
    matching = [entry for entry in named if entry[1].startswith(start)]
    exact = [entry for entry in matching if entry[1] == start] or matching
    if len(exact) != 1:
        names = ", ".join(identity for _, identity in exact[:5])
        raise ValueError(f"{len(exact) or 'no'} trials begin with {start!r}{': ' if names else ''}{names}")
    study, identity = exact[0]
    rows = results.arrow().trials(study).to_pylist()
    return study, next(row for row in rows if row["trial_id"] == identity)


def _module(results: Results, study: str) -> str:
    """Return the module that runs a study, as its sweeps have recorded it."""
    recorded = (sweep.document.get("module") for sweep in results.sweeps(study))
    return next((module for module in recorded if module), f"raysweep.{study}")


def _reproducing(module: str, schema: StudySchema, row: Mapping[str, Any]) -> str:
    """Return the command that repeats one trial in its own process, with the knobs that are not at their default."""
    stored = json.loads(row["knobs_json"]) if row["knobs_json"] else row
    paths = {column.name: column.path or column.name for column in schema.knobs}
    defaults = {column.name: column.default for column in schema.knobs}
    values = {name: stored.get(name, row[name]) for name in paths}
    given = [f"{paths[name]}={value}" for name, value in values.items() if value != defaults[name]]
    data = [f"data={values['data_name']}"] if "data_name" in values else []
    given = [setting for setting in given if not setting.startswith(f"{paths.get('data_name')}=")]
    return shlex.join(["python", "-m", module, "space=none", *data, *given, "executor=serial"])


def _compact(results: Results, console: Console, options: argparse.Namespace) -> int:
    for study in options.study or results.studies():
        done = results.compact(study)
        console.print(f"{study}: {done.trials} trials compacted, {done.packs} packs removed")
    return 0


def _check(results: Results, console: Console, options: argparse.Namespace) -> int:
    found = [(study, finding) for study in options.study or results.studies() for finding in results.check(study)]
    for study, finding in found:
        console.print(f"{study}: {finding.kind}: {finding.where}: {finding.message}", soft_wrap=True)
    console.print(f"{len(found)} findings in {results.root}" if found else f"{results.root} is sound", soft_wrap=True)
    return _FOUND if found else 0


def _rm(results: Results, console: Console, options: argparse.Namespace) -> int:
    sweeps = {sweep.sweep_id: set(sweep.trial_ids) for sweep in results.sweeps(options.study)}
    if options.sweep not in sweeps:
        raise ValueError(f"{options.study} has no sweep {options.sweep}; it has {', '.join(sweeps) or 'none'}")
    own = sweeps.pop(options.sweep)
    shared = own.intersection(set().union(*sweeps.values()))
    stored = (own - shared) & results.outcomes(options.study).keys()
    console.print(f"{len(stored)} trials go; {len(shared)} stay, since other sweeps planned them too")
    if not options.yes and input(f"remove sweep {options.sweep} of {options.study} for good? [y/N] ").lower() != "y":
        console.print("nothing removed")
        return 0
    results.remove(options.study, stored)
    results.forget_sweep(options.study, options.sweep)
    return 0


def _print(console: Console, names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    table = Table(*names, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(_shown(value) for value in row))
    console.print(table)


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return f"{value:.6g}"
    return "-" if value is None else str(value)
