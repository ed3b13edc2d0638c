"""How far a network's tangent kernel has moved, and how well it fits the targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


def cosine_distance(one: Float[Tensor, "k k"], other: Float[Tensor, "k k"]) -> float:
    """Return 1 - <A, B> / (||A|| ||B||) in the Frobenius inner product: 0 where the kernels are proportional.

    Source: Fort et al., arXiv 2010.15110, section 2 (the kernel distance).
    """
    norms = torch.linalg.matrix_norm(one) * torch.linalg.matrix_norm(other)
    return 1 - float((one * other).sum() / norms)


def sample_kernel(kernel: Float[Tensor, "nc nc"], outputs: int) -> Float[Tensor, "n n"]:
    """Return the mean over outputs of the kernel's diagonal blocks, one entry for each pair of samples."""
    samples = len(kernel) // outputs
    return kernel.view(samples, outputs, samples, outputs).diagonal(dim1=1, dim2=3).mean(-1)


def centred_alignment(one: Float[Tensor, "n n"], other: Float[Tensor, "n n"]) -> float:
    """Return the cosine of two kernels after centring rows and columns.

    Source: Cortes, Mohri and Rostamizadeh, arXiv 1203.0550, section 2.2, definition 4.
    """
    return 1 - cosine_distance(_centred(one), _centred(other))


def _centred(kernel: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    return kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean()
