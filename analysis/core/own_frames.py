"""Frames of a user's own as tables of cells: which rows are one trial's, and where each stands in a plot."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.core.phase_diagram import phase_cells
from analysis.core.scales import Kind, Scale, scale_of
from analysis.core.seed_means import seed_means
from analysis.store.common_columns import OUTCOMES

_TRIAL, _OUTCOME = "trial_id", "outcome"
_SHOWN = ("finished", "diverged")


@dataclass(frozen=True, kw_only=True)
class Places:
    """The cells of a plot.

    Attributes:
        x: Column on the horizontal axis.
        y: Column on the vertical axis, or the one that tells lines apart.
        value: Column that is averaged.
        across: Scale of `x`.
        up: Scale of `y`.
        cells: Table of `phase_cells` with places in the columns `x` and `y`, and the `half_width` of each mean.
        in_time: Whether `x` changes within a trial, as its steps do.
    """

    x: str
    y: str
    value: str
    across: Scale
    up: Scale
    cells: pd.DataFrame
    in_time: bool

    @property
    def numbers(self) -> pd.DataFrame:
        """The cells with values for places."""
        values = {self.x: self.across.values_at(self.cells[self.x]), self.y: self.up.values_at(self.cells[self.y])}
        return self.cells.assign(**values)


def as_pandas(frame: Any, *columns: str) -> pd.DataFrame:
    """Return a frame of pandas, Polars or Arrow as one of pandas.

    Raises:
        ValueError: A column is not there.
    """
    table = frame if isinstance(frame, pd.DataFrame) else frame.to_pandas()
    for name in columns:
        if name not in table:
            close = difflib.get_close_matches(name, map(str, table.columns), n=1)
            advice = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(map(str, table.columns))}"
            raise ValueError(f"the frame has no column {name!r}; {advice}")
    return table


def cells_of(frame: Any, x: str, y: str, value: str, scales: Mapping[str, Kind]) -> Places:
    """Return the cells of a frame over two of its columns.

    Raises:
        ValueError: A column is not there, has no values, or cannot stand on its scale.
    """
    table = as_pandas(frame, x, y, value)
    if len({x, y, value}) < 3:
        raise ValueError(f"a plot needs three columns, and got {x}, {y} and {value}")
    tells = _OUTCOME in table and bool(table[_OUTCOME].isin(OUTCOMES).all())  # or it is a column of the user's own
    if tells:
        table = table[table[_OUTCOME].isin(_SHOWN)]
    told = table.dropna(subset=[x, y])
    if not told[value].notna().any():
        raise ValueError(f"no finished row has {x}, {y} and {value}")
    across, up = scale_of(told[x], scales.get(x)), scale_of(told[y], scales.get(y))
    rows = pd.DataFrame(
        {
            _TRIAL: told[_TRIAL] if _TRIAL in told else np.arange(len(told)),
            _OUTCOME: told[_OUTCOME] if tells else "finished",
            x: across.at(told[x]),
            y: up.at(told[y]),
            value: told[value],
        }
    )
    knobs = [name for name in (x, y) if rows.groupby(_TRIAL)[name].nunique().max() == 1]
    if len(knobs) == 2:  # what a diverged trial measured last is no value of its cell
        rows[value] = rows[value].where(rows[_OUTCOME] != "diverged")
    widths = seed_means(rows, [y, x], value)[[y, x, "half_width"]]
    cells = _cells(rows, x, y, value, knobs).merge(widths, on=[y, x], how="left")
    return Places(x=x, y=y, value=value, across=across, up=up, cells=cells, in_time=x not in knobs)


def words(column: str, labels: Mapping[str, str] | None) -> str:
    """Return what an axis calls a column."""
    return (labels or {}).get(column, column.replace("_", " "))


def _cells(rows: pd.DataFrame, x: str, y: str, value: str, knobs: list[str]) -> pd.DataFrame:
    """Return the cells; a trial that diverged is missing from those on that it had still to come to."""
    trials = rows.drop_duplicates(_TRIAL)[[_TRIAL, _OUTCOME, *knobs]]
    if not knobs:  # nothing says which cells were still to come
        trials = rows[[_TRIAL, y]].assign(**{_OUTCOME: "finished"})
    across, up = (y, x) if knobs == [x] else (x, y)
    return phase_cells(rows, trials, across, up, value, columns=sorted(rows[across].unique()))
