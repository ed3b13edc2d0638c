"""How well a function fits labelled examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch
from torch import Tensor

from trials.core.losses.classification import accuracy

if TYPE_CHECKING:
    from jaxtyping import Float, Int64

    from trials.core.losses.loss import Loss

# On a CPU, activations that stay in its cache make convolutions up to three times faster, and samples of few numbers
# want to be many; a GPU wants few and large kernels, within its memory.
_FEWEST_ON_CPU, _NUMBERS_ON_CPU = 128, 2**17
_SAMPLES_ELSEWHERE = 4096


class Shown(Protocol):
    """Labelled inputs of one training, or of several with a first axis over them."""

    @property
    def labels(self) -> Int64[Tensor, "*trainings samples"]:
        """The labels."""

    def chunks(self, size: int) -> Iterator[Float[Tensor, "*trainings chunk ..."]]:
        """Yield the inputs of all samples in turn, `size` at a time."""


class Fit(NamedTuple):
    """Mean loss and fraction of right answers over a data set."""

    loss: float
    accuracy: float


def fit(function: Callable[[Tensor], Tensor], examples: Shown, loss: Loss) -> Fit:
    """Return the mean loss and accuracy of `function`: inputs (batch, ...) -> outputs (batch, classes)."""
    (found,) = fits(lambda inputs: (function(inputs),), examples, loss)
    return Fit(*torch.stack(found).tolist())


def fits(
    functions: Callable[[Tensor], tuple[Tensor, ...]], examples: Shown, loss: Loss
) -> list[tuple[Float[Tensor, "*trainings"], Float[Tensor, "*trainings"]]]:
    """Return mean losses and accuracies of each of several functions, left on their device.

    Args:
        functions: Inputs (batch, ...) -> outputs (batch, classes) of each.
        examples: What they are to fit.
        loss: Its mean is told.
    """
    with torch.no_grad():
        passes = [functions(inputs) for inputs in examples.chunks(_samples_a_pass(examples))]
        outputs = [torch.cat(of_one, -2) for of_one in zip(*passes, strict=True)]
        return [(loss(of_one, examples.labels), accuracy(of_one, examples.labels)) for of_one in outputs]


def _samples_a_pass(examples: Shown) -> int:
    inputs = next(examples.chunks(1))
    if inputs.device.type != "cpu":
        return _SAMPLES_ELSEWHERE
    return max(_FEWEST_ON_CPU, _NUMBERS_ON_CPU // inputs.numel())
