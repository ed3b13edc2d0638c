"""What a training on few images has led to: how often each was shown, and how invariant the network's answers are."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

from trials.augmentation_ratio.invariance import invariance_rate
from trials.core.augmentation.draws import draws
from trials.core.layer_groups.training import measured
from trials.core.rows import Measurement

if TYPE_CHECKING:
    from jaxtyping import Int64
    from torch import Tensor

    from trials.augmentation_ratio.arms import AugmentedImages
    from trials.core.data.images import Images
    from trials.core.layer_groups.groups import LayerGroups
    from trials.core.rows import Value

OUTCOME_MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType(
    {
        "train_acc_distinct": Measurement(meaning="accuracy on the distinct training images as they are; at the end"),
        "num_distinct": Measurement(meaning="distinct training images", unit="images", type=int),
        "num_rows": Measurement(meaning="rows of the training set", unit="rows", type=int),
        "num_aug_per_image_min": Measurement(meaning="fewest rows of an image beside its first", type=int),
        "num_aug_per_image_max": Measurement(meaning="most rows of an image beside its first", type=int),
        "invariance_rate_train": Measurement(meaning="share of training images that are answered as a transform"),
        "invariance_rate_train_untransformed": Measurement(
            meaning="the same of images that have one row, which is not transformed; null where there are none"
        ),
        "invariance_rate_test": Measurement(meaning="share of test images that are answered as a transform of them"),
        "padding_pixel": Measurement(
            meaning="value beyond a border before images are normalised: 0 is black; null where it is grey", type=int
        ),
        "params": Measurement(meaning="parameters of the network", type=int),
    }
)
_TRAINING, _TEST = 0, 1


def outcome(groups: LayerGroups, train: AugmentedImages, test: Images, *, seed: int, most: int) -> dict[str, Value]:
    """Return the columns of `OUTCOME_MEASUREMENTS`.

    Every image is compared with one transform of it, the same in all trials of a seed.

    Args:
        groups: The trained network, left in eval mode.
        train: What it was trained on.
        test: The test images.
        seed: Seed of the trial.
        most: Images of each kind that are compared, 0 = all.
    """
    originals, multiplicities = train.rows.originals, train.rows.multiplicities
    untransformed = originals[:0] if train.arm.originals else originals[multiplicities == 1]
    every_test = torch.arange(len(test), device=originals.device)

    def rate(images: Images, samples: Int64[Tensor, " chosen"], kind: int) -> float | None:
        chosen = samples[: most or None]
        numbers = torch.from_numpy(draws(seed, len(images), copy=kind, stream="invariance")).to(chosen.device)
        return invariance_rate(groups, images.at(chosen), train.transform, numbers[chosen])

    return {
        "train_acc_distinct": measured(groups, train.images.at(originals).examples()).accuracy,
        "num_distinct": len(originals),
        "num_rows": len(train),
        "num_aug_per_image_min": int(multiplicities.min()) - 1,
        "num_aug_per_image_max": int(multiplicities.max()) - 1,
        "invariance_rate_train": rate(train.images, originals, _TRAINING),
        "invariance_rate_train_untransformed": rate(train.images, untransformed, _TRAINING),
        "invariance_rate_test": rate(test, every_test, _TEST),
        "padding_pixel": train.transform.padding_pixel,
        "params": sum(value.numel() for value in groups.parameters()),
    }
