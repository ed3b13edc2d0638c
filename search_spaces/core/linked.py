"""Linked axes: knobs that change together, listed side by side or computed from one another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces.core.axes import MOST_VALUES, Axis
from search_spaces.core.formula import Formula
from search_spaces.core.refinement import refinement_levels

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Linked:
    """Rows of values that several knobs take together; one axis of a grid.

    Attributes:
        rows: Column name -> value, the same names in each.
        levels: For each row the round of refinement that visits it, 0 for the coarsest picture.
    """

    rows: tuple[Row, ...]
    levels: tuple[int, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.rows[0])

    def reached(self, deepest: int) -> Iterator[tuple[Row, int]]:
        """Yield every row whose level is at most `deepest`, with its level."""
        return ((row, level) for row, level in zip(self.rows, self.levels, strict=True) if level <= deepest)


def side_by_side(axes: Mapping[str, Axis]) -> Linked:
    """Return axes of equal length as one: first values together, second values together, and so on.

    Raises:
        ValueError: The axes differ in length.
    """
    lengths = {name: len(values) for name, values in axes.items()}
    if len(set(lengths.values())) > 1:
        described = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(f"linked axes need as many values each: {described}")
    if max(lengths.values()) > MOST_VALUES:
        raise ValueError(f"linked and computed axes may have at most {MOST_VALUES:,} values")
    rows = [dict(zip(axes, values, strict=True)) for values in zip(*axes.values(), strict=True)]
    return Linked(tuple(rows), tuple(refinement_levels(len(rows))))


def computed(
    formulas: Sequence[Formula],
    axes: Mapping[str, Axis],
    linked: Sequence[Linked],
    fixed: Row,
    knobs: Collection[str],
) -> tuple[dict[str, Axis], list[Linked]]:
    """Return axes and linked axes in which every formula's knob has taken its value.

    The axes that a formula names are linked with the knob it computes. An axis that is no knob serves formulas only and
    is left out of the result: with `feature_updates: [1, 4, 16]` and `feature_update_interval: steps /
    feature_updates`, a cell has the interval and no `feature_updates`.

    Raises:
        ValueError: A formula names what is neither an axis nor a knob with a value, or has no result.
    """
    single, joined = dict(axes), list(linked)
    for formula in formulas:
        known = {*fixed, *single, *(name for group in joined for name in group.names)}
        unknown = sorted(formula.names - known)
        if unknown:
            raise ValueError(
                f"computed {formula.name} = {formula.text}: {unknown[0]} is neither an axis nor a knob with a value"
            )
        needed = [side_by_side({name: single.pop(name)}) for name in list(single) if name in formula.names]
        needed += [group for group in joined if formula.names & set(group.names)]
        joined = [group for group in joined if not formula.names & set(group.names)]
        joined.append(_with_value(formula, _product(needed), fixed))
    aids = {name for formula in formulas for name in formula.names} - set(knobs)
    return single, [_without_aids(group, aids) for group in joined]


def _product(groups: Sequence[Linked]) -> Linked:
    """Return every combination of the groups' rows, each in the round in which its last part is visited."""
    if math.prod(len(group.rows) for group in groups) > MOST_VALUES:
        raise ValueError(f"a computed axis may depend on at most {MOST_VALUES:,} combinations of values")
    visits = [tuple(zip(group.rows, group.levels, strict=True)) for group in groups]
    rows, levels = [], []
    for combination in itertools.product(*visits):
        rows.append({name: value for row, _ in combination for name, value in row.items()})
        levels.append(max((level for _, level in combination), default=0))
    return Linked(tuple(rows), tuple(levels))


def _with_value(formula: Formula, group: Linked, fixed: Row) -> Linked:
    rows = tuple({**row, formula.name: formula.value({**fixed, **row})} for row in group.rows)
    return Linked(rows, group.levels)


def _without_aids(group: Linked, aids: Collection[str]) -> Linked:
    """Return the group without what is no knob; rows that this makes equal become one, the coarsest."""
    levels: dict[tuple[tuple[str, Any], ...], int] = {}
    for row, level in zip(group.rows, group.levels, strict=True):
        key = tuple((name, value) for name, value in row.items() if name not in aids)
        levels[key] = min(level, levels.get(key, level))
    return Linked(tuple(dict(key) for key in levels), tuple(levels.values()))
