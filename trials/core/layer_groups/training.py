"""Training of layer groups: what steps are taken with, what a batch showed, and how well a network fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

from trials.core.losses.classification import cross_entropy
from trials.core.probes.fit import Fit, fit
from trials.core.training.descent import Descent
from trials.core.training.rules import adam, heavy_ball, look_ahead

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.data.examples import Examples
    from trials.core.layer_groups.groups import LayerGroups
    from trials.core.losses.loss import Loss
    from trials.core.training.batches import Batch
    from trials.core.training.rules import Rule
    from trials.core.training.schedules import Schedule
    from trials.core.training.slopes import Told


# `torch.optim` is not taken: building its first optimizer imports a compiler, four seconds in every process.
OPTIMIZERS: Mapping[str, Callable[[float, bool], Rule]] = MappingProxyType(
    {
        "sgd": lambda momentum, nesterov: (look_ahead if nesterov else heavy_ball)(momentum),
        "adamw": lambda momentum, nesterov: adam(momentum),
    }
)
"""Name -> (momentum, whether the gradient looks ahead along it) -> rule."""
DECOUPLED = ("adamw",)
"""Optimizers whose weight decay shrinks the parameters beside the step. Source: arXiv 1711.05101, algorithm 2."""


def descent(
    optimizer: str = "sgd",
    *,
    learning_rate: float,
    schedule: Schedule = lambda step: 1.0,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> Descent:
    """Return how parameters move by one of `OPTIMIZERS`, its learning rate times the schedule's factor."""
    return Descent(
        rule=OPTIMIZERS[optimizer](momentum, nesterov),
        rate=lambda step: learning_rate * schedule(step),
        weight_decay=weight_decay,
        decoupled=optimizer in DECOUPLED,
    )


def fitted(loss: Loss) -> Callable[[Batch, Told], Float[Tensor, " 3"]]:
    """Return what tells of a step the sums of losses, right answers and samples, without waiting for the device."""

    def tally(batch: Batch, told: Told) -> Tensor:
        value, outputs = told.value, told.outputs
        if value is None or outputs is None:
            raise TypeError("the pass of a step tells no outputs of its own")
        right, samples = loss.right(outputs, batch.shown[1]).sum(), value.new_full((), len(batch))
        return torch.stack([value * samples, right.to(value.dtype), samples])

    return tally


def seen_fit(seen: Float[Tensor, " 3"] | None) -> Fit:
    """Return mean loss and accuracy of what `fitted` tells, added up over steps; waits for the device.

    Raises:
        TypeError: There was no step.
    """
    if seen is None:
        raise TypeError("no step has shown anything")
    loss, right, samples = seen.tolist()
    return Fit(loss / samples, right / samples)


def measured(groups: LayerGroups, examples: Examples, loss: Loss = cross_entropy, start: int = 0) -> Fit:
    """Return the mean loss and the accuracy in eval mode.

    Args:
        groups: The network, left in eval mode.
        examples: Activations after the first `start` parts, and labels.
        loss: Mean loss of (outputs, labels).
        start: How many parts the inputs have passed already.
    """
    groups.eval()
    return fit(lambda hidden: groups.forward_range(hidden, start), examples, loss)
