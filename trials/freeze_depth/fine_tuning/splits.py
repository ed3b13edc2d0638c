"""Splits: images in groups as fine-tuning sees them, behind the frozen parts that they pass once and for all."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import torch

from trials.core.data.examples import Examples
from trials.core.layer_groups.prefix import prefix_activations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Int64
    from torch import Tensor

    from trials.core.data.examples import TrainingSet
    from trials.core.layer_groups.groups import LayerGroups
    from trials.freeze_depth.birds.groups import Birds

_CHUNK = 1024  # images


class Split(NamedTuple):
    """Images of one split.

    Attributes:
        inputs: Activations after the parts that are passed once and for all; images where there are none.
        labels: What is to be predicted.
        groups: Group of each image.
        start: How many parts the inputs have passed.
    """

    inputs: Tensor
    labels: Int64[Tensor, " images"]
    groups: Int64[Tensor, " images"]
    start: int


class Splits(NamedTuple):
    """The three splits.

    Attributes:
        train: What is trained on.
        val: What chooses epochs and learning rates.
        test: What is reported.
        counts: Training images of each group.
        names: Names of the groups, which columns bear.
    """

    train: Split
    val: Split
    test: Split
    counts: Sequence[int]
    names: Sequence[str]


def splits_of(
    sets: Birds,
    names: Sequence[str],
    labels_of: Callable[[Tensor], Tensor],
    network: LayerGroups,
    depth: int,
    device: torch.device,
    *,
    changing: bool = False,
    fill: Callable[[Examples], TrainingSet] = lambda images: images,
) -> Splits:
    """Return the splits with activations after the first `depth` parts, which are frozen.

    Args:
        sets: The images.
        names: Names of the groups, in the order of their numbers.
        labels_of: Groups -> what is to be predicted of their images.
        network: What is fine-tuned.
        depth: How many parts are passed once and for all.
        device: Where the network is.
        changing: Whether training sees other images at each visit: they stay images, and pass all parts in each step.
        fill: Training images, labelled by their groups -> the rows that are trained on.

    Raises:
        ValueError: There are more or fewer groups than names.
    """
    if len(names) != len(sets.train.counts):
        raise ValueError(f"names must be of {len(sets.train.counts)} groups, got {', '.join(names) or 'none'}")
    images = _on_device(sets, device)
    rows = fill(Examples(inputs=images[0][0], labels=images[0][1], classes=len(names)))
    if not isinstance(rows, Examples):
        images = ((torch.cat(list(rows.chunks(_CHUNK))), rows.labels), *images[1:])
    starts = (0 if changing else depth, depth, depth)
    kept = [of_split for of_split, _ in images[:1]] if changing else []
    inputs = (*kept, *prefix_activations(network, [of_split for of_split, _ in images[len(kept) :]], depth))
    splits = [
        Split(activations, labels_of(of_groups), of_groups, start)
        for activations, (_, of_groups), start in zip(inputs, images, starts, strict=True)
    ]
    train, validation, test = splits
    return Splits(train, validation, test, sets.train.counts, names)


@lru_cache(maxsize=1)
def _on_device(sets: Birds, device: torch.device) -> tuple[tuple[Tensor, Tensor], ...]:
    """Return images as bytes and groups of the three splits, copied: shared arrays are read-only, tensors cannot be."""
    splits = (sets.train, sets.validation, sets.test)
    return tuple((torch.tensor(of.images, device=device), torch.tensor(of.groups, device=device)) for of in splits)
