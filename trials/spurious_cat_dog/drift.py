"""Drift: how far the parameters of each part have moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from trials.core.layer_groups.groups import LayerGroups


def relative_drifts(groups: LayerGroups, initial: Mapping[str, Tensor]) -> dict[str, float]:
    """Return by part the distance of its parameters from `initial`, relative to their norm there.

    Args:
        groups: The network.
        initial: Parameters by name, as `named_parameters` gives them.
    """
    drifts = []
    for part in groups.names:
        now = {f"{part}.{name}": value for name, value in groups.get_submodule(part).named_parameters()}
        moved = torch.stack([(value.detach() - initial[name]).square().sum() for name, value in now.items()]).sum()
        drifts.append((moved / torch.stack([initial[name].square().sum() for name in now]).sum()).sqrt())
    return dict(zip(groups.names, torch.stack(drifts).tolist(), strict=True))
