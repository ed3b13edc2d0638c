"""`raysweep export`: a table as a file of another format, a search as a study of Optuna."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from rich.console import Console

from analysis.store.results import Results
from analysis.store.storage import located

if TYPE_CHECKING:
    import optuna

    from raysweep.service.study import Study
    from search_spaces.core.search import SearchPlanner

OPTUNA = "optuna"


def add_to(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to a parser's commands."""
    parser = command(commands, "export", _export, "write a table to a file of another format, or a search to Optuna's")
    parser.add_argument("--to", choices=(*_WRITERS, OPTUNA), required=True)
    parser.add_argument("file", metavar="FILE", help="to optuna: a file for SQLite, or the URL of a storage")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="to optuna: those of the search; space=search")
    parser.add_argument("--study", help="may be left out where the store has one study")
    parser.add_argument("--table", choices=("trials", "measurements"), default="trials")


def _export(results: Results, console: Console, options: argparse.Namespace) -> int:
    study = _study(results, options.study)
    if options.to == OPTUNA:
        told, url = _write_optuna(results, study, options.file, options.overrides)
        console.print(f"{told} configurations in {url}; optuna-dashboard {url} shows them", soft_wrap=True)
        return 0
    if options.overrides:
        raise ValueError(f"--to {options.to} takes a file alone, got {' '.join(options.overrides)} as well")
    table = getattr(results.arrow(), options.table)(study)
    _WRITERS[options.to](table, Path(located(options.file)))
    console.print(f"{table.num_rows} rows of {options.table} in {options.file}", soft_wrap=True)
    return 0


def _study(results: Results, name: str | None) -> str:
    studies = results.studies()
    if name is None and len(studies) == 1:
        return studies[0]
    if name is None:
        raise ValueError(f"--study must name one of {', '.join(studies) or 'no studies'}")
    return name


def write_csv(table: pa.Table, file: Any) -> None:
    """Write a table as CSV to a path or an open file."""
    import pyarrow.csv

    pyarrow.csv.write_csv(table, file)


def _write_parquet(table: pa.Table, file: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, file, compression="zstd")


def _write_delta(table: pa.Table, folder: Path) -> None:
    try:
        from deltalake import write_deltalake
    except ImportError:
        raise ValueError("export to delta needs the extra raysweep[delta]") from None
    from deltalake.exceptions import DeltaError

    try:
        write_deltalake(os.fspath(folder), table, mode="error")
    except DeltaError as error:
        raise ValueError(f"{folder} cannot become a Delta table: {error}") from None


def _write_optuna(results: Results, name: str, target: str, overrides: list[str]) -> tuple[int, str]:
    """Write what the store knows of a search to Optuna's storage; return how many configurations, and where to."""
    from raysweep.service.commands.configuration import read_settings
    from raysweep.service.driver.supply import AskedTrials
    from raysweep.service.studies import study_named
    from search_spaces.core.search import SearchPlanner

    rows = results.trials(name).to_dict("records")
    study = study_named(name)
    settings = read_settings(study, overrides or ["space=search"])
    if not isinstance(settings.planner, SearchPlanner):
        raise ValueError(f"space={settings.space} of {name} is not a search; Optuna can show searches")
    if not AskedTrials(study, settings.planner, rows).known:
        raise ValueError(_nothing_matches(study, settings.planner, rows))
    url = target if "://" in target else f"sqlite:///{located(target)}"
    return len(_stored_by_optuna(settings.planner, url, f"{name}-{settings.space}").trials), url


def _nothing_matches(study: Study, planner: SearchPlanner, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return what to say of a search of which nothing is stored: which knobs differ from all that it asks for."""
    asked = [search.trial(search.corner, search.observations.seeds[0]).columns() for search in planner.searches]
    differ = []
    for knob in study.knobs.declared():
        wanted, stored = {trial[knob.name] for trial in asked}, {row[knob.name] for row in rows}
        if knob.name != "seed" and knob.name not in planner.settings.over and not wanted & stored:
            differ.append(f"{'.'.join(knob.path)} is {_few(stored)} in the store and {_few(wanted)} in the search")
    reason = "; ".join(differ[:3]) or "no stored trial has all of its knobs"
    return f"no stored trial of {study.name} is in this search: {reason}; give its overrides as they were when it ran"


def _few(values: Collection[Any]) -> str:
    told = sorted(map(str, values))
    return ", ".join([*told[:3], *(["..."] if len(told) > 3 else [])])


def _stored_by_optuna(planner: SearchPlanner, url: str, name: str) -> optuna.Study:
    """Write a search to Optuna's storage.

    Raises:
        ValueError: The storage cannot be used.
    """
    from optuna.exceptions import OptunaError
    from sqlalchemy.exc import SQLAlchemyError

    from search_spaces.core.optuna_study import as_optuna_study

    try:
        return as_optuna_study(planner, url, name)
    except (SQLAlchemyError, OptunaError, ImportError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise ValueError(f"Optuna cannot write to {url}: {reason}") from None


_WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    "csv": write_csv,
    "parquet": _write_parquet,
    "delta": _write_delta,
}
