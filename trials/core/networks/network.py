"""What a network is: the shapes of its parameters and a pure function of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trials.core.parameters import Parameters

if TYPE_CHECKING:
    from jaxtyping import Float

Forward = Callable[[Parameters, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network as a pure function, so that it can be differentiated, linearised and vectorised.

    Attributes:
        shapes: Name of each parameter -> its shape; a layer's `weight` stands before its `bias`.
        forward: (parameters, inputs (batch, ...)) -> outputs (batch, classes).
    """

    shapes: Mapping[str, tuple[int, ...]]
    forward: Forward

    @property
    def parameter_count(self) -> int:
        """Number of scalar parameters."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def initial(self, generator: torch.Generator) -> Parameters:
        """Return float32 parameters drawn as PyTorch's own layers draw theirs.

        Weights and biases are uniform in +-1/sqrt(fan_in), which is what `torch.nn.Linear` and `torch.nn.Conv2d` do
        (Kaiming's uniform law with a = sqrt(5)).

        Source: He et al., arXiv 1502.01852, section 2.2, equation 10 with the negative slope sqrt(5).
        """
        return {name: self._drawn(name, generator) for name in self.shapes}

    def _drawn(self, name: str, generator: torch.Generator) -> Float[Tensor, " ..."]:
        layer = name.rpartition(".")[0]
        bound = 1 / math.sqrt(math.prod(self.shapes[f"{layer}.weight"][1:]))
        return torch.empty(self.shapes[name]).uniform_(-bound, bound, generator=generator)


def layer_shapes(name: str, weight: tuple[int, ...], bias: bool = True) -> dict[str, tuple[int, ...]]:
    """Return the shapes of one layer's weight (outputs, inputs, ...) and, with `bias`, of its bias (outputs,)."""
    return {f"{name}.weight": weight} | ({f"{name}.bias": weight[:1]} if bias else {})
