"""Unions of grids: a coarse diagram and a fine corner of it, say, each trial once."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from search_spaces.core.grid import Cell, Grid, members
from trials.core.knobs import TrialKnobs

Box = Mapping[str, Collection[Any]]
"""Column name -> values: all combinations of them."""


@dataclass(frozen=True)
class Union:
    """The cells of several grids over the same knobs, those that several have once.

    All parts advance together: the first seed of each from coarse to fine, then the second.
    """

    parts: Sequence[Grid]

    @property
    def knobs(self) -> type[TrialKnobs]:
        return self.parts[0].knobs

    @property
    def names(self) -> list[str]:
        """The knobs that vary in some part."""
        return list(dict.fromkeys(name for part in self.parts for name in part.names))

    @property
    def axes(self) -> dict[str, tuple[Any, ...]]:
        """Every value that a knob takes in some part."""
        names = dict.fromkeys(name for part in self.parts for name in part.axes)
        return {
            name: tuple(dict.fromkeys(value for part in self.parts for value in part.axes.get(name, ())))
            for name in names
        }

    @cached_property
    def size(self) -> int:
        """The number of distinct cells, of any magnitude."""
        boxes = [list(_boxes(part, self.names)) for part in self.parts]
        return sum(
            _size(box) - _size_together(_overlaps(box, [earlier for part in boxes[:position] for earlier in part]))
            for position, own in enumerate(boxes)
            for box in own
        )

    def __len__(self) -> int:
        """Return the number of distinct cells."""
        return self.size

    def __iter__(self) -> Iterator[TrialKnobs]:
        """Yield the knobs of every cell once."""
        return (part.trial(cell) for part, cell in self._visits())

    def cells(self) -> Iterator[Cell]:
        """Yield every cell once, as columns, those that its part fixes included."""
        return ({**part.fixed, **cell} for part, cell in self._visits())

    def _visits(self) -> Iterator[tuple[Grid, Cell]]:
        for turn in range(max(part.turns for part in self.parts)):
            for level in range(max(part.deepest for part in self.parts) + 1):
                for position, part in enumerate(self.parts):
                    for cell in part.visit(turn, level) if turn < part.turns else ():
                        if not any({**part.fixed, **cell} in earlier for earlier in self.parts[:position]):
                            yield part, cell


def _boxes(grid: Grid, names: Collection[str]) -> Iterator[Box]:
    """Yield disjoint boxes that make up a grid: one for each combination of its linked rows."""
    constant: Box = {name: frozenset([grid.value(name)]) for name in names if name not in grid.names}
    boxes: list[Box] = [{**constant, **{name: members(values) for name, values in grid.axes.items()}}]
    for group in grid.linked:
        boxes = [{**box, **{name: frozenset([v]) for name, v in row.items()}} for box in boxes for row in group.rows]
    return iter(boxes)


def _size(box: Box) -> int:
    return math.prod(len(values) for values in box.values())


def _size_together(boxes: Sequence[Box]) -> int:
    """Return the number of cells that are in any of the boxes."""
    return sum(_size(box) - _size_together(_overlaps(box, boxes[:at])) for at, box in enumerate(boxes))


def _overlaps(box: Box, others: Sequence[Box]) -> list[Box]:
    """Return what each of the others has in common with a box, where that is anything."""
    shared = ({name: _common(values, other[name]) for name, values in box.items()} for other in others)
    return [both for both in shared if all(both.values())]


def _common(some: Collection[Any], others: Collection[Any]) -> Collection[Any]:
    if some == others:
        return some
    fewer, more = sorted((some, others), key=len)
    return frozenset(value for value in fewer if value in more)
