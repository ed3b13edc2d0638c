"""Panels: a study's trials, apart by the combinations of knobs that vary beside those that a figure shows itself."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from analysis.core.numbers import shown_value

MOST_SHOWN = 6
MOST_WRAPPED, WIDEST = 12, 4
_TITLE_WIDTH = 44  # characters

Setting = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Panel:
    """The trials with one combination of the knobs.

    Attributes:
        setting: The knobs that tell this panel from the others, with their values.
        row: Its place from the top, from 0.
        column: Its place from the left, from 0.
        trials: Its trials.
        rows: Their measurements.
    """

    setting: Setting
    row: int
    column: int
    trials: pd.DataFrame
    rows: pd.DataFrame

    @property
    def title(self) -> str:
        """The knobs and their values in words; empty if none vary."""
        return textwrap.fill(described(self.setting), _TITLE_WIDTH)


@dataclass(frozen=True)
class Panels:
    """The panels of a figure.

    Attributes:
        shown: The panels in reading order.
        omitted: What there was no room for, in words; empty if all are shown.
    """

    shown: tuple[Panel, ...]
    omitted: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return max(panel.row for panel in self.shown) + 1, max(panel.column for panel in self.shown) + 1

    def numbered(self, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
        """Return the tables of the panels as one, with the knobs that tell the panels apart."""
        parts = [table.assign(**panel.setting) for panel, table in zip(self.shown, tables, strict=True)]
        return pd.concat(parts, ignore_index=True)


def panels(
    trials: pd.DataFrame,
    rows: pd.DataFrame,
    *,
    inside: Collection[str],
    across: Collection[str],
    several: str = "",
    wraps: bool = False,
) -> Panels:
    """Return a panel for each combination of knobs that occurs; knobs with one value make none.

    Where there are too many for a page, evenly spread ones stand for all.

    Args:
        trials: Table of trials, the knobs between `knobs_json` and the final measurements.
        rows: Their measurements.
        inside: Knobs that the figure shows within a panel.
        across: Knobs whose values stand side by side; those of all others stand one below the other.
        several: Knob that a panel needs several values of, unless no panel has.
        wraps: Whether panels that make a single row go on in the next one, so that there is room for more.
    """
    varying = _varying(trials, inside)
    if several and varying:
        rich = trials.groupby(varying, dropna=False)[several].transform("nunique") > 1
        trials = trials[rich] if rich.any() else trials
        varying = _varying(trials, inside)
    below, beside = ([name for name in varying if (name in across) == side] for side in (False, True))
    downwards = spread(_combinations(trials, below), MOST_SHOWN)
    # Columns are chosen of the rows that are shown, so that none is empty where the knobs make no full grid.
    in_rows = pd.concat([_with(trials, setting) for setting in downwards])
    sideways = spread(_combinations(in_rows, beside), MOST_WRAPPED if wraps and len(downwards) == 1 else MOST_SHOWN)
    shown: list[Panel] = []
    for down in downwards:
        row = 1 + max((panel.row for panel in shown), default=-1)
        for column, side in enumerate(sideways):
            setting = {**down, **side}
            chosen = _with(trials, setting)
            if len(chosen):
                its_rows = rows[rows["trial_id"].isin(chosen["trial_id"])]
                shown.append(Panel(setting, row, column, chosen, its_rows))
    notes = [
        f"{len(kept)} of {len(every)} values of {', '.join(names)}"
        for names, kept in ((below, downwards), (beside, sideways))
        if len(kept) < len(every := _combinations(trials, names))
    ]
    found = Panels(tuple(shown), " and ".join(notes))
    return _wrapped(found) if wraps else found


def knob_names(trials: pd.DataFrame) -> list[str]:
    """Return the knobs' columns, which stand between the JSON of all knobs and the final measurements."""
    names = list(trials.columns)
    return [name for name in names[names.index("knobs_json") + 1 :] if not name.startswith("final_")]


def described(setting: Setting) -> str:
    """Return knobs and their values in words."""
    return ", ".join(f"{name.replace('_', ' ')} {shown_value(value)}" for name, value in setting.items())


def subject(trials: pd.DataFrame, panels: Panels, names: Sequence[str], *remarks: str) -> str:
    """Return a figure's title: those of the knobs that have one value, what was left out, and remarks.

    Args:
        trials: The trials of the figure.
        panels: Its panels.
        names: Knobs, where the trials have them; a knob of text is shown by its value alone, unless that is "none".
        remarks: What else there is to say.
    """
    shown = [name for name in names if name in trials and trials[name].nunique() == 1]
    constant = {name: trials[name].iloc[0] for name in shown if trials[name].iloc[0] != "none"}
    texts = [value if isinstance(value, str) else described({name: value}) for name, value in constant.items()]
    omitted = [f"shown are {panels.omitted}"] if panels.omitted else []
    return "; ".join([", ".join(texts), *omitted, *remarks])


def spread(ordered: Sequence[T], most: int) -> Sequence[T]:
    """Return all, or the first, the last and evenly spread ones between, where there are more than `most`."""
    if len(ordered) <= most:
        return ordered
    return [ordered[index] for index in np.linspace(0, len(ordered) - 1, most).round().astype(int)]


def _wrapped(panels: Panels) -> Panels:
    """Return panels of a single long row in several rows of about one length."""
    rows, columns = panels.shape
    if rows > 1 or columns <= WIDEST:
        return panels
    length = math.ceil(columns / math.ceil(columns / WIDEST))
    placed = (replace(each, row=at // length, column=at % length) for at, each in enumerate(panels.shown))
    return replace(panels, shown=tuple(placed))


def _varying(trials: pd.DataFrame, inside: Collection[str]) -> list[str]:
    return [name for name in knob_names(trials) if name not in inside and trials[name].nunique(dropna=False) > 1]


def _combinations(trials: pd.DataFrame, names: Sequence[str]) -> list[Setting]:
    if not names:
        return [{}]
    distinct = trials[list(names)].drop_duplicates().sort_values(list(names))
    return [dict(zip(names, values, strict=True)) for values in distinct.itertuples(index=False, name=None)]


def _with(trials: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    chosen = pd.Series(True, index=trials.index)
    for name, value in setting.items():
        chosen &= trials[name].isna() if pd.isna(value) else trials[name] == value
    return trials[chosen]
