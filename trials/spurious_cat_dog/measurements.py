"""What a trial with a spurious feature measures."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from trials.core.layer_groups.knobs import RESIDUAL_PARTS
from trials.core.rows import Measurement

LOST_BELOW = 0.6
"""Accuracy on clean images below which the right features count as lost."""

_SEEN = "the training images since the last row, as they were seen"
_AT_ENDS = "squared change by the feature relative to that by another image, in the first and the last row"
_DRIFT = "distance of the parameters from where training began, relative to their norm there; in the last row"
_ACTIVATIONS = ("the input", *RESIDUAL_PARTS[:-2], f"{RESIDUAL_PARTS[-2]} after pooling")

MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType(
    {
        "epoch": Measurement(meaning="epochs trained so far", unit="epochs"),
        "lr": Measurement(meaning="learning rate of the step that comes next"),
        "train_loss": Measurement(meaning=f"cross-entropy on {_SEEN}", unit="nats"),
        "train_acc": Measurement(meaning=f"accuracy on {_SEEN}"),
        "acc_clean": Measurement(meaning="accuracy on the test images without the feature"),
        "acc_spurious": Measurement(meaning="accuracy on the test images with the feature of their class"),
        "acc_conflict": Measurement(meaning="accuracy on the test images with the feature of the other class"),
        "acc_worst": Measurement(meaning="the smaller of acc_spurious and acc_conflict: the worst of two equal groups"),
        "acc_pretrained": Measurement(meaning="accuracy of the pretrained network on the clean test images; part B"),
        "epochs_to_acc_clean_below_0_6": Measurement(
            meaning="epochs at the first row after the first whose acc_clean is below 0.6", unit="epochs"
        ),
        "num_trainable": Measurement(meaning="parameters that train", type=int),
        "num_frozen": Measurement(meaning="parameters that are frozen", type=int),
        "prefix_cached": Measurement(meaning="whether training ran on stored activations of frozen parts", type=bool),
        **{
            f"sens_depth_{depth}": Measurement(meaning=f"sensitivity of {name}: {_AT_ENDS}")
            for depth, name in enumerate(_ACTIVATIONS)
        },
        **{
            f"weight_drift_rel_{part.replace(' ', '_')}": Measurement(meaning=f"drift of {part}: {_DRIFT}")
            for part in RESIDUAL_PARTS
        },
    }
)
