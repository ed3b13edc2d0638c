"""The command `raysweep show`: everything that is known of one trial."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
from rich.console import Console

from analysis.store.results import Results
from raysweep.service.commands.store.cells import shown
from raysweep.service.commands.store.damage import of_each_study

_BARS = "▁▂▃▄▅▆▇█"
_GAP = "·"
_WIDEST = 48
_FINAL = "final_"


def add_to(commands: Any, command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to a parser's commands."""
    meaning = "show a trial's knobs, outcome, final values, curves, provenance and the command that repeats it"
    command(commands, "show", _show, meaning).add_argument(
        "trial", metavar="TRIAL", help="its id, or the first digits of it"
    )


def _show(results: Results, console: Console, options: argparse.Namespace) -> int:
    study, row = _found(results, options.trial)
    schema = results.schema(study, row["revision"])
    knobs = {column.name: row[column.name] for column in schema.knobs}
    curves = _curves(results, study, row["trial_id"])
    finals = {name: _with_curve(row[name], curves.get(name.removeprefix(_FINAL))) for name in row if _is_final(name)}
    rest = {name: row[name] for name in row if name not in {*knobs, *finals, "error", "knobs_json"}}
    parts = {"knobs": knobs, "measurements: the last value, and the curve over the rows": finals, "trial": rest}
    for title, values in parts.items():
        console.print(title)
        for name, value in values.items():
            console.print(f"  {name:<28} {shown(value)}", soft_wrap=True)
    if row["error"]:
        console.print(f"error\n{row['error'].rstrip()}", soft_wrap=True)
    from raysweep.service.commands.printed.reproduction import (
        repeating_stored,  # and with it Hydra, which writes overrides
    )

    command = repeating_stored(schema, row, results.sweeps(study), results.root)
    console.print(f"reproduce\n  {command}", soft_wrap=True)
    return 0


def _is_final(name: str) -> bool:
    return name.startswith(_FINAL)


def _found(results: Results, start: str) -> tuple[str, dict[str, Any]]:
    """Return the one trial whose id begins with `start`, and its study."""
    named = [(study, identity) for study, ids in of_each_study(results, results.outcomes) for identity in ids]
    matching = [entry for entry in named if entry[1].startswith(start)]
    exact = [entry for entry in matching if entry[1] == start] or matching
    if len(exact) != 1:
        names = ", ".join(identity for _, identity in exact[:5])
        raise ValueError(f"{len(exact) or 'no'} trials begin with {start!r}{': ' if names else ''}{names}")
    study, identity = exact[0]
    (row,) = results.only([identity]).arrow().trials(study).to_pylist()
    return study, row


def _curves(results: Results, study: str, trial_id: str) -> dict[str, str]:
    """Return a line of bars for each measurement of a trial that has several numbers."""
    rows: pa.Table = results.only([trial_id]).arrow().measurements(study)
    return {
        name: sparkline(rows.column(name).to_pylist())
        for name in rows.schema.names
        if pa.types.is_floating(rows.schema.field(name).type) or pa.types.is_integer(rows.schema.field(name).type)
    }


def sparkline(values: Sequence[float | None]) -> str:
    """Return numbers as bars from their smallest to their largest, a dot for what is none; empty for less than two.

    Of many numbers those at even distances are shown, the first and the last among them.
    """
    if len(values) > _WIDEST:
        values = [values[round(place * (len(values) - 1) / (_WIDEST - 1))] for place in range(_WIDEST)]
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if len(finite) < 2:
        return ""
    low, high = min(finite) / 2, max(finite) / 2  # halves: the largest numbers are further apart than any number
    height = (high - low) or 1.0

    def bar(value: float | None) -> str:
        if value is None or not math.isfinite(value):
            return _GAP
        return _BARS[round((value / 2 - low) / height * (len(_BARS) - 1))]

    return "".join(map(bar, values))


def _with_curve(value: Any, curve: str | None) -> Any:
    return f"{shown(value):<14} {curve}" if curve else value
