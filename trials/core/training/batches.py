"""What a step sees: which rows, drawn as a function of (seed, step), formed where they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from trials.core.streams import generator
from trials.core.training.schedules import batches_an_epoch

if TYPE_CHECKING:
    from jaxtyping import Float, Int64
    from torch import Tensor

    from trials.core.data.examples import TrainingSet

Draw = Callable[[int], "Int64[Tensor, ' batch']"]
"""Step -> the rows that it sees."""
Form = Callable[["Int64[Tensor, ' batch']"], "tuple[Tensor, Tensor]"]
"""Rows -> inputs and targets."""


class Batch:
    """What one step sees.

    Attributes:
        rows: Which rows of the training set.
        form: What makes inputs and targets of them; a round that kept the rows' pass never asks.
    """

    __slots__ = ("_shown", "form", "rows")

    def __init__(self, rows: Int64[Tensor, " batch"], form: Form) -> None:
        self.rows, self.form = rows, form
        self._shown: tuple[Tensor, Tensor] | None = None

    @property
    def shown(self) -> tuple[Tensor, Tensor]:
        """Inputs and targets, formed once."""
        if self._shown is None:
            self._shown = self.form(self.rows)
        return self._shown

    def __len__(self) -> int:
        return len(self.rows)


def formed(train: TrainingSet) -> Form:
    """Return what makes inputs and labels of rows of a training set."""

    def form(rows: Tensor) -> tuple[Tensor, Tensor]:
        shown = train.at(rows)
        return shown.inputs, shown.labels

    return form


Sees = Callable[[int], Batch]
"""Step -> what it sees."""


def seen(form: Form, draw: Draw) -> Sees:
    """Return what each step sees of rows that look the same at every visit."""
    return lambda step: Batch(draw(step), form)


def seen_anew(form: Callable[[int, Tensor], tuple[Tensor, Tensor]], draw: Draw) -> Sees:
    """Return what each step sees of rows that are formed for it: transformed, mixed, as pairs of views.

    Args:
        form: (step, rows) -> inputs and targets.
        draw: Step -> rows.
    """

    def sees(step: int) -> Batch:
        return Batch(draw(step), lambda rows: form(step, rows))

    return sees


def epochs(
    seed: int | Sequence[int],
    samples: int,
    batch_size: int,
    device: torch.device | None = None,
    *,
    whole: bool = True,
    stream: str = "batches",
) -> Draw:
    """Return batches of permutations, a fresh one an epoch: functions of (seed, stream, step) alone.

    Unless told otherwise, what does not fill a batch waits for another epoch. Several seeds give those of each, with a
    first axis over them.

    Raises:
        ValueError: The batch is larger than the data set.
    """
    of_an_epoch, on = batches_an_epoch(samples, batch_size, whole=whole), device or torch.device("cpu")

    @lru_cache(maxsize=1)
    def order(epoch: int) -> Tensor:
        if isinstance(seed, Sequence):
            return torch.stack([_order(each, stream, epoch, samples, on) for each in seed])
        return _order(seed, stream, epoch, samples, on)

    def draw(step: int) -> Tensor:
        epoch, batch = divmod(step, of_an_epoch)
        return order(epoch)[..., batch * batch_size : (batch + 1) * batch_size]

    return draw


def everything(samples: int, device: torch.device | None = None) -> Draw:
    """Return all rows at every step."""
    rows = torch.arange(samples, device=device)
    return lambda step: rows


def listed(draw: Draw, rows: Int64[Tensor, " entries"]) -> Draw:
    """Return what a draw among the entries of a list shows: a row counts as often as it stands there."""
    return lambda step: rows[draw(step)]


def weighted(seed: int, probabilities: Float[Tensor, " rows"], batch_size: int) -> Draw:
    """Return rows drawn with replacement; arms of other probabilities invert the same uniform numbers."""
    upper = probabilities.double().cumsum(0)

    def draw(step: int) -> Tensor:
        numbers = torch.rand(batch_size, generator=generator(seed, "weighted rows", step), dtype=torch.float64)
        return torch.searchsorted(upper, numbers.to(upper.device) * upper[-1]).clamp_(max=len(upper) - 1)

    return draw


def balanced(seed: int, groups: Int64[Tensor, " rows"], batch_size: int) -> Draw:
    """Return rows drawn with replacement, every group as often as any other."""
    return weighted(seed, 1.0 / groups.bincount()[groups], batch_size)


def poisson(seed: int, samples: int, rate: float) -> Draw:
    """Return each row with probability `rate`, whatever the others: batches of any size, none included."""
    return lambda step: (torch.rand(samples, generator=generator(seed, "poisson rows", step)) < rate).nonzero()[:, 0]


@lru_cache(maxsize=64)
def _order(seed: int, stream: str, epoch: int, samples: int, device: torch.device) -> Int64[Tensor, " samples"]:
    order = torch.randperm(samples, generator=generator(seed, stream, epoch))
    if device.type == "cuda":
        # Only a copy from pinned memory leaves the host free to queue the next steps.
        order = order.pin_memory()
    return order.to(device, non_blocking=True)
