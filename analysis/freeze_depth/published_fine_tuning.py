"""Published accuracies of CLIP ViT-B/16 fine-tuned on Waterbirds, as shares of one.

Source: `DEPTHS` from slides of R. Shen with S. Bubeck, S. Gunasekar and A. Kumar; `METHODS` and `RATES` from the
notebook of the code released with Kumar, Shen, Bubeck and Gunasekar, arXiv 2211.09359 (AnanyaKumar/transfer_learning).
Epoch and learning rate are chosen on the test groups throughout.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

DEPTHS = pd.DataFrame(
    {
        "freeze_depth": [0, 1, 4, 7, 10, 13],
        "foreground": [0.6199, 0.7404, 0.7394, 0.7601, 0.7279, 0.7466],
        "background": [0.8896, 0.8878, 0.8785, 0.8915, 0.8912, 0.8894],
    }
)
"""Worst groups of both tasks; frozen are 0 = nothing, 1 = the embedding, 1 + m = the first m of 12 blocks as well."""

METHODS = pd.DataFrame(
    [
        ("SGD", 0.972, 0.001, 0.625, 0.050),
        ("AdamW", 0.977, 0.000, 0.719, 0.024),
        ("SGD, embedding frozen", 0.978, 0.001, 0.737, 0.011),
        ("SGD, patches' convolution frozen", 0.980, None, 0.743, None),
        ("SGD, layers unfrozen one by one", 0.983, 0.000, 0.691, 0.034),
        ("SGD without momentum", 0.971, None, 0.592, None),
        ("SGD, weight decay 0.01", 0.972, None, 0.651, None),
        ("SGD, embedding at a fifth of the rate", 0.975, None, 0.717, None),
        ("LAMB (one seed)", 0.978, None, 0.640, None),
        ("LARS (one seed)", 0.971, None, 0.486, None),
    ],
    columns=["method", "adjusted_avg", "adjusted_avg_deviation", "worst_group", "worst_group_deviation"],
).astype({"adjusted_avg_deviation": float, "worst_group_deviation": float})
"""Foreground, 20 epochs: means of three seeds and, where they were published, standard deviations over them."""

_LEARNING_RATES = (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
_WORST_GROUPS: Mapping[int, tuple[tuple[float, float, float], ...]] = MappingProxyType(
    {
        0: (
            (0.617, 0.576, 0.681),
            (0.488, 0.477, 0.368),
            (0.252, 0.234, 0.086),
            (0.103, 0.120, 0.051),
            (0.069, 0.040, 0.036),
            (0.065, 0.037, 0.034),
        ),
        1: (
            (0.673, 0.723, 0.735),
            (0.720, 0.759, 0.678),
            (0.731, 0.731, 0.751),
            (0.670, 0.710, 0.578),
            (0.405, 0.469, 0.132),
            (0.097, 0.056, 0.093),
        ),
    }
)
RATES = pd.DataFrame(
    [
        (depth, rate, seed, value)
        for depth, of_depth in _WORST_GROUPS.items()
        for rate, of_rate in zip(_LEARNING_RATES, of_depth, strict=True)
        for seed, value in enumerate(of_rate)
    ],
    columns=["freeze_depth", "learning_rate", "seed", "worst_group"],
)
"""Foreground, SGD with nothing and with the embedding frozen: the worst group of each of three seeds."""
