"""Changes of a network: of its activations with its inputs, and of its parameters with training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float, Float64
    from torch import Tensor

    from trials.core.layer_groups.groups import LayerGroups

_SAMPLES = 128


def sensitivities(
    groups: LayerGroups, inputs: Float[Tensor, "samples ..."], changed: Float[Tensor, "samples ..."]
) -> list[float]:
    """Return for each depth 0, 1, ... up to the head how far a change moves the activations, against other inputs.

    At depth k it is mean |h_k(x') - h_k(x)|^2 / mean |h_k(x) - h_k(y)|^2 in eval mode, with x' the changed x, and y
    each of the other inputs, of which there must be one: the mean over pairs is twice the variance.
    """
    groups.eval()
    sums = [torch.zeros(2, dtype=torch.float64, device=inputs.device) for _ in groups.names]
    totals: list[Tensor] = [torch.zeros((), dtype=torch.float64, device=inputs.device) for _ in groups.names]
    with torch.no_grad():
        for hidden, other in zip(inputs.split(_SAMPLES), changed.split(_SAMPLES), strict=True):
            for depth in range(len(groups)):
                sums[depth] += _squares(hidden, other)
                totals[depth] = totals[depth] + hidden.flatten(1).double().sum(0)
                hidden, other = (groups.forward_range(one, depth, depth + 1) for one in (hidden, other))
    samples = len(inputs)
    ratios = []
    for (moved, squares), total in zip(sums, totals, strict=True):
        between_pairs = 2 * (squares - total.square().sum() / samples) / (samples - 1)
        ratios.append(moved / samples / between_pairs)
    return torch.stack(ratios).tolist()


def _squares(hidden: Float[Tensor, "batch ..."], other: Float[Tensor, "batch ..."]) -> Float64[Tensor, " 2"]:
    """Return the sums of the squares of the difference and of the activations: 10^7 of them, too many for float32."""
    here, there = hidden.flatten(1).double(), other.flatten(1).double()
    return torch.stack([(there - here).square().sum(), here.square().sum()])


def relative_drifts(groups: LayerGroups, initial: Mapping[str, Tensor]) -> dict[str, float]:
    """Return by part the distance of its parameters from `initial`, by name, relative to their norm there."""
    drifts = []
    for part in groups.names:
        now = {f"{part}.{name}": value for name, value in groups.get_submodule(part).named_parameters()}
        moved = torch.stack([(value.detach() - initial[name]).square().sum() for name, value in now.items()]).sum()
        drifts.append((moved / torch.stack([initial[name].square().sum() for name in now]).sum()).sqrt())
    return dict(zip(groups.names, torch.stack(drifts).tolist(), strict=True))
