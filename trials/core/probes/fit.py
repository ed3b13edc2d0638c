"""How well a function fits labelled examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from trials.core.losses.classification import accuracy

if TYPE_CHECKING:
    from trials.core.data.examples import TrainingSet
    from trials.core.losses.classification import Loss

# On a CPU, activations that stay in its cache make convolutions up to three times faster, and samples of few numbers
# want to be many; a GPU wants few and large kernels, within its memory.
_FEWEST_ON_CPU, _NUMBERS_ON_CPU = 128, 2**16
_SAMPLES_ELSEWHERE = 4096


class Fit(NamedTuple):
    """Mean loss and fraction of right answers over a data set."""

    loss: float
    accuracy: float


def fit(function: Callable[[Tensor], Tensor], examples: TrainingSet, loss: Loss) -> Fit:
    """Return the mean loss and accuracy of `function`: inputs (batch, ...) -> outputs (batch, classes)."""
    with torch.no_grad():
        outputs = torch.cat([function(inputs) for inputs in examples.chunks(_samples_a_pass(examples))])
        values = torch.stack([loss(outputs, examples.labels), accuracy(outputs, examples.labels)])
    return Fit(*values.tolist())


def _samples_a_pass(examples: TrainingSet) -> int:
    inputs = next(examples.chunks(1))
    if inputs.device.type != "cpu":
        return _SAMPLES_ELSEWHERE
    return max(_FEWEST_ON_CPU, _NUMBERS_ON_CPU // inputs[0].numel())
