"""Rows at the end of epochs, and what a training on few images has led to: how invariant its answers are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from trials.core.augmentation.draws import draws
from trials.core.layer_groups.training import measured

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64
    from torch import Tensor

    from trials.augmentation_ratio.arms import AugmentedImages
    from trials.core.augmentation.transforms import Transform
    from trials.core.data.images import Images
    from trials.core.layer_groups.groups import LayerGroups
    from trials.core.probes.fit import Fit
    from trials.core.rows import Value
    from trials.core.training.course import Moment

_TRAINING, _TEST = 0, 1
_AT_ONCE = 512  # images


@dataclass(frozen=True)
class Best:
    """What earlier rows leave for later ones: the largest test accuracy so far."""

    accuracy: float = 0.0


def epoch_row(
    now: Moment[Any, Best], train: Fit, tested: Fit, rate: float, steps_an_epoch: int
) -> tuple[dict[str, Any], Best]:
    """Return the row of an epoch that ends at a moment, and what it leaves for later ones.

    Args:
        now: The moment.
        train: What the epoch's batches showed.
        tested: What the test images show.
        rate: Learning rate of the last step.
        steps_an_epoch: How many steps are an epoch.
    """
    best = max(now.past.accuracy, tested.accuracy)
    row = {
        "step": now.step,
        "epoch": now.step // steps_an_epoch,
        "lr": rate,
        "train_loss": train.loss,
        "train_acc": train.accuracy,
        "test_loss": tested.loss,
        "test_acc": tested.accuracy,
        "test_acc_best": best,
    }
    return row, Best(best)


def outcome(groups: LayerGroups, train: AugmentedImages, test: Images, *, seed: int, most: int) -> dict[str, Value]:
    """Return the columns of the last row alone.

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


def invariance_rate(
    groups: LayerGroups, images: Images, transform: Transform, numbers: Float32[Tensor, "samples 4"]
) -> float | None:
    """Return the share of images whose most likely class is that of their transform; None of no images.

    Args:
        groups: The network, left in eval mode.
        images: The images.
        transform: The transform.
        numbers: What each image is transformed by.
    """
    if not len(images):
        return None
    groups.eval()
    with torch.no_grad():
        kept = [
            _answers(groups, images, pixels) == _answers(groups, images, transform.apply(pixels, part))
            for pixels, part in zip(images.pixels.split(_AT_ONCE), numbers.split(_AT_ONCE), strict=True)
        ]
    return float(torch.cat(kept).float().mean())


def _answers(groups: LayerGroups, images: Images, pixels: Tensor) -> Tensor:
    return groups(images.normalised(pixels)).argmax(1)
