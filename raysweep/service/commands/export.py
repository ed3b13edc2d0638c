"""`raysweep export`: a table as a file of another format, a search as a study of Optuna."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console

from analysis.store.results import Results

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
    _WRITERS[options.to](table, Path(options.file))
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
    write_deltalake(os.fspath(folder), table, mode="error")


def _write_optuna(results: Results, name: str, target: str, overrides: list[str]) -> tuple[int, str]:
    """Write what the store knows of a search to Optuna's storage; return how many configurations, and where to."""
    from raysweep.service.commands.configuration import read_settings
    from raysweep.service.driver.supply import AskedTrials
    from raysweep.service.studies import study_named
    from search_spaces.core.optuna_study import as_optuna_study
    from search_spaces.core.search import SearchPlanner

    rows = results.trials(name).to_dict("records")
    study = study_named(name)
    settings = read_settings(study, overrides or ["space=search"])
    if not isinstance(settings.planner, SearchPlanner):
        raise ValueError(f"space={settings.space} of {name} is not a search; Optuna can show searches")
    AskedTrials(study, settings.planner, rows)
    url = target if "://" in target else f"sqlite:///{target}"
    return len(as_optuna_study(settings.planner, url, f"{name}-{settings.space}").trials), url


_WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    "csv": write_csv,
    "parquet": _write_parquet,
    "delta": _write_delta,
}
