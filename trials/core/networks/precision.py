"""Precision: of a network's numbers, or of its products alone: bfloat16 or TF32 beside float32 everywhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from trials.core.choices import HALF, TENSOR_FLOAT
from trials.core.networks.chain import Chain, Opened
from trials.core.networks.layers import Kept
from trials.core.networks.network import Forward, Network
from trials.core.parameters import Parameters

if TYPE_CHECKING:
    from jaxtyping import Float

PRECISIONS: Mapping[str, torch.dtype] = MappingProxyType(
    {"float32": torch.float32, "float64": torch.float64, HALF: torch.float32, TENSOR_FLOAT: torch.float32}
)
"""Name -> numbers of parameters and inputs."""
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class HalfForward:
    """A function of parameters and inputs, given in float32, with its products in bfloat16; it returns float32."""

    forward: Forward

    def __call__(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        with _in_half(inputs):
            return self.forward(parameters, inputs).float()


@dataclass(frozen=True)
class HalfChain(Chain):
    """A chain with its products in bfloat16, also those of its derivative; what it returns is float32.

    Outputs and how far they move are added in float32: between two feature updates the one is large and fixed, and the
    other is all that training changes.
    """

    rounds_products: ClassVar[bool] = True

    def __call__(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        with _in_half(inputs):
            return super().__call__(parameters, inputs).float()

    def opened(self, parameters: Parameters, inputs: Tensor) -> Opened:
        """Return the outputs in float32, and what the derivative needs as it is, mostly bfloat16."""
        with _in_half(inputs):
            opened = super().opened(parameters, inputs)
        return Opened(opened.outputs.float(), opened.kept)

    def tangent(self, anchor: Parameters, kept: tuple[Kept, ...], displacement: Parameters) -> Tensor:
        with _in_half(next(iter(displacement.values()))):
            return super().tangent(anchor, kept, displacement).float()

    def pulled_back(
        self, anchor: Parameters, kept: tuple[Kept, ...], sensitivity: Float[Tensor, "samples classes"]
    ) -> Parameters:
        gradient = super().pulled_back(*_halved(anchor, kept, sensitivity))
        return {name: value.float() for name, value in gradient.items()}

    def squared_norms(
        self, anchor: Parameters, kept: tuple[Kept, ...], sensitivity: Float[Tensor, "samples classes"]
    ) -> Float[Tensor, " samples"]:
        return super().squared_norms(*_halved(anchor, kept, sensitivity)).float()


def in_precision(network: Network, precision: str) -> Network:
    """Return the network with products in one of `PRECISIONS`; its features, which are compared, stay as they were."""
    if precision != HALF:
        return network
    forward = network.forward
    halved = HalfChain(forward.layers) if isinstance(forward, Chain) else HalfForward(forward)
    return replace(network, forward=halved)


@contextmanager
def products_in(precision: str, device: torch.device = _CPU) -> Iterator[None]:
    """Round the factors of float32 products on a GPU to TF32, which has 10 bits, or keep all their bits, for a while.

    Left to itself PyTorch rounds those of convolutions and not those of matrices. The setting is the process's. It may
    also decorate a function.

    Raises:
        ValueError: TF32 is asked for on a device that has none.
    """
    if precision == TENSOR_FLOAT and device.type != "cuda":
        raise ValueError(
            f"precision={TENSOR_FLOAT} needs a GPU, this trial is on a {device.type}: take float32 or {HALF}"
        )
    backends: Any = torch.backends
    kinds = (backends.cuda.matmul, backends.cudnn.conv)
    before = [kind.fp32_precision for kind in kinds]
    for kind in kinds:
        kind.fp32_precision = "tf32" if precision == TENSOR_FLOAT else "ieee"
    try:
        yield
    finally:
        for kind, earlier in zip(kinds, before, strict=True):
            kind.fp32_precision = earlier


def _halved(
    anchor: Parameters, kept: tuple[Kept, ...], sensitivity: Tensor
) -> tuple[Parameters, tuple[Kept, ...], Tensor]:
    halved = {name: value.bfloat16() for name, value in anchor.items()}
    return halved, tuple(tuple(_half(tensor) for tensor in of_layer) for of_layer in kept), sensitivity.bfloat16()


def _half(tensor: Tensor) -> Tensor:
    return tensor.bfloat16() if tensor.is_floating_point() else tensor


def _in_half(like: Tensor) -> torch.autocast:
    # Casts that were kept would hide that parameters have moved.
    return torch.autocast(like.device.type, torch.bfloat16, cache_enabled=False)
