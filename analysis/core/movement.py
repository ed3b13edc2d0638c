"""What tells how far training has moved features and parameters, with the names of the axes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from analysis.core.figures import present

_MOVEMENT: Mapping[str, str] = MappingProxyType(
    {
        "ntk_distance": "distance of the tangent kernel\n(1 − cosine to initialisation)",
        "ntk_cka_target": "alignment of the tangent kernel\nwith the labels (centred cosine)",
        "rep_change": "change of the last hidden layer\n(relative to initialisation)",
        "param_dist": "distance of the parameters\n(relative to initialisation)",
        "num_feature_updates_effective": "effective number\nof feature updates",
    }
)
# From the input; the blocks of one stage count as one layer.
_LAYERS: Mapping[str, str] = MappingProxyType(
    {f"param_dist_layer_{layer}": f"distance of layer {layer}\n(relative to initialisation)" for layer in range(1, 9)}
)


def movement_labels(rows: pd.DataFrame) -> dict[str, str]:
    """Return the columns that these rows have of the movement of features and parameters, with their names."""
    return {name: label for name, label in _MOVEMENT.items() if present(rows, name)}


def layer_labels(rows: pd.DataFrame) -> dict[str, str]:
    """Return the columns that these rows have of the movement of each layer, with their names."""
    return {name: label for name, label in _LAYERS.items() if present(rows, name)}
