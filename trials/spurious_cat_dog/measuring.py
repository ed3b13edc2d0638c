"""How a trial with a spurious feature is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trials.core.layer_groups.training import measured, network_at, seen_fit
from trials.spurious_cat_dog.changes import relative_drifts, sensitivities
from trials.spurious_cat_dog.measurements import LOST_BELOW

if TYPE_CHECKING:
    from typing import Any

    from torch import Tensor

    from trials.core.layer_groups.groups import Freezing, LayerGroups
    from trials.core.rows import Value
    from trials.core.training.course import Moment
    from trials.spurious_cat_dog.image_sets import Views


@dataclass(frozen=True, kw_only=True)
class ViewsMeasured:
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

    def row(self, now: Moment[Any, Lost]) -> dict[str, Value]:
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


@dataclass(frozen=True)
class Lost:
    """What earlier rows leave for later ones: epochs at the first row below `LOST_BELOW`; None if there was none."""

    epochs: float | None = None

    def after(self, epoch: float, row: Mapping[str, Value]) -> Lost:
        """Return what the row at an epoch leaves; that before training does not count."""
        if self.epochs is not None or epoch == 0 or float(row["acc_clean"] or 0) >= LOST_BELOW:
            return self
        return Lost(epoch)
