"""What a training on few images has led to: how invariant its answers are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from trials.core.augmentation.draws import draws
from trials.core.layer_groups.training import fit_of

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64
    from torch import Tensor

    from trials.core.augmentation.fixed_set import FilledSet
    from trials.core.augmentation.transforms import Transform
    from trials.core.data.images import Images
    from trials.core.layer_groups.groups import LayerGroups
    from trials.core.rows import Value

_TRAINING, _TEST = 0, 1
_AT_ONCE = 512  # images


def outcome(
    groups: LayerGroups, train: FilledSet, images: Images, test: Images, *, seed: int, most: int
) -> dict[str, Value]:
    """Return the columns of the last row alone.

    Every image is compared with one transform of it, the same in all trials of a seed.

    Args:
        groups: The trained network, left in eval mode.
        train: The rows that it was trained on.
        images: The images that they show.
        test: The test images.
        seed: Seed of the trial.
        most: Images of each kind that are compared, 0 = all.
    """
    originals, multiplicities = train.rows.originals, train.rows.multiplicities
    untransformed = originals[:0] if train.arm.originals else originals[multiplicities == 1]
    every_test = torch.arange(len(test), device=originals.device)

    def rate(of: Images, samples: Int64[Tensor, " chosen"], kind: int) -> float | None:
        chosen = samples[: most or None]
        numbers = torch.from_numpy(draws(seed, len(of), copy=kind, stream="invariance")).to(chosen.device)
        return invariance_rate(groups, of.at(chosen), train.transform, numbers[chosen])

    return {
        "train_acc_distinct": fit_of(groups, images.at(originals).examples()).accuracy,
        "num_distinct": len(originals),
        "num_rows": len(train),
        "num_aug_per_image_min": int(multiplicities.min()) - 1,
        "num_aug_per_image_max": int(multiplicities.max()) - 1,
        "invariance_rate_train": rate(images, originals, _TRAINING),
        "invariance_rate_train_untransformed": rate(images, untransformed, _TRAINING),
        "invariance_rate_test": rate(test, every_test, _TEST),
        "padding_pixel": train.transform.padding_pixel,
        "params": sum(value.numel() for value in groups.parameters()),
    }


def invariance_rate(
    groups: LayerGroups, images: Images, transform: Transform, numbers: Float32[Tensor, "samples 4"]
) -> float | None:
    """Return the share of images whose most likely class is that of their transform by `numbers`; None of no images.

    The network is left in eval mode.
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
