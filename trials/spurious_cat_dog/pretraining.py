"""Pretraining on the same images without the feature, or with one: the stage that fine-tuned trials share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trials.core.augmentation.transforms import TRANSFORMS
from trials.core.context import stage
from trials.core.layer_groups.pretraining import ACCURACY, kept, pretrain, weights_of
from trials.core.layer_groups.residual import residual_groups
from trials.core.layer_groups.training import fit_of
from trials.core.streams import drawn_from
from trials.spurious_cat_dog.image_sets import chosen_images, seen_in_training

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import torch

    from trials.core.context import TrialContext
    from trials.core.layer_groups.groups import LayerGroups
    from trials.spurious_cat_dog.knobs import CatDogKnobs, PretrainingKnobs, ResidualKnobs


def initial_network(knobs: ResidualKnobs, channels: int, seed: int, device: torch.device) -> LayerGroups:
    """Return the network before any training."""
    with drawn_from(seed, "initialisation"):
        return residual_groups(channels, 2, width=knobs.width, blocks=knobs.blocks).to(device)


@stage("trials.core.spurious.pretraining.pretrained")
def pretrained(knobs: PretrainingKnobs, context: TrialContext) -> Mapping[str, np.ndarray]:
    """Return the parameters and buffers of the pretrained network, and its accuracy on the test images.

    Raises:
        ValueError: A batch is larger than the training set.
    """
    recipe, device = knobs.recipe, context.device
    knobs.refuse_unfit({knobs.data.name: context.arrays(knobs.data.name)})
    train, test = chosen_images(context, knobs.data, knobs.train_per_class, knobs.test_per_class)
    groups = initial_network(knobs.network, train.images.pixels.shape[1], knobs.seed, device)
    # Seeds of trials are not negative: the complement's patches are those of no trial.
    pattern_seed = knobs.seed if recipe.feature != "different" else ~knobs.seed
    transform, stream = TRANSFORMS[recipe.augmentation], "pretraining augmentation"
    seen = seen_in_training(train, knobs.feature, pattern_seed, transform, stream)
    pretrain(
        groups,
        seen,
        device,
        samples=len(train),
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        momentum=knobs.momentum,
        weight_decay=recipe.weight_decay,
        seed=knobs.seed,
        stream="pretraining batches",
    )
    return kept(groups, fit_of(groups, test.examples(test.plain())).accuracy)


def first_network(knobs: CatDogKnobs, channels: int, context: TrialContext) -> tuple[LayerGroups, float | None]:
    """Return the network that training begins with, and its accuracy when it was pretrained."""
    groups = initial_network(knobs.network, channels, knobs.seed, context.device)
    if knobs.part == "A":
        return groups, None
    result = context.result_of(pretrained, knobs.pretraining)
    groups.load_state_dict(weights_of(result))
    if knobs.head_init == "reinit":
        with drawn_from(knobs.seed, "head"):
            groups.last_part.cpu().reset_parameters()  # type: ignore[operator]
        groups.to(context.device)
    return groups, float(result[ACCURACY])
