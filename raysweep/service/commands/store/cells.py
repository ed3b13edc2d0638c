"""Cells: how a value of the store is printed."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Console
from rich.table import Table


def output() -> Console:
    """Return the console of the commands that look into the store: on a pipe, which has no width, no cell is cut."""
    return Console(width=None if sys.stdout.isatty() else 10_000, highlight=False, markup=False)


def print_table(console: Console, names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows below their headings."""
    table = Table(*names, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(shown, row))
    console.print(table)


def shown(value: object) -> str:
    """Return a value as text: times to the second, numbers to six digits, a dash for nothing."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return f"{value:.6g}"
    return "-" if value is None else str(value)
