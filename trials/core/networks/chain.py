"""Networks that are chains of layers: their derivative layer by layer, and what it needs of each sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from trials.core.networks.layers import Kept, Layer, Weighted
from trials.core.networks.network import Network
from trials.core.parameters import Parameters

if TYPE_CHECKING:
    from jaxtyping import Float, Int64


@dataclass(frozen=True)
class Opened:
    """A pass through a chain: its outputs, and what each layer kept, for the derivative needs it of every sample."""

    outputs: Float[Tensor, "samples classes"]
    kept: tuple[Kept, ...]

    def at(self, samples: Int64[Tensor, " batch"]) -> Opened:
        """Return what belongs to some of the samples."""
        return self.each(lambda tensor: tensor.index_select(0, samples))

    def each(self, function: Callable[[Tensor], Tensor]) -> Opened:
        """Return the pass with `function` applied to every tensor of it, once to one that several layers keep."""
        return joined([self], lambda tensors: function(tensors[0]))


def joined(passes: Sequence[Opened], join: Callable[[tuple[Tensor, ...]], Tensor]) -> Opened:
    """Return the pass that consists of several of one chain on different samples.

    `join` makes of the same tensor of each of them that of all; what several layers keep is joined once.
    """
    done: dict[int, Tensor] = {}

    def once(*tensors: Tensor) -> Tensor:
        if id(tensors[0]) not in done:
            done[id(tensors[0])] = join(tensors)
        return done[id(tensors[0])]

    kept = (tuple(map(once, *of_layer)) for of_layer in zip(*(each.kept for each in passes), strict=True))
    return Opened(once(*(each.outputs for each in passes)), tuple(kept))


@dataclass(frozen=True)
class Chain:
    """The function that applies layers one after another.

    Attributes:
        layers: From the inputs on.
        compiled: Whether gradients are computed by compiled code; see `trials.core.gradients`.
        rounds_products: Whether products are rounded to fewer digits than the numbers that come out have.
    """

    layers: tuple[Layer, ...]
    compiled: bool = False
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

    def pulled_back(
        self, anchor: Parameters, kept: tuple[Kept, ...], sensitivity: Float[Tensor, "samples classes"]
    ) -> Parameters:
        """Return J(anchor)^T sensitivity: the gradient of a number whose derivative in the outputs is `sensitivity`.

        By hand rather than by PyTorch's tape, which costs a small network as much as its products.
        """
        first = next(place for place, layer in enumerate(self.layers) if layer.shapes)
        gradient: dict[str, Tensor] = {}
        arriving: Tensor | None = sensitivity
        for place in range(len(self.layers) - 1, first - 1, -1):
            if arriving is None:
                raise ValueError("a layer did not tell the derivative in its inputs")
            of_layer, arriving = self.layers[place].pulled_back(anchor, kept[place], arriving, further=place > first)
            gradient.update(of_layer)
        return {name: gradient[name] for name in anchor}

    def squared_norms(
        self, anchor: Parameters, kept: tuple[Kept, ...], sensitivity: Float[Tensor, "samples classes"]
    ) -> Float[Tensor, " samples"]:
        """Return the squared norm of what each sample adds to the gradient that `pulled_back` returns.

        Of what layers keep, a layer at a time: the gradients of all samples never stand side by side.
        """
        first = next(place for place, layer in enumerate(self.layers) if layer.shapes)
        squares = sensitivity.new_zeros(len(sensitivity))
        arriving: Tensor | None = sensitivity
        for place in range(len(self.layers) - 1, first - 1, -1):
            layer, of_layer = self.layers[place], kept[place]
            if arriving is None:
                raise ValueError("a layer did not tell the derivative in its inputs")
            if isinstance(layer, Weighted):
                squares = squares + layer.squared_norms(of_layer, arriving)
            if place > first:
                _, arriving = layer.pulled_back(anchor, of_layer, arriving, further=True)
        return squares

    def expanded(
        self, anchor: Parameters, displacement: Parameters, parameters: Parameters, inputs: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return f(anchor) + J(anchor) displacement, and f(parameters), where the displacement leads, in one pass.

        A layer with parameters is affine in them: up to the first of them the two are one.
        """
        first = next(place for place, layer in enumerate(self.layers, 1) if layer.shapes)
        there = exact = inputs
        for layer in self.layers[:first]:
            there, exact = layer.outputs(anchor, there), layer.outputs(parameters, exact)
        expanded = exact
        for layer in self.layers[first:]:
            there, kept = layer.opened(anchor, there)
            expanded = layer.expanded(anchor, kept, displacement, expanded)
            exact = layer.outputs(parameters, exact)
        return expanded, exact

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
