"""What a trial with a spurious feature begins with, and how it is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from trials.core.augmentation.fixed_set import fixed_set
from trials.core.augmentation.transforms import TRANSFORMS
from trials.core.layer_groups.groups import freeze
from trials.core.layer_groups.prefix import prefix_activations
from trials.core.layer_groups.training import fit_of, network_at, seen_fit
from trials.core.training.batches import epochs, seen_anew
from trials.core.training.schedules import batches_an_epoch
from trials.spurious_cat_dog.changes import relative_drifts, sensitivities
from trials.spurious_cat_dog.image_sets import chosen_images, seen_in_training, views_of_test
from trials.spurious_cat_dog.knobs import ARMS
from trials.spurious_cat_dog.pretraining import first_network

if TYPE_CHECKING:
    from typing import Any

    from torch import Tensor

    from trials.core.context import TrialContext
    from trials.core.layer_groups.groups import Freezing, LayerGroups
    from trials.core.rows import Value
    from trials.core.training.batches import Sees
    from trials.core.training.course import Moment
    from trials.spurious_cat_dog.image_sets import Views
    from trials.spurious_cat_dog.knobs import CatDogKnobs


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

    def row(self, now: Moment[Any, Any]) -> dict[str, Value]:
        """Return what is measured at a moment."""
        network_at(now)
        train = None if now.seen is None else seen_fit(now.seen)
        ends = now.step == 0 or now.last
        moved = sensitivities(self.groups, self.inputs.clean.inputs, self.inputs.spurious.inputs) if ends else []
        drifts = relative_drifts(self.groups, self.initial) if now.last else {}
        return {
            "train_loss": train and train.loss,
            "train_acc": train and train.accuracy,
            **self._accuracies(),
            "acc_pretrained": self.accuracy,
            "num_trainable": self.freezing.num_trainable,
            "num_frozen": self.freezing.num_frozen,
            "prefix_cached": self.start > 0,
            **{f"sens_depth_{depth}": value for depth, value in enumerate(moved)},
            **{f"weight_drift_rel_{part.replace(' ', '_')}": value for part, value in drifts.items()},
        }

    def _accuracies(self) -> dict[str, Value]:
        views = self.views.clean, self.views.spurious, self.views.conflict
        clean, spurious, conflict = (
            None if view is None else fit_of(self.groups, view, start=self.start).accuracy for view in views
        )
        worst = min(accuracy for accuracy in (spurious, conflict) if accuracy is not None)
        return {"acc_clean": clean, "acc_spurious": spurious, "acc_conflict": conflict, "acc_worst": worst}


def views_and_steps(knobs: CatDogKnobs, context: TrialContext) -> tuple[ViewsMeasured, Sees, int]:
    """Return the network with what its rows are measured with, what each step sees, and the steps of an epoch."""
    knobs.refuse_unfit({knobs.data.name: context.arrays(knobs.data.name)})
    train, test = chosen_images(context, knobs.data, knobs.train_per_class, knobs.test_per_class)
    epoch_steps = batches_an_epoch(len(train), knobs.batch_size)
    transform = TRANSFORMS.get(ARMS[knobs.augmentation].transform)
    fill = partial(fixed_set, knobs=knobs.rows, data=knobs.data.name, seed=knobs.seed, border=0.0)
    seen = seen_in_training(train, knobs.training_feature, knobs.seed, transform, "augmentation", fill)
    inputs = views = views_of_test(test, knobs.feature, knobs.seed)
    groups, accuracy = first_network(knobs, train.images.pixels.shape[1], context)
    freezing = freeze(groups, knobs.freeze_depth, statistics=knobs.keep_statistics)
    start = knobs.freeze_depth if knobs.prefix_cache and not knobs.changes_by_visit else 0
    if start:
        images, labels = seen(0, torch.arange(len(train), device=context.device))
        hidden, *stored = prefix_activations(groups, [images, *inputs.inputs], start)
        views = inputs.of(stored)

    def form(step: int, rows: Tensor) -> tuple[Tensor, Tensor]:
        return (hidden[rows], labels[rows]) if start else seen(step // epoch_steps, rows)

    draw = epochs(knobs.seed, len(train), knobs.batch_size, context.device)
    instruments = ViewsMeasured(
        groups=groups,
        freezing=freezing,
        initial={name: value.detach().clone() for name, value in groups.named_parameters()},
        accuracy=accuracy,
        start=start,
        views=views,
        inputs=inputs,
    )
    return instruments, seen_anew(form, draw), epoch_steps
