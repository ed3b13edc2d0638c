"""How well a function fits labelled examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from trials.core.losses.classification import accuracy

if TYPE_CHECKING:
    from trials.core.data.examples import Examples
    from trials.core.losses.classification import Loss

_CHUNK = 2048  # samples a pass: bounds the memory of the activations and leaves small data sets whole


class Fit(NamedTuple):
    """Mean loss and fraction of right answers over a data set."""

    loss: float
    accuracy: float


def fit(function: Callable[[Tensor], Tensor], examples: Examples, loss: Loss) -> Fit:
    """Return the mean loss and accuracy of `function`: inputs (batch, ...) -> outputs (batch, classes)."""
    with torch.no_grad():
        outputs = torch.cat([function(inputs) for inputs in examples.inputs.split(_CHUNK)])
        values = torch.stack([loss(outputs, examples.labels), accuracy(outputs, examples.labels)])
    return Fit(*values.tolist())
