"""What a trial with a spurious feature begins with."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from trials.core.augmentation.fixed_set import fixed_set
from trials.core.augmentation.transforms import TRANSFORMS
from trials.core.layer_groups.groups import freeze
from trials.core.layer_groups.prefix import prefix_activations
from trials.core.streams import batches_an_epoch
from trials.core.training.batches import epochs, seen_anew
from trials.spurious_cat_dog.image_sets import chosen_images, seen_in_training, views_of_test
from trials.spurious_cat_dog.knobs import ARMS
from trials.spurious_cat_dog.measuring import ViewsMeasured
from trials.spurious_cat_dog.pretraining import first_network

if TYPE_CHECKING:
    from torch import Tensor

    from trials.core.context import TrialContext
    from trials.core.training.batches import Sees
    from trials.spurious_cat_dog.knobs import CatDogKnobs


def prepared(knobs: CatDogKnobs, context: TrialContext) -> tuple[ViewsMeasured, Sees, int]:
    """Return the network with what its rows are measured with, what each step sees, and the steps of an epoch."""
    knobs.refuse_unfit({knobs.data.name: context.arrays(knobs.data.name)})
    train, test = chosen_images(context, knobs.data, knobs.train_per_class, knobs.test_per_class)
    epoch_steps = batches_an_epoch(len(train), knobs.batch_size)
    transform = TRANSFORMS.get(ARMS[knobs.augmentation].transform)
    fill = partial(fixed_set, knobs=knobs.rows, data=knobs.data, seed=knobs.seed, border=0.0)
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
