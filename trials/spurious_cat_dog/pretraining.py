"""Pretraining on the same images without the feature, or with one: the stage that fine-tuned trials share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from trials.core.augmentation.transforms import TRANSFORMS
from trials.core.data.examples import DataKnobs
from trials.core.knobs import Knobs, knob
from trials.core.layer_groups.pretraining import ACCURACY, Pretraining, kept, pretrain, weights_of
from trials.core.layer_groups.residual import residual_groups
from trials.core.layer_groups.training import measured
from trials.core.streams import drawn_from
from trials.spurious_cat_dog.feature import FeatureKnobs
from trials.spurious_cat_dog.image_sets import chosen_images, seen_in_training

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from trials.core.context import TrialContext
    from trials.core.layer_groups.groups import LayerGroups

PATTERNS = ("none", "same", "different")


@dataclass(frozen=True, kw_only=True)
class NetworkKnobs(Knobs):
    """A residual network of 6 blocks + 2 layers; ResNet-20 by default."""

    width: int = knob("channels of the first stage; the others have twice and four times as many", 16, at_least=1)
    blocks: int = knob("residual blocks a stage", 3, at_least=1)


@dataclass(frozen=True, kw_only=True)
class PretrainKnobs(Knobs):
    """How the network is trained before the feature appears."""

    epochs: int = knob("epochs of pretraining, 0 = a random network", 100, unit="epochs", at_least=0)
    learning_rate: float = knob("first step length of pretraining, which falls by half a cosine", 0.1, above=0)
    batch_size: int = knob("samples a step of pretraining", 128, unit="images", at_least=2)
    weight_decay: float = knob("multiple of the parameters added to the gradient in pretraining", 5e-4, at_least=0)
    augmentation: str = knob("what is done to each image in pretraining", "flip+crop4", choices=tuple(TRANSFORMS))
    feature: str = knob(
        "the feature in pretraining: none, that of fine-tuning, or one of other patches", "none", choices=PATTERNS
    )


RESNET_20, WITHOUT_FEATURE, NO_FEATURE = NetworkKnobs(), PretrainKnobs(), FeatureKnobs(amplitude=0.0)
DIGIT_PAIR = DataKnobs(name="digit_pair")


@dataclass(frozen=True, kw_only=True)
class PretrainingKnobs(Knobs):
    """All that decides the pretrained network, and nothing of what is done with it."""

    seed: int = knob("seed of every random stream", 0, at_least=0)
    train_per_class: int = knob("training images of each class, 0 = all", 0, unit="images", at_least=0)
    test_per_class: int = knob("test images of each class, 0 = all", 0, unit="images", at_least=0)
    momentum: float = knob("share of the last step kept", 0.9, at_least=0, at_most=1)
    network: NetworkKnobs = RESNET_20
    recipe: PretrainKnobs = WITHOUT_FEATURE
    feature: FeatureKnobs = NO_FEATURE
    data: DataKnobs = DIGIT_PAIR


def initial_network(knobs: NetworkKnobs, channels: int, seed: int, device: torch.device) -> LayerGroups:
    """Return the network before any training."""
    with drawn_from(seed, "initialisation"):
        return residual_groups(channels, 2, width=knobs.width, blocks=knobs.blocks).to(device)


def pretrained(knobs: PretrainingKnobs, context: TrialContext) -> Mapping[str, np.ndarray]:
    """Return the parameters and buffers of the pretrained network, and its accuracy on the test images.

    Raises:
        ValueError: A batch is larger than the training set.
    """
    recipe, device = knobs.recipe, context.device
    train, test = chosen_images(context, knobs.data, knobs.train_per_class, knobs.test_per_class)
    if recipe.batch_size > len(train):
        raise ValueError(f"pretrain_batch_size={recipe.batch_size} exceeds the {len(train)} training images")
    groups = initial_network(knobs.network, train.images.pixels.shape[1], knobs.seed, device)
    # Seeds of trials are not negative: the complement's patches are those of no trial.
    pattern_seed = knobs.seed if recipe.feature != "different" else ~knobs.seed
    transform, stream = TRANSFORMS[recipe.augmentation], "pretraining augmentation"
    seen = seen_in_training(train, knobs.feature, pattern_seed, transform, stream)
    how = Pretraining(
        samples=len(train),
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        momentum=knobs.momentum,
        weight_decay=recipe.weight_decay,
        seed=knobs.seed,
        stream="pretraining batches",
    )
    pretrain(groups, how, lambda epoch, chosen: (seen(epoch, chosen), train.images.labels[chosen]), device)
    return kept(groups, measured(groups, test.examples(test.plain())).accuracy)


def loaded(groups: LayerGroups, arrays: Mapping[str, np.ndarray]) -> float:
    """Put a network where pretraining ended, and return its accuracy then."""
    groups.load_state_dict(weights_of(arrays))
    return float(arrays[ACCURACY])
