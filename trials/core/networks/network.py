"""What a network is: the shapes of its parameters and a pure function of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
        features: (parameters, inputs (batch, ...)) -> what the last layer sees (batch, ...); None where nobody said.
        constants: Name of each parameter that begins at one value -> that value.
    """

    shapes: Mapping[str, tuple[int, ...]]
    forward: Forward
    features: Forward | None = None
    constants: Mapping[str, float] = field(default_factory=dict)

    @property
    def parameter_count(self) -> int:
        """Number of scalar parameters."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def initial(self, generator: torch.Generator) -> Parameters:
        """Return float32 parameters drawn as PyTorch's own layers draw theirs, but for the network's `constants`.

        Weights and biases are uniform in +-1/sqrt(fan_in), which is what `torch.nn.Linear` and `torch.nn.Conv2d` do
        (Kaiming's uniform law with a = sqrt(5)).

        Source: He et al., arXiv 1502.01852, section 2.2, equation 10 with the negative slope sqrt(5).
        """
        return {name: self._drawn(name, generator) for name in self.shapes}

    def _drawn(self, name: str, generator: torch.Generator) -> Float[Tensor, " ..."]:
        if name in self.constants:
            return torch.full(self.shapes[name], self.constants[name])
        layer = name.rpartition(".")[0]
        bound = 1 / math.sqrt(math.prod(self.shapes[f"{layer}.weight"][1:]))
        return torch.empty(self.shapes[name]).uniform_(-bound, bound, generator=generator)
