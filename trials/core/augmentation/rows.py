"""Rows: which sample each row of a training set shows, and which copy of it, where few samples fill many rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from trials.core.augmentation.draws import LANES, draws
from trials.core.streams import generator

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float32, Int64
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a training set.

    Attributes:
        sources: The sample that a row shows.
        copies: Which copy of it: 0 is the original, 1 the first copy.
    """

    sources: Int64[Tensor, " rows"]
    copies: Int64[Tensor, " rows"]

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def originals(self) -> Int64[Tensor, " distinct"]:
        """The distinct samples in the order of their rows."""
        return self.sources[self.copies == 0]

    @property
    def multiplicities(self) -> Int64[Tensor, " distinct"]:
        """How many rows show each of `originals`."""
        counts = torch.bincount(self.sources)
        return counts[self.originals]


def filled_rows(size: int, distinct: int, seed: int) -> Rows:
    """Return as many rows as the set has samples, of which only `distinct` are used, over and over.

    Fewer samples are the first ones of more: subsets are nested. A sample has one row more than another or as many.
    """
    slots = torch.arange(size)
    return Rows(_chosen(size, distinct, seed)[slots % distinct], slots // distinct)


def subset_rows(size: int, distinct: int, seed: int) -> Rows:
    """Return the same samples with one row each."""
    return Rows(_chosen(size, distinct, seed), torch.zeros(distinct, dtype=torch.int64))


def _chosen(size: int, distinct: int, seed: int) -> Int64[Tensor, " distinct"]:
    return torch.randperm(size, generator=generator(seed, "subset"))[:distinct]


def row_numbers(
    rows: Rows, size: int, seed: int, visit: int = 0, *, refused: Callable[[Tensor], Tensor] | None = None
) -> Float32[Tensor, "rows 4"]:
    """Return the numbers of every row: a function of (seed, sample, copy, visit).

    The rows show some of `size` samples; `refused` says of numbers which of them are drawn again.
    """
    numbers = torch.empty(len(rows), LANES)
    for copy in range(int(rows.copies.max()) + 1):
        here = rows.copies == copy
        numbers[here] = _sample_numbers(size, seed, copy, visit, refused)[rows.sources[here]]
    return numbers


def _sample_numbers(
    size: int, seed: int, copy: int, visit: int, refused: Callable[[Tensor], Tensor] | None
) -> Float32[Tensor, "samples 4"]:
    numbers, attempt = torch.from_numpy(draws(seed, size, copy=copy, visit=visit)), 0
    while refused is not None and (again := refused(numbers)).any():
        attempt += 1
        anew = torch.from_numpy(draws(seed, size, copy=copy, visit=visit, attempt=attempt))
        numbers = torch.where(again[:, None], anew, numbers)
    return numbers
