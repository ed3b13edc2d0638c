"""Measurements of sharpness-aware minimisation: how far each feature is learnt."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from trials.core.rows import Measurement

MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType(
    {
        "train_loss": Measurement(meaning="mean logistic loss of the network on the training examples"),
        "align_easy": Measurement(meaning="largest projection of a unit's weights on the easy feature"),
        "align_hard": Measurement(meaning="largest projection of a unit's weights on the difficult feature"),
        "test_acc": Measurement(meaning="accuracy of the network on fresh examples"),
        "test_acc_no_easy": Measurement(meaning="accuracy of the network on those without the easy feature"),
    }
)
