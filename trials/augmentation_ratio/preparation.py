"""What a training on rows of which few are distinct begins with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch

from trials.augmentation_ratio.arms import ARMS, augmented
from trials.augmentation_ratio.image_networks import IMAGE_NETWORKS, Shape, mlp_groups
from trials.augmentation_ratio.mixing import MIXINGS
from trials.core.augmentation.transforms import TRANSFORMS, on_grey
from trials.core.data.images import prepared_images
from trials.core.layer_groups.groups import freeze
from trials.core.streams import batches_an_epoch, drawn_from
from trials.core.training.batches import epochs, seen_anew

if TYPE_CHECKING:
    from torch import Tensor

    from trials.augmentation_ratio.arms import AugmentedImages
    from trials.augmentation_ratio.knobs import AugmentationKnobs
    from trials.core.context import TrialContext
    from trials.core.data.images import Images
    from trials.core.layer_groups.groups import LayerGroups
    from trials.core.training.batches import Sees


def prepared(knobs: AugmentationKnobs, context: TrialContext) -> tuple[LayerGroups, AugmentedImages, Images]:
    """Return the network before its first step, what it is trained on, and the test images.

    Raises:
        ValueError: The data do not suit the knobs.
    """
    arrays = context.arrays(knobs.data.name)
    images, test = prepared_images(arrays, knobs.data, context.device)
    knobs.refuse_unfit({knobs.data.name: arrays})
    if knobs.validation_size:
        images, test = images.held_out(knobs.validation_size)
    transform = TRANSFORMS[knobs.transform]
    train = augmented(
        images,
        ARMS[knobs.augmentation],
        on_grey(transform, images.grey) if knobs.border == "grey" else transform,
        ratio=knobs.ratio,
        seed=knobs.seed,
        exclude_identity=knobs.exclude_identity,
    )
    with drawn_from(knobs.seed, "initialisation"):
        groups = _network(knobs)(tuple(images.pixels.shape[1:]), images.classes).to(context.device)
    groups.to(memory_format=torch.channels_last)  # a quarter less time for convolutions and pooling on a CPU
    freeze(groups, knobs.freeze_depth, statistics=knobs.keep_statistics)
    return groups, train, test


def seen_by_steps(knobs: AugmentationKnobs, train: AugmentedImages, device: torch.device) -> Sees:
    """Return what each step sees: the same rows in every arm and at every ratio, transformed by visit, then mixed."""
    visit_steps = batches_an_epoch(len(train), knobs.batch_size)

    def form(step: int, rows: Tensor) -> tuple[Tensor, Tensor]:
        inputs, labels = train.batch(rows, visit=step // visit_steps)
        return MIXINGS[knobs.mixing](inputs, labels, train.images.classes, knobs.seed, step)

    return seen_anew(form, epochs(knobs.seed, len(train), knobs.batch_size, device))


def _network(knobs: AugmentationKnobs) -> Callable[[Shape, int], LayerGroups]:
    return partial(mlp_groups, width=knobs.width) if knobs.network == "mlp" else IMAGE_NETWORKS[knobs.network]
