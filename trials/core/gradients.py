"""Gradients of a loss of a chain's linearisation, computed as they stand or by code that PyTorch compiles of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trials.core.losses.loss import Form, Loss
from trials.core.networks.chain import Chain, Opened
from trials.core.networks.network import Network
from trials.core.parameters import Parameters

if TYPE_CHECKING:
    from jaxtyping import Float, Int64


def linearised_gradient(
    chain: Chain,
    anchor: Parameters,
    displacement: Parameters | None,
    samples: Float[Tensor, "batch ..."] | Opened,
    labels: Int64[Tensor, " batch"],
    slope: Form,
) -> Parameters:
    """Return the gradient of a loss of f(anchor) + J(anchor) displacement: J^T times its derivative in the outputs.

    Args:
        chain: The network f.
        anchor: Where it is linearised.
        displacement: From there to where the gradient is taken; None if that is the anchor itself.
        samples: Inputs, which are passed through the network at the anchor, or that pass where it has been made.
        labels: What the slope compares outputs with.
        slope: (outputs, labels) -> the loss's derivative in the outputs; of several trainings that of each.
    """
    way = _compiled() if chain.compiled else _gradient
    return way(chain, anchor, displacement, samples, labels, slope)


def linearised_norms(
    chain: Chain,
    anchor: Parameters,
    displacement: Parameters | None,
    samples: Float[Tensor, "batch ..."] | Opened,
    targets: Tensor,
    loss: Loss,
) -> Float[Tensor, " batch"]:
    """Return the norm of the gradient of each sample's own loss; see `linearised_gradient`."""
    with torch.no_grad():
        opened, outputs = _passed(chain, anchor, displacement, samples)
        of_each = loss.sensitivity(outputs, targets, outputs.new_ones(len(outputs)))
        return chain.squared_norms(anchor, opened.kept, of_each).sqrt()


def compiled_network(network: Network, *, wanted: bool) -> Network:
    """Return the network with gradients by compiled code, which agree to rounding, or as it is if they are not wanted.

    Raises:
        ValueError: This machine has no compiler.
        TypeError: It is no chain.
    """
    if not wanted:
        return network
    if not isinstance(network.forward, Chain):
        raise TypeError("only a chain of layers can be compiled")
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise ValueError(f"compiled=true needs a C++ compiler, and {compiler} is not on the PATH")
    return replace(network, forward=replace(network.forward, compiled=True))


def _gradient(
    chain: Chain,
    anchor: Parameters,
    displacement: Parameters | None,
    samples: Tensor | Opened,
    labels: Tensor,
    slope: Form,
) -> Parameters:
    with torch.no_grad():
        opened, outputs = _passed(chain, anchor, displacement, samples)
        return chain.pulled_back(anchor, opened.kept, slope(outputs, labels))


def _passed(
    chain: Chain, anchor: Parameters, displacement: Parameters | None, samples: Tensor | Opened
) -> tuple[Opened, Tensor]:
    """Return the pass at the anchor, and the outputs of the linearisation."""
    opened = samples if isinstance(samples, Opened) else chain.opened(anchor, samples)
    if displacement is None:
        return opened, opened.outputs
    return opened, opened.outputs + chain.tangent(anchor, opened.kept, displacement)


@cache
def _compiled() -> Callable[..., Parameters]:
    return torch.compile(_gradient, dynamic=False)
