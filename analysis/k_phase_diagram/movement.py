"""What tells how far training has moved features and parameters, with the names of the axes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

_MOVEMENT: Mapping[str, str] = MappingProxyType(
    {
        "ntk_distance": "distance of the tangent kernel\n(1 − cosine to initialisation)",
        "ntk_velocity": "velocity of the tangent kernel\n(1 − cosine to the row before, per step)",
        "ntk_cka_init": "alignment of the tangent kernel\nwith initialisation (centred cosine)",
        "ntk_cka_target": "alignment of the tangent kernel\nwith the labels (centred cosine)",
        "rep_change": "change of the last hidden layer\n(relative to initialisation)",
        "rep_cka": "CKA of the last hidden layer\nwith initialisation",
        "param_dist": "distance of the parameters\n(relative to initialisation)",
        "param_path": "path of the parameters over rounds\n(relative to initialisation)",
        "param_alignment": "share of the first layer\nin the relevant directions",
        "lin_gap": "gap of network and linearisation\n(relative to the round's move)",
        "num_feature_updates_effective": "effective number\nof feature updates",
    }
)
# From the input; the blocks of one stage count as one layer.
_LAYERS: Mapping[str, str] = MappingProxyType(
    {f"param_dist_layer_{layer}": f"distance of layer {layer}\n(relative to initialisation)" for layer in range(1, 9)}
)


def movement_labels(ends: pd.DataFrame, across: str) -> dict[str, str]:
    """Return the columns of the movement of features and parameters that have a curve over `across`, with their names.

    Args:
        ends: One row a trial, with its `outcome`.
        across: Column on the horizontal axis. What was measured at one value of it only would be an empty panel.
    """
    return _with_curves(_MOVEMENT, ends, across)


def layer_labels(ends: pd.DataFrame, across: str) -> dict[str, str]:
    """Return the columns of the movement of each layer that have a curve over `across`, with their names."""
    return _with_curves(_LAYERS, ends, across)


def _with_curves(labels: Mapping[str, str], ends: pd.DataFrame, across: str) -> dict[str, str]:
    finished = ends[ends["outcome"] == "finished"]
    return {
        name: label
        for name, label in labels.items()
        if name in finished and finished.loc[finished[name].notna(), across].nunique() > 1
    }
