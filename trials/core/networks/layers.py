"""Layers with parameters, of networks that are chains: what each computes, its derivative both ways, its kernel.

The derivative of a layer at one sample needs a few tensors of that sample alone, which `opened` returns. Kept for a
whole training set they make every later step of a round cheaper, since the pass through the anchor is not repeated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.functional import conv2d, linear, unfold

from trials.core.parameters import Parameters

if TYPE_CHECKING:
    from jaxtyping import Float

Kept = tuple[Tensor, ...]
"""What a layer's derivative needs, the first axis of each tensor over samples."""

_NARROW = 4  # outputs


class Layer(Protocol):
    """One layer: a function of the parameters and of its inputs (batch, ...).

    Derivatives are taken at an anchor, of which `kept` is what opening the layer there kept; a displacement is how the
    parameters move from it.
    """

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Name of each parameter of this layer -> its shape."""

    def outputs(self, parameters: Parameters, inputs: Tensor) -> Tensor: ...

    def opened(self, parameters: Parameters, inputs: Tensor) -> tuple[Tensor, Kept]:
        """Return the outputs and what the derivative at these inputs needs."""

    def tangent(self, anchor: Parameters, kept: Kept, displacement: Parameters, moved: Tensor | None) -> Tensor | None:
        """Return how the outputs move, to first order, where the inputs move by `moved`; None if these do not."""

    def expanded(self, anchor: Parameters, kept: Kept, displacement: Parameters, inputs: Tensor) -> Tensor:
        """Return the outputs to first order, those at the anchor and how they move, added, of inputs to first order."""

    def pulled_back(
        self, anchor: Parameters, kept: Kept, sensitivity: Tensor, *, further: bool
    ) -> tuple[Parameters, Tensor | None]:
        """Return the derivatives of a number in the parameters and in the inputs, from that in the outputs.

        The one in the inputs is None unless it is wanted `further`.
        """


@runtime_checkable
class Weighted(Protocol):
    """A layer with parameters."""

    @property
    def kernel_width(self) -> int:
        """Numbers of each sample and class whose products the kernel consists of."""

    def multiplications(self, kept: Kept) -> int:
        """Return those of one sample's outputs, of which opening the layer kept `kept`."""

    def kernel(self, kept: Kept, sensitivity: Tensor) -> Tensor:
        """Return this layer's part of the tangent kernel, (samples * classes, samples * classes) of each trial.

        `sensitivity` is the derivative of each network output in this layer's outputs, (samples, classes, ...).
        """

    def squared_norms(self, kept: Kept, sensitivity: Tensor) -> Tensor:
        """Return the squared norms of the samples' gradients, `sensitivity` being of each one's loss in the outputs."""


@dataclass(frozen=True)
class Linear:
    """x -> W x + b, without b if `bias` is false.

    Parameters and inputs may have a first axis over trials, (trials, ...): each trial's own in one call.
    """

    name: str
    fan_in: int
    fan_out: int
    bias: bool = True

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return _shapes(self.name, (self.fan_out, self.fan_in), self.bias)

    def outputs(self, parameters: Parameters, inputs: Float[Tensor, "batch inputs"]) -> Tensor:
        return _affine(inputs, parameters[f"{self.name}.weight"], parameters.get(f"{self.name}.bias"))

    def opened(self, parameters: Parameters, inputs: Float[Tensor, "batch inputs"]) -> tuple[Tensor, Kept]:
        return self.outputs(parameters, inputs), (inputs,)

    def tangent(self, anchor: Parameters, kept: Kept, displacement: Parameters, moved: Tensor | None) -> Tensor | None:
        own = _affine(kept[0], displacement[f"{self.name}.weight"], displacement.get(f"{self.name}.bias"))
        return own if moved is None else _plus_products(own, moved, anchor[f"{self.name}.weight"])

    def expanded(self, anchor: Parameters, kept: Kept, displacement: Parameters, inputs: Tensor) -> Tensor:
        own = _affine(kept[0], displacement[f"{self.name}.weight"], _moved_bias(self.name, anchor, displacement))
        return _plus_products(own, inputs, anchor[f"{self.name}.weight"])

    def pulled_back(
        self, anchor: Parameters, kept: Kept, sensitivity: Tensor, *, further: bool
    ) -> tuple[Parameters, Tensor | None]:
        gradient = {f"{self.name}.weight": sensitivity.mT @ kept[0]}
        if self.bias:
            gradient[f"{self.name}.bias"] = sensitivity.sum(-2)
        return gradient, sensitivity @ anchor[f"{self.name}.weight"] if further else None

    @property
    def kernel_width(self) -> int:
        return self.fan_out

    def multiplications(self, kept: Kept) -> int:
        return self.fan_in * self.fan_out

    def kernel(self, kept: Kept, sensitivity: Float[Tensor, "*trials samples classes outputs"]) -> Tensor:
        """Return (g_i . g_j) (x_i . x_j + 1): the gradient in W is an outer product, so none is ever formed."""
        *trials, samples, classes, _ = sensitivity.shape
        rows = sensitivity.flatten(-3, -2)
        overlaps = kept[0] @ kept[0].mT + float(self.bias)
        products = (rows @ rows.mT).view(*trials, samples, classes, samples, classes)
        return (products * overlaps[..., :, None, :, None]).view(*trials, samples * classes, samples * classes)

    def squared_norms(self, kept: Kept, sensitivity: Float[Tensor, "samples outputs"]) -> Float[Tensor, " samples"]:
        """Return |g|^2 (|x|^2 + 1): the gradient in W is an outer product."""
        return sensitivity.square().sum(1) * (kept[0].square().sum(1) + float(self.bias))


