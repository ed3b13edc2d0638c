"""The images of a trial with a spurious feature: how they are trained on, and three ways to test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from trials.core.augmentation.draws import draws
from trials.core.data.examples import Examples
from trials.core.data.images import prepared_images
from trials.spurious_cat_dog.feature import CLASSES, OF_CLASSES, opposite, placed_anew, planted

if TYPE_CHECKING:
    from jaxtyping import Float, Int64
    from torch import Tensor

    from trials.core.augmentation.transforms import Transform
    from trials.core.context import TrialContext
    from trials.core.data.examples import TrainingSet
    from trials.core.data.images import Images
    from trials.core.data.knobs import DataKnobs
    from trials.spurious_cat_dog.feature import Planted
    from trials.spurious_cat_dog.knobs import FeatureKnobs


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Images of one split, with their places in the whole data set."""

    images: Images
    index: Int64[Tensor, " samples"]

    def __len__(self) -> int:
        return len(self.images)

    def plain(self) -> Float[Tensor, "samples channels h w"]:
        """Return the pixels without a feature, black at 0."""
        return self.images.pixels.float()

    def examples(self, pixels: Float[Tensor, "samples channels h w"]) -> Examples:
        """Return inputs of a network."""
        return Examples(inputs=self.images.normalised(pixels), labels=self.images.labels, classes=CLASSES)


Seen = Callable[[int, "Int64[Tensor, ' batch']"], "tuple[Float[Tensor, 'batch channels h w'], Tensor]"]
"""(epoch, rows) -> inputs and labels that training sees of them in that epoch."""


def chosen_images(context: TrialContext, data: DataKnobs, train: int, test: int) -> tuple[Chosen, Chosen]:
    """Return the first `train` training and the first `test` test images of each class; 0 means all.

    Raises:
        ValueError: The data are no images.
    """
    sets = prepared_images(context.arrays(data.name), data, context.device)
    per_class = zip(sets, (train, test), (data.train_offset, data.test_offset), strict=True)
    one, other = (_first_of_each_class(*each) for each in per_class)
    return one, other


def _first_of_each_class(images: Images, count: int, offset: int) -> Chosen:
    labels = images.labels.cpu()
    places = [(labels == label).nonzero()[:, 0] for label in range(CLASSES)]
    index = torch.cat([of_class[: count or None] for of_class in places]).sort().values
    return Chosen(images=images.at(index.to(images.labels.device)), index=index + offset)


def seen_in_training(
    chosen: Chosen,
    feature: FeatureKnobs,
    seed: int,
    transform: Transform | None,
    stream: str,
    fill: Callable[[Examples], TrainingSet] = lambda images: images,
) -> Seen:
    """Return what training sees: images with the feature, as rows, then transformed, then normalised.

    Args:
        chosen: The images.
        feature: What is added.
        seed: Seed of the trial.
        transform: What is done to each image at each visit; None for nothing.
        stream: Name of the stream of its random numbers.
        fill: Images with the feature -> rows; the images themselves where a visit changes them.
    """
    added = planted(feature, seed, chosen.images, chosen.index, "train")
    moves = feature.position == "random_each_visit"
    pixels = chosen.plain() if moves else added.on(chosen.plain())
    rows = fill(Examples(inputs=pixels, labels=chosen.images.labels, classes=CLASSES))

    @lru_cache(maxsize=1)
    def numbers(epoch: int) -> Tensor:
        drawn = draws(seed, int(chosen.index.max()) + 1, visit=epoch, stream=stream)
        return torch.from_numpy(drawn)[chosen.index].to(pixels.device)

    @lru_cache(maxsize=1)
    def placed(epoch: int) -> Planted:
        return placed_anew(added, seed, chosen.images, chosen.index, "train", visit=epoch)

    def seen(epoch: int, chosen_rows: Tensor) -> tuple[Tensor, Tensor]:
        shown = rows.at(chosen_rows)
        batch = placed(epoch).at(chosen_rows).on(shown.inputs) if moves else shown.inputs
        batch = transform.apply(batch, numbers(epoch)[chosen_rows]) if transform else batch
        return chosen.images.normalised(batch), shown.labels

    return seen


@dataclass(frozen=True, kw_only=True)
class Views:
    """Three views of the test images.

    Attributes:
        clean: Without the feature.
        spurious: All with the feature of their class, or noise of their own.
        conflict: All with the feature of the other class; None for noise, which has no other.
    """

    clean: Examples
    spurious: Examples
    conflict: Examples | None

    @property
    def inputs(self) -> list[Float[Tensor, "samples ..."]]:
        """The inputs of the views there are, in their order."""
        return [view.inputs for view in (self.clean, self.spurious, self.conflict) if view]

    def of(self, inputs: Sequence[Float[Tensor, "samples ..."]]) -> Views:
        """Return the views with other inputs, such as activations, in the order of `inputs`."""
        clean, spurious, *conflict = inputs
        return Views(
            clean=replace(self.clean, inputs=clean),
            spurious=replace(self.spurious, inputs=spurious),
            conflict=replace(self.conflict, inputs=conflict[0]) if self.conflict else None,
        )


def views_of_test(chosen: Chosen, feature: FeatureKnobs, seed: int) -> Views:
    """Return the test images with and without the feature."""
    added, plain = planted(feature, seed, chosen.images, chosen.index, "test"), chosen.plain()
    tells = feature.kind in OF_CLASSES
    return Views(
        clean=chosen.examples(plain),
        spurious=chosen.examples(added.on(plain)),
        conflict=chosen.examples(opposite(added).on(plain)) if tells else None,
    )
