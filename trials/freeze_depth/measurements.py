"""What fine-tuning over the frozen depth measures: a row a part of the network, and one of the whole, an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from trials.core.rows import Measurement
from trials.freeze_depth.birds.groups import GROUPING
from trials.freeze_depth.fine_tuning.measurements import course_measurements

MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType(
    {
        "part": Measurement(meaning="part of the network, or all of it", type=str, inner_axis=True),
        "grad_norm": Measurement(meaning="norm of the last batch's gradient; none where nothing trains"),
        "grad_norm_per_sqrt_param": Measurement(meaning="grad_norm over the square root of the number of its entries"),
        "weight_norm": Measurement(meaning="norm of the parameters"),
        "weight_drift_rel": Measurement(
            meaning="distance of the parameters from where they began, over their norm there"
        ),
        **course_measurements(GROUPING),
        "pretrain_acc": Measurement(meaning="accuracy in pretraining, on unseen images; in the sweep only"),
        "num_trainable": Measurement(meaning="parameters that train", unit="parameters", type=int),
        "num_frozen": Measurement(meaning="parameters that are frozen", unit="parameters", type=int),
        "cached_parts": Measurement(
            meaning="frozen parts that training images pass once, before training; the others in every step",
            unit="parts",
            type=int,
        ),
        "frozen_parameters": Measurement(meaning="names of the frozen parameters", type=str),
    }
)
