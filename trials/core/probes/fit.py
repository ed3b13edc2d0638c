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

# Samples a pass. On a CPU, activations that stay in its cache make convolutions up to three times faster; a GPU wants
# few and large kernels, within its memory.
_CHUNKS = {"cpu": 128}
_CHUNK_ELSEWHERE = 4096


class Fit(NamedTuple):
    """Mean loss and fraction of right answers over a data set."""

    loss: float
    accuracy: float


def fit(function: Callable[[Tensor], Tensor], examples: Examples, loss: Loss) -> Fit:
    """Return the mean loss and accuracy of `function`: inputs (batch, ...) -> outputs (batch, classes)."""
    chunk = _CHUNKS.get(examples.inputs.device.type, _CHUNK_ELSEWHERE)
    with torch.no_grad():
        outputs = torch.cat([function(inputs) for inputs in examples.inputs.split(chunk)])
        values = torch.stack([loss(outputs, examples.labels), accuracy(outputs, examples.labels)])
    return Fit(*values.tolist())
