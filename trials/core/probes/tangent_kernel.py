"""The empirical tangent kernel of a chain, exact, layer by layer, without ever forming the Jacobian of the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.linalg import matrix_norm

from trials.core.networks.layers import Weighted

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from trials.core.networks.chain import Chain
    from trials.core.parameters import Parameters

_MATRIX = (-2, -1)


def tangent_kernel(
    network: Chain, parameters: Parameters, inputs: Float[Tensor, "*trainings samples ..."]
) -> Float[Tensor, "*trainings samples*classes samples*classes"]:
    """Return J J^T at the parameters, rows and columns ordered by sample and then by class.

    Layers that take a first axis over trainings give the kernel of each.

    Layer l adds the products of (d output / d z_l) (d z_l / d theta_l), z_l what the layer returns. The first factor
    takes a reverse pass for each class, of all samples at once, since no sample's output depends on another sample.

    Source: Jacot et al., arXiv 1806.07572, section 4; Novak et al., arXiv 2206.08720, section 3.3.
    """
    layers, kept, returned = [], [], []
    with torch.enable_grad():
        for layer in network.layers:
            inputs, of_layer = layer.opened(parameters, inputs)
            if isinstance(layer, Weighted):
                # The first of these begins the graph; the parameters themselves are no part of it.
                inputs = inputs if inputs.requires_grad else inputs.requires_grad_()
                layers.append(layer)
                kept.append(of_layer)
                returned.append(inputs)
        passes = [torch.autograd.grad(outputs.sum(), returned, retain_graph=True) for outputs in inputs.unbind(-1)]
    with torch.no_grad():
        after_samples = inputs.ndim - 1
        sensitivities = (torch.stack(of_classes, after_samples) for of_classes in zip(*passes, strict=True))
        parts = (layer.kernel(own, seen) for layer, own, seen in zip(layers, kept, sensitivities, strict=True))
        total = next(parts)
        for part in parts:
            total += part
    return total


def trace_kernel(kernel: Float[Tensor, "*trainings n*c n*c"], classes: int) -> Float[Tensor, "*trainings n n"]:
    """Return the kernel of samples: the mean over classes c of the entries ((i, c), (j, c))."""
    blocks = kernel.unflatten(-1, (-1, classes)).unflatten(-3, (-1, classes))
    return blocks.diagonal(dim1=-3, dim2=-1).mean(-1)


def cosine(
    kernel: Float[Tensor, "*trainings n n"], other: Float[Tensor, "*trainings n n"]
) -> Float[Tensor, "*trainings"]:
    """Return <A, B> / (||A|| ||B||) of two matrices."""
    return (kernel * other).sum(_MATRIX) / (matrix_norm(kernel) * matrix_norm(other))


def kernel_distance(
    kernel: Float[Tensor, "*trainings n n"], other: Float[Tensor, "*trainings n n"]
) -> Float[Tensor, "*trainings"]:
    """Return 1 - cosine of two matrices.

    It is computed as half the squared distance of the two at norm 1: of the cosine of kernels that have hardly moved,
    whose distance is of the order of rounding, the difference from 1 would keep no digits.

    Source: Fort et al., arXiv 2010.15110, who use it for tangent kernels.
    """
    return (_at_norm_one(kernel) - _at_norm_one(other)).square().sum(_MATRIX) / 2


def centred_alignment(
    kernel: Float[Tensor, "*trainings n n"], other: Float[Tensor, "*trainings n n"]
) -> Float[Tensor, "*trainings"]:
    """Return the cosine of H A H and H B H, H = I - 1 1^T / n.

    Source: Cortes, Mohri, Rostamizadeh, arXiv 1203.0550, definition 4; Kornblith et al., arXiv 1905.00414, section 3.
    """
    return cosine(_centred(kernel), _centred(other))


def _centred(kernel: Float[Tensor, "*trainings n n"]) -> Float[Tensor, "*trainings n n"]:
    rows = kernel.mean(-1, keepdim=True)
    return kernel - kernel.mean(-2, keepdim=True) - rows + rows.mean(-2, keepdim=True)


def _at_norm_one(kernel: Float[Tensor, "*trainings n n"]) -> Float[Tensor, "*trainings n n"]:
    return kernel / matrix_norm(kernel, keepdim=True)
