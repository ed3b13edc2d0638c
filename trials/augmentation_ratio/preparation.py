"""What a training on rows of which few are distinct begins with, and what its steps see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

from trials.augmentation_ratio.image_networks import IMAGE_NETWORKS, Shape, mlp_groups
from trials.core.augmentation.fixed_set import ARMS, FilledSet, filled
from trials.core.augmentation.transforms import TRANSFORMS, on_grey
from trials.core.data.examples import Examples
from trials.core.data.images import prepared_images
from trials.core.layer_groups.groups import freeze
from trials.core.layer_groups.own import own_groups
from trials.core.streams import drawn_from, generator
from trials.core.training.batches import epochs, seen_anew
from trials.core.training.schedules import batches_an_epoch
from trials.core.values import is_own

if TYPE_CHECKING:
    from jaxtyping import Float, Int64
    from torch import Tensor

    from trials.augmentation_ratio.knobs import AugmentationKnobs
    from trials.core.context import TrialContext
    from trials.core.data.images import Images
    from trials.core.layer_groups.groups import LayerGroups
    from trials.core.training.batches import Sees


MIXUP_CONCENTRATION, CUTMIX_CONCENTRATION = 0.8, 1.0
Batch = tuple["Tensor", "Tensor"]
Mixing = Callable[["Tensor", "Tensor", int, int, int], Batch]


def unmixed(
    inputs: Float[Tensor, "batch ..."], labels: Int64[Tensor, " batch"], classes: int, seed: int, step: int
) -> Batch:
    """Return the batch as it is."""
    return inputs, labels


def mixup_or_cutmix(
    inputs: Float[Tensor, "batch channels height width"],
    labels: Int64[Tensor, " batch"],
    classes: int,
    seed: int,
    step: int,
) -> tuple[Float[Tensor, "batch channels height width"], Float[Tensor, "batch classes"]]:
    """Return each image mixed with its neighbour in the batch by one of two rules, and the labels in proportion.

    Which rule, and the share, are functions of (seed, step).

    Source: Zhang et al., arXiv 1710.09412, section 2; Yun et al., arXiv 1905.04899, section 3.1.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator(seed, "mixing", step).initial_seed())
        return _rule(classes)(inputs, labels)


@lru_cache(maxsize=4)
def _rule(classes: int) -> Callable[[Tensor, Tensor], Batch]:
    from torchvision.transforms import v2

    mixup = v2.MixUp(alpha=MIXUP_CONCENTRATION, num_classes=classes)
    return v2.RandomChoice([mixup, v2.CutMix(alpha=CUTMIX_CONCENTRATION, num_classes=classes)])


MIXINGS: Mapping[str, Mixing] = MappingProxyType({"none": unmixed, "mixup_or_cutmix": mixup_or_cutmix})


def network_and_images(
    knobs: AugmentationKnobs, context: TrialContext
) -> tuple[LayerGroups, FilledSet, Images, Images]:
    """Return the network before its first step, its rows before they are normalised, their images and the test images.

    Raises:
        ValueError: The data do not suit the knobs.
    """
    arrays = context.arrays(knobs.data.name)
    images, test = prepared_images(arrays, knobs.data, context.device)
    knobs.refuse_unfit({knobs.data.name: arrays})
    if knobs.validation_size:
        images, test = images.held_out(knobs.validation_size)
    transform = TRANSFORMS[knobs.transform]
    train = filled(
        Examples(inputs=images.pixels, labels=images.labels, classes=images.classes),
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
    return groups, train, images, test


def seen_by_steps(knobs: AugmentationKnobs, train: FilledSet, images: Images) -> Sees:
    """Return what each step sees: the same rows in every arm and at every ratio, transformed by visit, then mixed."""
    visit_steps = batches_an_epoch(len(train), knobs.batch_size)

    def form(step: int, rows: Tensor) -> tuple[Tensor, Tensor]:
        shown = train.at(rows, visit=step // visit_steps)
        return MIXINGS[knobs.mixing](images.normalised(shown.inputs), shown.labels, shown.classes, knobs.seed, step)

    return seen_anew(form, epochs(knobs.seed, len(train), knobs.batch_size, images.labels.device))


def _network(knobs: AugmentationKnobs) -> Callable[[Shape, int], LayerGroups]:
    if is_own(knobs.network):
        return partial(own_groups, knobs.network, depth=knobs.freeze_depth)
    return partial(mlp_groups, width=knobs.width) if knobs.network == "mlp" else IMAGE_NETWORKS[knobs.network]
