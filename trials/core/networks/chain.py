"""Networks that are chains of layers: their derivative layer by layer, and what it needs of each sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from trials.core.networks.network import Network

if TYPE_CHECKING:
    from jaxtyping import Float, Int64
    from torch import Tensor

    from trials.core.networks.layers import Kept, Layer
    from trials.core.parameters import Parameters


@dataclass(frozen=True)
class Opened:
    """A pass through a chain with what the derivative needs of every sample.

    Attributes:
        outputs: What the chain returned.
        kept: What each layer kept, in their order.
    """

    outputs: Float[Tensor, "samples classes"]
    kept: tuple[Kept, ...]

    def at(self, samples: Int64[Tensor, " batch"]) -> Opened:
        """Return what belongs to some of the samples."""
        return self.each(lambda tensor: tensor.index_select(0, samples))

    def each(self, function: Callable[[Tensor], Tensor]) -> Opened:
        """Return the pass with `function` applied to every tensor of it."""
        kept = tuple(tuple(map(function, of_layer)) for of_layer in self.kept)
        return Opened(function(self.outputs), kept)


@dataclass(frozen=True)
class Chain:
    """The function that applies layers one after another.

    Attributes:
        layers: They.
        rounds_products: Whether products are rounded to fewer digits than the numbers that come out have.
    """

    layers: tuple[Layer, ...]
    rounds_products: ClassVar[bool] = False

    def __call__(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        for layer in self.layers:
            inputs = layer.outputs(parameters, inputs)
        return inputs

    def opened(self, parameters: Parameters, inputs: Tensor) -> Opened:
        """Return the outputs, with what the derivative at these parameters and inputs needs."""
        kept = []
        for layer in self.layers:
            inputs, of_layer = layer.opened(parameters, inputs)
            kept.append(of_layer)
        return Opened(inputs, tuple(kept))

    def tangent(self, anchor: Parameters, kept: tuple[Kept, ...], displacement: Parameters) -> Tensor:
        """Return J(anchor) displacement on the samples of which `kept` is what the derivative needs."""
        moved: Tensor | None = None
        for layer, of_layer in zip(self.layers, kept, strict=True):
            moved = layer.tangent(anchor, of_layer, displacement, moved)
        if moved is None:
            raise ValueError("a chain needs a layer with parameters")
        return moved

    def displaced(self, anchor: Parameters, displacement: Parameters, inputs: Tensor) -> Tensor:
        """Return f(anchor) + J(anchor) displacement in one pass."""
        opened = self.opened(anchor, inputs)
        return opened.outputs + self.tangent(anchor, opened.kept, displacement)


def chain(*layers: Layer) -> Network:
    """Return the network that applies the layers one after another; its features are what the last of them sees."""
    return Network(
        shapes={name: shape for layer in layers for name, shape in layer.shapes.items()},
        forward=Chain(layers),
        features=Chain(layers[:-1]),
    )
