"""Gradients of a loss of a chain's linearisation, computed as they stand or by code that PyTorch compiles of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

from trials.core.networks.chain import Chain, Opened

if TYPE_CHECKING:
    from jaxtyping import Float, Int64
    from torch import Tensor

    from trials.core.losses.classification import Loss
    from trials.core.networks.network import Network
    from trials.core.parameters import Parameters

Slope = Callable[[Callable[["Tensor"], "Tensor"], "Tensor"], "Tensor"]


def gradient_at(
    chain: Chain,
    anchor: Parameters,
    displacement: Parameters | None,
    inputs: Float[Tensor, "batch ..."],
    labels: Int64[Tensor, " batch"],
    loss: Loss,
) -> Parameters:
    """Return the gradient of a loss of f(anchor) + J(anchor) displacement, with one pass at the anchor.

    Args:
        chain: The network f.
        anchor: Where it is linearised.
        displacement: From there to where the gradient is taken; None if that is the anchor itself.
        inputs: The samples.
        labels: Theirs.
        loss: What is differentiated.
    """
    return _way(chain, _at)(chain, anchor, displacement, inputs, labels, loss)


def gradient_of_opened(
    chain: Chain,
    anchor: Parameters,
    displacement: Parameters | None,
    opened: Opened,
    labels: Int64[Tensor, " batch"],
    loss: Loss,
) -> Parameters:
    """Return the same where the pass at the anchor has been made: J^T times the derivative of the loss in the outputs.

    Args:
        chain: The network f.
        anchor: Where it is linearised.
        displacement: From there to where the gradient is taken; None if that is the anchor itself.
        opened: The pass of the samples at the anchor.
        labels: Theirs.
        loss: What is differentiated.
    """
    return _way(chain, _of_opened)(chain, anchor, displacement, opened, labels, loss)


def compiled_network(network: Network, *, wanted: bool) -> Network:
    """Return the network with gradients by compiled code, which agree to rounding, or as it is if they are not wanted.

    Raises:
        ValueError: It is no chain, or this machine has no compiler.
    """
    if not wanted:
        return network
    if not isinstance(network.forward, Chain):
        raise ValueError("compiled=true needs a network that is a chain of layers: mlp, cnn_s or cnn_l")
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise ValueError(f"compiled=true needs a C++ compiler, and {compiler} is not on the PATH")
    return replace(network, forward=replace(network.forward, compiled=True))


def _at(
    chain: Chain,
    anchor: Parameters,
    displacement: Parameters | None,
    inputs: Tensor,
    labels: Tensor,
    loss: Loss,
    slope: Slope,
) -> Parameters:
    with torch.no_grad():
        opened = chain.opened(anchor, inputs)
    return _of_opened(chain, anchor, displacement, opened, labels, loss, slope)


def _of_opened(
    chain: Chain,
    anchor: Parameters,
    displacement: Parameters | None,
    opened: Opened,
    labels: Tensor,
    loss: Loss,
    slope: Slope,
) -> Parameters:
    with torch.no_grad():
        outputs = opened.outputs
        if displacement is not None:
            outputs = outputs + chain.tangent(anchor, opened.kept, displacement)
        sensitivity = slope(lambda moved: loss(moved, labels), outputs)
        return chain.pulled_back(anchor, opened.kept, sensitivity)


def _by_tape(function: Callable[[Tensor], Tensor], outputs: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = outputs.detach().requires_grad_()
        return torch.autograd.grad(function(leaf), leaf)[0]


def _by_transform(function: Callable[[Tensor], Tensor], outputs: Tensor) -> Tensor:
    """Return the same by a transform, which PyTorch can compile; as it stands it takes longer than the tape."""
    return torch.func.grad(function)(outputs)


def _way(chain: Chain, function: Callable[..., Parameters]) -> Callable[..., Parameters]:
    return _compiled(function) if chain.compiled else _plain(function)


@cache
def _plain(function: Callable[..., Parameters]) -> Callable[..., Parameters]:
    return lambda *arguments: function(*arguments, _by_tape)


@cache
def _compiled(function: Callable[..., Parameters]) -> Callable[..., Parameters]:
    compiled: Any = torch.compile(function, dynamic=False)
    return lambda *arguments: compiled(*arguments, _by_transform)
