"""The grid: every combination of the axes, coarse picture first."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from search_spaces.core.axes import Axis
from search_spaces.core.linked import Linked
from search_spaces.core.refinement import deepest_round, refined
from trials.core.knobs import TrialKnobs

Cell = dict[str, Any]
SEED = "seed"


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Every combination of the axes' values, over fixed values of the other knobs.

    Attributes:
        knobs: The class of knobs to build.
        axes: Column name of a knob -> its values.
        fixed: Column name of a knob -> its one value; knobs in neither are at their default.
        linked: Knobs that change together, each group one axis more.

    Raises:
        ValueError: An axis or a fixed value names no knob, or a knob is in two axes (when iterated: a value is not
            allowed).
    """

    knobs: type[TrialKnobs]
    axes: Mapping[str, Axis]
    fixed: Mapping[str, Any]
    linked: Sequence[Linked] = ()

    def __post_init__(self) -> None:
        known = [declared.name for declared in self.knobs.declared()]
        unknown = sorted({*self.names, *self.fixed} - set(known))
        if unknown:
            raise ValueError(self.knobs.unknown(unknown[0]))
        twice = [name for position, name in enumerate(self.names) if name in self.names[:position]]
        if twice:
            raise ValueError(f"{twice[0]} is in two axes")
        empty = [name for name, values in self.axes.items() if not len(values)]
        if empty:
            raise ValueError(f"axis {empty[0]} has no values")

    @property
    def names(self) -> list[str]:
        """The knobs that vary."""
        return [*self.axes, *(name for group in self.linked for name in group.names)]

    @cached_property
    def size(self) -> int:
        """The number of combinations, of any magnitude."""
        return math.prod(len(values) for values in self.axes.values()) * math.prod(len(g.rows) for g in self.linked)

    def __len__(self) -> int:
        """Return the number of combinations."""
        return self.size

    def __iter__(self) -> Iterator[TrialKnobs]:
        """Yield the knobs of every combination, seed by seed, and within a seed from a coarse grid to the full one."""
        return (self.trial(cell) for cell in self.cells())

    def __contains__(self, columns: object) -> bool:
        """Return whether a mapping of columns is one of the combinations; columns it lacks are fixed ones here."""
        if not isinstance(columns, Mapping):
            return False
        own = {name: columns.get(name, self.value(name)) for name in {*self.names, *columns}}
        return (
            all(own[name] in values for name, values in self._members.items())
            and all(tuple(own[name] for name in names) in rows for names, rows in self._linked_members.items())
            and all(own[name] == self.value(name) for name in set(own) - set(self.names))
        )

    def trial(self, cell: Mapping[str, Any]) -> TrialKnobs:
        """Return the knobs of a cell.

        Raises:
            ValueError: A value is not allowed, or a required knob has none.
        """
        return self.knobs.from_columns({**self.fixed, **cell})

    def value(self, name: str) -> Any:
        """Return the value of a knob that does not vary."""
        return self.fixed.get(name, self._defaults.get(name))

    def cells(self) -> Iterator[Cell]:
        """Yield every combination as columns, in the order of iteration."""
        for turn in range(self.turns):
            for level in range(self.deepest + 1):
                yield from self.visit(turn, level)

    @property
    def turns(self) -> int:
        """The number of seeds: the whole diagram is visited with one before the next."""
        return len(self.axes.get(SEED, (None,)))

    @property
    def deepest(self) -> int:
        """The last level of refinement."""
        of_axes = [deepest_round(len(values)) for name, values in self.axes.items() if name != SEED]
        return max([*of_axes, *(max(group.levels) for group in self.linked)], default=0)

    def visit(self, turn: int, level: int) -> Iterator[Cell]:
        """Yield the cells that one level of refinement adds, for one seed."""
        seed = {SEED: self.axes[SEED][turn]} if SEED in self.axes else {}
        for cell, reached in _combinations(self._factors, level):
            if reached == level:
                yield {**cell, **seed}

    @cached_property
    def _factors(self) -> list[_Single | Linked]:
        single = [_Single(name, values) for name, values in self.axes.items() if name != SEED]
        return [*single, *self.linked]

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        return {declared.name: declared.default for declared in self.knobs.declared()}

    @cached_property
    def _members(self) -> dict[str, Collection[Any]]:
        return {name: members(values) for name, values in self.axes.items()}

    @cached_property
    def _linked_members(self) -> dict[tuple[str, ...], frozenset[tuple[Any, ...]]]:
        return {group.names: frozenset(tuple(row.values()) for row in group.rows) for group in self.linked}


@dataclass(frozen=True)
class _Single:
    """One knob's axis."""

    name: str
    values: Axis

    def reached(self, deepest: int) -> Iterator[tuple[Cell, int]]:
        return (({self.name: self.values[at]}, level) for at, level in refined(len(self.values), deepest))


def members(values: Axis) -> Collection[Any]:
    """Return the values as what finds a value at once."""
    return values if isinstance(values, range) else frozenset(values)


def _combinations(factors: Sequence[_Single | Linked], deepest: int) -> Iterator[tuple[Cell, int]]:
    """Yield every combination that is reached by round `deepest`, with the round; the memory taken is constant."""
    if not factors:
        yield {}, 0
        return
    for part, level in factors[0].reached(deepest):
        for rest, reached in _combinations(factors[1:], deepest):
            yield {**part, **rest}, max(level, reached)
