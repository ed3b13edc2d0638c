"""The command `raysweep`: look into the results store. `submit` alone imports torch, and what asks a cluster Ray."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console

from analysis.store.compaction import Compaction
from analysis.store.errors import StoreError
from analysis.store.results import Results
from analysis.store.storage import default_root
from raysweep.service.commands import job_command
from raysweep.service.commands.process import leave_closed_pipe, open_streams
from raysweep.service.commands.store import export, listing, show
from raysweep.service.commands.store.cells import output, print_table
from raysweep.service.commands.store.damage import of_each_study, warned_in_lines
from raysweep.service.commands.store.export import write_csv

_FOUND, _USAGE, _INTERRUPTED, _PIPE_CLOSED = 1, 2, 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0; 1 where `check` finds something, or `watch` sees trials that failed; 2 for what cannot be done; 130 for what was
    interrupted; 141 where whoever read the output has left. A job that is followed ends with the code of its sweep.
    """
    open_streams()
    options = _parsed(arguments)
    try:
        run: Callable[[Results, Console, argparse.Namespace], int] = options.run
        with warned_in_lines():
            code = run(Results(options.results), output(), options)
        sys.stdout.flush()
    except BrokenPipeError:
        leave_closed_pipe()
        return _PIPE_CLOSED
    except (StoreError, ValueError, OSError) as error:
        print(f"raysweep: {' '.join(str(error).split())}", file=sys.stderr)
        return _USAGE
    except KeyboardInterrupt:
        return _INTERRUPTED
    return code


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; overrides may stand behind them as well."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and (not hasattr(options, "overrides") or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.overrides = [*options.overrides, *rest]
    options.given_results = options.results
    options.results = options.results or default_root()
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="raysweep", description="Look into the results of finished trials.")
    _take_results(parser, default=None)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    listing.add_to(commands, _command)
    query = _command(commands, "query", _query, "answer one SELECT over <study>.trials and <study>.measurements")
    query.add_argument("sql", metavar="SQL")
    query.add_argument("--csv", action="store_true", help="print CSV rather than a table")
    show.add_to(commands, _command)
    export.add_to(commands, _command)
    for name, run, meaning in (
        (
            "compact",
            _compact,
            "move finished trials into the tables that other readers see, and drop runs that reruns superseded",
        ),
        ("check", _check, "read everything and name what is wrong; exit code 1 if anything is"),
    ):
        _command(commands, name, run, meaning).add_argument("study", metavar="STUDY", nargs="*", help="default: all")
    new = _command(commands, "new", _new, "write the files of a new study, which runs, draws and is tested at once")
    new.add_argument("name", metavar="NAME", help="my_study; my_package.my_study outside the repository")
    job_command.add_to(commands, _command)
    remove = _command(commands, "rm", _rm, "remove a sweep and those of its trials that no other sweep planned")
    remove.add_argument("study", metavar="STUDY")
    remove.add_argument("sweep", metavar="SWEEP")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def _command(commands: Any, name: str, run: Callable[..., int], meaning: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=meaning, description=meaning)
    _take_results(parser, default=argparse.SUPPRESS)
    parser.set_defaults(run=run)
    return parser


def _take_results(parser: argparse.ArgumentParser, default: Any) -> None:
    """Let a parser take the store's root: the command's own before its name, a subcommand's behind it."""
    meaning = "folder or s3://bucket/prefix (default: RAYSWEEP_RESULTS, or else results)"
    parser.add_argument("--results", metavar="ROOT", default=default, help=meaning)


def _query(results: Results, console: Console, options: argparse.Namespace) -> int:
    table: pa.Table = results.arrow().sql(options.sql)
    if options.csv:
        write_csv(table, sys.stdout.buffer)
        return 0
    print_table(console, table.schema.names, zip(*(column.to_pylist() for column in table.columns), strict=True))
    return 0


def _compact(results: Results, console: Console, options: argparse.Namespace) -> int:
    def compacted(study: str) -> tuple[Compaction, int]:
        return results.compact(study), results.discard_superseded(study)

    named = ((study, compacted(study)) for study in options.study)
    for study, (done, dropped) in named if options.study else of_each_study(results, compacted):
        older = ", superseded runs dropped" if dropped else ""
        console.print(f"{study}: {done.trials} trials compacted, {done.packs} packs removed{older}")
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
    if not options.yes and not _agreed(f"remove sweep {options.sweep} of {options.study} for good? [y/N] "):
        console.print("nothing removed")
        return 0
    results.remove(options.study, stored)
    results.forget_sweep(options.study, options.sweep)
    return 0


def _new(results: Results, console: Console, options: argparse.Namespace) -> int:
    from raysweep.service.commands.new_command import written

    places = written(options.name, Path.cwd())
    for place in places:
        console.print(f"wrote {place}", soft_wrap=True)
    module = options.name if places[-1].name == "pinned_ids.json" else f"raysweep.{options.name}"
    console.print(f"run it: python -m {module} space=smoke", soft_wrap=True)
    return 0


def _agreed(question: str) -> bool:
    """Return whether the user says yes.

    Raises:
        ValueError: Nobody is there to answer.
    """
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        print(file=sys.stdout)
        raise ValueError("nobody answers on standard input; add --yes to remove it without a question") from None