@dataclass(frozen=True)
class Convolution:
    """A convolution with 3x3 filters and a border of zeros, which keeps height and width."""

    name: str
    channels_in: int
    channels_out: int

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return _shapes(self.name, (self.channels_out, self.channels_in, 3, 3), True)

    def outputs(self, parameters: Parameters, inputs: Float[Tensor, "batch inputs h w"]) -> Tensor:
        return conv2d(inputs, parameters[f"{self.name}.weight"], parameters[f"{self.name}.bias"], padding=1)

    def opened(self, parameters: Parameters, inputs: Float[Tensor, "batch inputs h w"]) -> tuple[Tensor, Kept]:
        return self.outputs(parameters, inputs), (inputs,)

    def tangent(self, anchor: Parameters, kept: Kept, displacement: Parameters, moved: Tensor | None) -> Tensor | None:
        weight, bias = displacement[f"{self.name}.weight"], displacement[f"{self.name}.bias"]
        own = conv2d(kept[0], weight, bias, padding=1)
        return own if moved is None else own + conv2d(moved, anchor[f"{self.name}.weight"], padding=1)

    def expanded(self, anchor: Parameters, kept: Kept, displacement: Parameters, inputs: Tensor) -> Tensor:
        bias = _moved_bias(self.name, anchor, displacement)
        own = conv2d(kept[0], displacement[f"{self.name}.weight"], bias, padding=1)
        return own + conv2d(inputs, anchor[f"{self.name}.weight"], padding=1)

    def pulled_back(
        self, anchor: Parameters, kept: Kept, sensitivity: Tensor, *, further: bool
    ) -> tuple[Parameters, Tensor | None]:
        filters, wanted = anchor[f"{self.name}.weight"], (further, True, True)
        inputs, weight, bias = torch.ops.aten.convolution_backward(
            sensitivity, kept[0], filters, [self.channels_out], (1, 1), (1, 1), (1, 1), False, (0, 0), 1, wanted
        )
        return {f"{self.name}.weight": weight, f"{self.name}.bias": bias}, inputs

    @property
    def kernel_width(self) -> int:
        return self.channels_out * (9 * self.channels_in + 1)

    def multiplications(self, kept: Kept) -> int:
        return 9 * self.channels_in * self.channels_out * math.prod(kept[0].shape[-2:])

    def kernel(self, kept: Kept, sensitivity: Float[Tensor, "samples classes outputs h w"]) -> Tensor:
        """Return the products of the samples' gradients, each a sum over the places of the image."""
        patches = unfold(kept[0], 3, padding=1).mT
        places = sensitivity.flatten(3)
        weights = torch.matmul(places.flatten(1, 2), patches).unflatten(1, places.shape[1:3])
        gradients = torch.cat([weights.flatten(2), places.sum(3)], 2).flatten(0, 1)
        return gradients @ gradients.T

    def squared_norms(self, kept: Kept, sensitivity: Float[Tensor, "samples outputs h w"]) -> Float[Tensor, " samples"]:
        """Return the squares summed over a sample's gradient, or over products of places where these are fewer.

        Source: Bu et al., arXiv 2205.10683, section 3 (mixed ghost clipping).
        """
        patches, places = unfold(kept[0], 3, padding=1), sensitivity.flatten(2)
        of_bias = places.sum(2).square().sum(1)
        if 2 * places.shape[2] ** 2 < places.shape[1] * patches.shape[1]:
            return (places.mT @ places * (patches.mT @ patches)).sum((1, 2)) + of_bias
        return (places @ patches.mT).square().sum((1, 2)) + of_bias


def _moved_bias(layer: str, anchor: Parameters, displacement: Parameters) -> Tensor | None:
    """Return the bias where the displacement leads, None of a layer without one."""
    bias = anchor.get(f"{layer}.bias")
    return None if bias is None else bias + displacement[f"{layer}.bias"]


def _affine(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return W x + b of every sample."""
    if weight.ndim == 2 and weight.shape[0] > _NARROW:
        return linear(inputs, weight, bias)
    return _plus_products(None if bias is None else bias[..., None, :], inputs, weight)


def _plus_products(start: Tensor | None, inputs: Tensor, weight: Tensor) -> Tensor:
    """Return start + W x of every sample."""
    if weight.shape[-2] > _NARROW:
        return _plus_product(start, inputs, weight.mT)
    # A product with few columns takes MKL three to five times as long as its transpose, with few rows.
    return _plus_product(None if start is None else start.mT, weight, inputs.mT).mT


def _plus_product(start: Tensor | None, left: Tensor, right: Tensor) -> Tensor:
    if start is None:
        return left @ right
    return torch.addmm(start, left, right) if left.ndim == 2 else torch.baddbmm(start, left, right)


def _shapes(name: str, weight: tuple[int, ...], bias: bool) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": weight} | ({f"{name}.bias": weight[:1]} if bias else {})
