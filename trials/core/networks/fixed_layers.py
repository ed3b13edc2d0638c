"""Layers without parameters, of networks that are chains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d, pad, relu

from trials.core.networks.layers import Kept
from trials.core.parameters import Parameters


class _FixedLayer:
    """A function of the inputs alone, which scales with them: f(c x) = c f(x) for c > 0, and so f(x) = f'(x) x."""

    shapes: ClassVar[Mapping[str, tuple[int, ...]]] = {}

    def outputs(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        return self.opened(parameters, inputs)[0]

    def opened(self, parameters: Parameters, inputs: Tensor) -> tuple[Tensor, Kept]:
        raise NotImplementedError

    def tangent(self, anchor: Parameters, kept: Kept, displacement: Parameters, moved: Tensor | None) -> Tensor | None:
        return None if moved is None else self._pushed(kept, moved)

    def expanded(self, anchor: Parameters, kept: Kept, displacement: Parameters, inputs: Tensor) -> Tensor:
        # By f(x) = f'(x) x the derivative takes all of the inputs there.
        return self._pushed(kept, inputs)

    def pulled_back(
        self, anchor: Parameters, kept: Kept, sensitivity: Tensor, *, further: bool
    ) -> tuple[Parameters, Tensor | None]:
        return {}, self._pulled(kept, sensitivity) if further else None

    def _pushed(self, kept: Kept, moved: Tensor) -> Tensor:
        raise NotImplementedError

    def _pulled(self, kept: Kept, sensitivity: Tensor) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True)
class Relu(_FixedLayer):
    """x -> max(x, 0), with derivative 0 at 0."""

    def opened(self, parameters: Parameters, inputs: Tensor) -> tuple[Tensor, Kept]:
        outputs = relu(inputs)
        # Numbers rather than a mask: the next layer keeps the same tensor, and a product with a mask takes far longer.
        return outputs, (outputs,)

    def _pushed(self, kept: Kept, moved: Tensor) -> Tensor:
        return torch.ops.aten.threshold_backward(moved, kept[0], 0)

    def _pulled(self, kept: Kept, sensitivity: Tensor) -> Tensor:
        return self._pushed(kept, sensitivity)


@dataclass(frozen=True)
class AveragePool(_FixedLayer):
    """Means of 2x2 squares; an odd last row or column is dropped."""

    def opened(self, parameters: Parameters, inputs: Tensor) -> tuple[Tensor, Kept]:
        return _means(inputs), (_shape_of(inputs),)

    def _pushed(self, kept: Kept, moved: Tensor) -> Tensor:
        return _means(moved)

    def _pulled(self, kept: Kept, sensitivity: Tensor) -> Tensor:
        height, width = kept[0].shape[-3:-1]
        spread = (sensitivity / 4).repeat_interleave(2, -1).repeat_interleave(2, -2)
        odd = (0, width % 2, 0, height % 2)
        return pad(spread, odd) if any(odd) else spread


@dataclass(frozen=True)
class MaxPool(_FixedLayer):
    """Maxima of 2x2 squares; of equal ones the first, in its value and in its derivative."""

    def outputs(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        return max_pool2d(inputs, 2)

    def opened(self, parameters: Parameters, inputs: Tensor) -> tuple[Tensor, Kept]:
        outputs, places = max_pool2d(inputs, 2, return_indices=True)
        return outputs, (places.to(torch.int32), _shape_of(inputs))

    def _pushed(self, kept: Kept, moved: Tensor) -> Tensor:
        places = kept[0]
        return moved.flatten(-2).gather(-1, places.flatten(-2).long()).view(places.shape)

    def _pulled(self, kept: Kept, sensitivity: Tensor) -> Tensor:
        places, shape = kept[0].flatten(-2).long(), kept[1].shape[:-1]
        return sensitivity.new_zeros(shape).flatten(-2).scatter_(-1, places, sensitivity.flatten(-2)).view(shape)


@dataclass(frozen=True)
class Flatten(_FixedLayer):
    """Every sample, of so many `axes`, as one vector; whatever stands before them stays."""

    axes: int

    def opened(self, parameters: Parameters, inputs: Tensor) -> tuple[Tensor, Kept]:
        return inputs.flatten(-self.axes), (_shape_of(inputs),)

    def _pushed(self, kept: Kept, moved: Tensor) -> Tensor:
        return moved.flatten(-self.axes)

    def _pulled(self, kept: Kept, sensitivity: Tensor) -> Tensor:
        return sensitivity.view(kept[0].shape[:-1])


def _means(images: Tensor) -> Tensor:
    """Return `avg_pool2d(images, 2)`, to its last bit."""
    if torch.is_grad_enabled() or images.device.type != "cpu" or images.dtype == torch.bfloat16:
        return avg_pool2d(images, 2)
    # PyTorch goes through a CPU's memory a number at a time, which takes three times as long as these four passes.
    even = images[..., : images.shape[-2] // 2 * 2, : images.shape[-1] // 2 * 2]
    total = even[..., ::2, ::2] + even[..., ::2, 1::2]
    total += even[..., 1::2, ::2]
    total += even[..., 1::2, 1::2]
    return total.div_(4)


def _shape_of(inputs: Tensor) -> Tensor:
    """Return a tensor of no numbers, of the inputs' shape and an axis of length 0: samples can be chosen of it too."""
    return inputs.new_empty((*inputs.shape, 0))
