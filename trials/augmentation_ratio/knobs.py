"""Knobs of trainings on rows of which few are distinct."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from trials.core.augmentation.knobs import distinct_count, refuse_mirrored_signs
from trials.core.choices import GROUP_OPTIMIZERS, OF_BYTES, TRANSFORMS, refuse_depth
from trials.core.data.knobs import DataKnobs, training_extent
from trials.core.data.records import DATA_SETS
from trials.core.knobs import knob
from trials.core.layer_groups.knobs import RoundsKnobs
from trials.core.training.schedules import SCHEDULES, batches_an_epoch
from trials.core.values import is_own

if TYPE_CHECKING:
    from trials.core.data.arrays import Arrays

ARMS = ("copies", "fixed_aug", "fresh_aug", "fixed_aug_all", "subset")
MIXINGS = ("none", "mixup_or_cutmix")
BORDERS = ("black", "grey")
PRECISIONS = ("float32", "bfloat16")


class NetworkFacts(NamedTuple):
    """What is known of an architecture by its name.

    Attributes:
        parts: Its parts.
        normalised: Whether all of them but the head have batch normalisation.
        multiple: What the sides of its images must be multiples of, in pixels.
    """

    parts: tuple[str, ...] = ("trunk", "head")
    normalised: bool = False
    multiple: int = 1


NETWORKS: Mapping[str, NetworkFacts] = MappingProxyType(
    {
        "mlp": NetworkFacts(parts=("hidden", "head")),
        "cnn3": NetworkFacts(parts=("block 1", "block 2", "block 3", "head"), normalised=True, multiple=8),
        "resnet18_cifar": NetworkFacts(normalised=True),
        "resnet18": NetworkFacts(normalised=True),
        "vit_tiny": NetworkFacts(multiple=4),
        "cait_xxs36": NetworkFacts(multiple=4),
    }
)
_DATA = DataKnobs(name="jittered_digits")


def refuse_sides(network: str, height: int, width: int) -> None:
    """Raise a `ValueError` where an architecture cannot halve images, or cut them into patches, of these sides."""
    multiple = NETWORKS[network].multiple if network in NETWORKS else 1
    if height % multiple or width % multiple:
        raise ValueError(
            f"network={network} needs images whose sides are multiples of {multiple} pixels, got {height}x{width}"
        )


@dataclass(frozen=True, kw_only=True)
class AugmentationKnobs(RoundsKnobs):
    """All that decides the outcome of one training.

    With all images there is no room for copies: `fixed_aug` and `subset` are then recorded as `copies`, the same rows.
    Where nothing that trains has batch normalisation, neither are its statistics kept.
    """

    ratio: float = knob("share of the rows that are distinct images (p)", 1.0, above=0, at_most=1)
    augmentation: str = knob(
        "what the other rows are, and whether rows are transformed anew", "copies", choices=ARMS, was="aug_arm"
    )
    transform: str = knob("how rows are transformed, and answers compared", "crop2", choices=TRANSFORMS)
    border: str = knob(
        "what a transform shows beyond an image: black, or each channel's mean", "black", choices=BORDERS
    )
    exclude_identity: bool = knob("draw again where a fixed transform would change nothing", False)
    mixing: str = knob("mixtures of the images of a batch; fresh_aug only", "none", choices=MIXINGS)
    label_smoothing: float = knob("share of a label spread evenly over the classes", 0.0, at_least=0, at_most=1)
    network: str = knob("architecture, also package.module:function", "mlp", choices=tuple(NETWORKS), own=True)
    width: int = knob("units of the hidden layer; mlp only", 128, unit="units", at_least=1)
    epochs: int = knob("passes over as many rows as there are images", 30, unit="epochs", at_least=1)
    batch_size: int = knob("rows a step", 50, unit="rows", at_least=1)
    optimizer: str = knob("how a step follows from the gradient", "sgd", choices=GROUP_OPTIMIZERS)
    learning_rate: float = knob("step length at its peak", 0.1, above=0)
    schedule: str = knob("learning rate after its linear warm-up", "linear", choices=tuple(SCHEDULES))
    warm_share: float = knob("share of the steps that warm up", 0.15, at_least=0, at_most=1)
    momentum: float = knob("share of the mean gradient that is kept, with sgd by Nesterov's rule", 0.9, at_least=0)
    weight_decay: float = knob("decay of the parameters", 5e-4, at_least=0)
    freeze_depth: int = knob("parts that stay as they began, counted from the input", 0, unit="parts", at_least=0)
    keep_statistics: bool = knob("batch normalisation keeps the running statistics that it begins with", False)
    precision: str = knob("numbers of the products; bfloat16 by autocast", "float32", choices=PRECISIONS)
    measurements_per_epoch: float = knob(
        "rows an epoch, 1/n: one every n epochs, and one at the end of the last",
        1.0,
        above=0,
        at_most=1,
        was="row_interval",
        reciprocal=True,
    )
    validation_size: int = knob(
        "training images, the last ones, that are held out and take the place of the test images: to choose knobs by",
        0,
        unit="images",
        at_least=0,
    )
    invariance_size: int = knob(
        "images of each kind whose answers are compared, 0 = all", 2000, unit="images", at_least=0
    )
    data: DataKnobs = _DATA

    def __post_init__(self) -> None:
        if self.ratio == 1 and self.augmentation in ("fixed_aug", "subset"):
            object.__setattr__(self, "augmentation", "copies")
        if self.augmentation in ("copies", "subset"):
            object.__setattr__(self, "exclude_identity", False)
        super().__post_init__()
        facts = NETWORKS.get(self.network)
        if facts is None:
            pass  # what there is to say of a network of a user's own is known once it is built
        elif not facts.normalised or self.freeze_depth == len(facts.parts) - 1:
            object.__setattr__(self, "keep_statistics", False)  # nothing that trains has any
        else:
            self.refuse_rounds(statistics_move=not self.keep_statistics)
        if facts is not None:
            refuse_depth(self.freeze_depth, facts.parts)
        self.refuse_rounds(precision=self.precision)
        self.data.refuse_no_pixels()
        refuse_sides(self.network, *DATA_SETS[self.data.name].shape[1:])
        refuse_mirrored_signs(self.transform, self.data.name)
        if self.border == "grey" and self.transform in OF_BYTES:
            raise ValueError(
                f"transform={self.transform!r} computes with bytes, whose border is black; take border=black"
            )
        if self.mixing != "none" and self.augmentation != "fresh_aug":
            raise ValueError(f"mixing={self.mixing!r} is drawn anew in each batch: it needs augmentation=fresh_aug")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be below 1, got {self.momentum:g}")

    @property
    def known_samples(self) -> int | None:
        """How many images there are, those that are held out included."""
        return self.data.known_samples

    def steps_on(self, samples: int) -> int:
        """Return how many steps the training has: an epoch is as many rows as there are images to train on."""
        if self.validation_size >= samples:
            raise ValueError(f"validation_size={self.validation_size} leaves none of the {samples} training images")
        rows = samples - self.validation_size
        distinct = distinct_count(rows, self.ratio)
        rows = distinct if self.augmentation == "subset" else rows
        if self.batch_size > rows:
            raise ValueError(f"batch_size={self.batch_size} exceeds the {rows} rows of the training set")
        return self.epochs * batches_an_epoch(samples - self.validation_size, self.batch_size)

    def refuse_unfit(self, arrays: Mapping[str, Arrays]) -> None:
        """Compare the images that there are with the network, and their number with all that hangs on it."""
        extent = training_extent(arrays[self.data.name], self.data)
        refuse_sides(self.network, *extent.shape[1:])
        self.refuse_beyond(extent.samples)
        if is_own(self.network):
            from trials.core.layer_groups.own import refuse_own  # builds it with torch

            how = {"depth": self.freeze_depth, "interval": self.feature_update_interval}
            moves = refuse_own(self.network, extent.shape, extent.classes, statistics=self.keep_statistics, **how)
            self.refuse_rounds(statistics_move=moves)
