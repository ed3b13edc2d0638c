"""Pretraining in the sweep, on composites of classes that fine-tuning never sees.

What is in front and what is behind are drawn independently. Predicting what is in front makes, by construction, a
network that has projected the background out; predicting what is behind, one that has projected the foreground out.
They are the poles between which other pretraining is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import torch

from trials.core.augmentation.draws import draws
from trials.core.augmentation.transforms import TRANSFORMS
from trials.core.context import stage
from trials.core.layer_groups.pretraining import kept, pretrain
from trials.core.streams import drawn_from
from trials.freeze_depth.birds.composites import OTHERS, independent_composites, plain_images
from trials.freeze_depth.birds.sets import as_seen
from trials.freeze_depth.fine_tuning.group_accuracy import predictions
from trials.freeze_depth.networks.backbones import Sizes, built, take_bytes

if TYPE_CHECKING:
    from torch import Tensor

    from trials.core.context import TrialContext
    from trials.core.data.arrays import Arrays
    from trials.core.layer_groups.groups import LayerGroups
    from trials.freeze_depth.birds.knobs import StageKnobs

TEST_IMAGES = 1000
Labelled = tuple[np.ndarray, np.ndarray]


PRETRAINING: Mapping[str, Callable[[Arrays, str, int, int], Labelled]] = MappingProxyType(
    {
        "fg": lambda *chosen: independent_composites(*chosen)[:2],
        "bg": lambda *chosen: independent_composites(*chosen)[::2],
        "class6": plain_images,
    }
)
"""Task -> (arrays, split, images, draw) -> images and labels: composites by what is in front or behind, or plain."""


@stage("trials.core.birds.pretraining.pretrained")
def pretrained(knobs: StageKnobs, context: TrialContext) -> Mapping[str, np.ndarray]:
    """Return the weights after pretraining by name, and under `accuracy` the accuracy on unseen images.

    SGD with momentum 0.9 and weight decay 5e-4 on a cosine; the protocol leaves these open.

    Raises:
        ValueError: The data set has too few images, or they do not suit the network.
    """
    how, device = knobs.pretrain, context.device
    images, labels = _examples(knobs, context, "train", how.images)
    groups, transform = _network(knobs, device), TRANSFORMS.get(how.augmentation)

    @lru_cache(maxsize=1)
    def numbers(epoch: int) -> Tensor:
        return torch.from_numpy(draws(knobs.seed, len(images), visit=epoch, stream="pretraining")).to(device)

    def batch(epoch: int, chosen: Tensor) -> tuple[Tensor, Tensor]:
        shown = images[chosen]
        return transform.apply(shown, numbers(epoch)[chosen]) if transform else shown, labels[chosen]

    pretrain(
        groups,
        batch,
        device,
        samples=len(images),
        epochs=how.epochs,
        batch_size=how.batch_size,
        learning_rate=how.learning_rate,
        seed=knobs.seed,
        stream="pretraining",
    )
    spare = int(np.isin(context.arrays(knobs.data.name).test_labels, OTHERS).sum()) // 2  # a composite takes two
    unseen, answers = _examples(knobs, context, "test", min(TEST_IMAGES, spare))
    right = predictions(groups, unseen) == answers
    return kept(groups, float(right.double().mean()))


def _examples(knobs: StageKnobs, context: TrialContext, split: str, count: int) -> tuple[Tensor, Tensor]:
    """Return images as bytes and labels on the device."""
    images, labels = PRETRAINING[knobs.pretrain.task](context.arrays(knobs.data.name), split, count, knobs.data.draw)
    pixels = torch.tensor(as_seen(images, knobs.data.side), device=context.device)
    return pixels, torch.tensor(labels, device=context.device)


def _network(knobs: StageKnobs, device: torch.device) -> LayerGroups:
    with drawn_from(knobs.seed, "pretraining"):
        backbone = built(
            knobs.network, Sizes(classes=len(OTHERS), width=knobs.width, blocks=knobs.blocks, side=knobs.data.pixels)
        )
    backbone.groups.to(device)
    take_bytes(backbone, knobs.data.largest)
    return backbone.groups
