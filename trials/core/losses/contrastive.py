"""Contrastive losses: outputs are features of pairs of views, the first half of a batch and then the second.

They couple their samples, and know no targets: what stands there is not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trials.core.losses.loss import Loss, no_answers

if TYPE_CHECKING:
    from jaxtyping import Float


def mean_spectral(outputs: Float[Tensor, "2*pairs features"], targets: Tensor) -> Float[Tensor, ""]:
    """Return -2 E[f(x) . f(x+)] + E[(f(x) . f(x-))^2], over pairs of views and over views of different pairs.

    Source: HaoChen, Wei, Gaidon and Ma, arXiv 2106.04156, equation 6.
    """
    one, other = outputs.chunk(2)
    products = one @ other.T
    apart = ~torch.eye(len(one), dtype=torch.bool, device=outputs.device)
    return -2 * (one * other).sum(1).mean() + products[apart].square().mean()


spectral = Loss(mean_spectral, right=no_answers)
