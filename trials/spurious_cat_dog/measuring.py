"""What a trial with a spurious feature measures, and with what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from trials.core.layer_groups.forward import network_at
from trials.core.layer_groups.residual import PARTS
from trials.core.layer_groups.training import measured, seen_fit
from trials.core.rows import Measurement, Value
from trials.spurious_cat_dog.drift import relative_drifts
from trials.spurious_cat_dog.sensitivity import sensitivities

if TYPE_CHECKING:
    from torch import Tensor

    from trials.core.layer_groups.freezing import Freezing
    from trials.core.layer_groups.groups import LayerGroups
    from trials.core.training.course import Moment
    from trials.spurious_cat_dog.image_sets import Views

LOST_BELOW = 0.6
"""Accuracy on clean images below which the right features count as lost."""

_SEEN = "the training images since the last row, as they were seen"
_AT_ENDS = "squared change by the feature relative to that by another image, in the first and the last row"
_DRIFT = "distance of the parameters from where training began, relative to their norm there; in the last row"
_ACTIVATIONS = ("the input", *PARTS[:-2], f"{PARTS[-2]} after pooling")

SPURIOUS_MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType(
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
            for part in PARTS
        },
    }
)


@dataclass(frozen=True, kw_only=True)
class Instruments:
    """The network that trains and what its rows are measured with.

    Attributes:
        groups: The network, which training changes.
        freezing: What of it is frozen.
        initial: Its parameters before training.
        accuracy: Accuracy of the pretrained network; None where nothing was pretrained.
        start: How many parts the stored activations have passed; 0 where images are seen anew at each step.
        views: The test images after these parts.
        inputs: The test images themselves.
    """

    groups: LayerGroups
    freezing: Freezing
    initial: Mapping[str, Tensor]
    accuracy: float | None
    start: int
    views: Views
    inputs: Views

    def row(self, now: Moment) -> dict[str, Value]:
        """Return what is measured at a moment."""
        network_at(now)
        train = None if now.seen is None else seen_fit(now.seen)
        ends = self._sensitivities() if now.step == 0 or now.last else {}
        return {
            "train_loss": train and train.loss,
            "train_acc": train and train.accuracy,
            **self._accuracies(),
            "acc_pretrained": self.accuracy,
            "num_trainable": self.freezing.num_trainable,
            "num_frozen": self.freezing.num_frozen,
            "prefix_cached": self.start > 0,
            **ends,
            **(self._drifts() if now.last else {}),
        }

    def _accuracies(self) -> dict[str, Value]:
        views = self.views.clean, self.views.spurious, self.views.conflict
        clean, spurious, conflict = (
            None if view is None else measured(self.groups, view, start=self.start).accuracy for view in views
        )
        worst = min(accuracy for accuracy in (spurious, conflict) if accuracy is not None)
        return {"acc_clean": clean, "acc_spurious": spurious, "acc_conflict": conflict, "acc_worst": worst}

    def _sensitivities(self) -> dict[str, Value]:
        found = sensitivities(self.groups, self.inputs.clean.inputs, self.inputs.spurious.inputs)
        return {f"sens_depth_{depth}": value for depth, value in enumerate(found)}

    def _drifts(self) -> dict[str, Value]:
        drifts = relative_drifts(self.groups, self.initial)
        return {f"weight_drift_rel_{part.replace(' ', '_')}": value for part, value in drifts.items()}


@dataclass(frozen=True, kw_only=True)
class Past:
    """What earlier rows leave for later ones: epochs at the first row below `LOST_BELOW`; None if there was none."""

    lost: float | None = None
