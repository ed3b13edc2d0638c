"""Knobs of trainings with a spurious feature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from trials.core.augmentation.knobs import FixedSetKnobs, distinct_count
from trials.core.choices import TRANSFORMS, refuse_depth
from trials.core.data.knobs import DataKnobs
from trials.core.data.records import data_set
from trials.core.knobs import Knobs, knob
from trials.core.layer_groups.knobs import RESIDUAL_PARTS, RoundsKnobs
from trials.core.training.schedules import SCHEDULES, batches_an_epoch

if TYPE_CHECKING:
    from trials.core.data.arrays import Arrays

PATTERNS = ("none", "same", "different")
KINDS = ("class_patch", "instance_noise", "class_color")
POSITIONS = ("fixed", "random_once", "random_each_visit")


@dataclass(frozen=True)
class FeatureArm:
    """What training sees in one arm of part A.

    Attributes:
        feature: Whether the images have the feature.
        moves: Whether it is elsewhere at each visit, over an image that stays.
        transform: What is done to the whole image at each visit, by name; empty for nothing.
    """

    feature: bool = True
    moves: bool = False
    transform: str = ""


ARMS: Mapping[str, FeatureArm] = MappingProxyType(
    {
        "baseline": FeatureArm(),
        "random_noise_position": FeatureArm(moves=True),
        "random_crop": FeatureArm(transform="crop4"),
        "clean": FeatureArm(feature=False),
        "crop_only": FeatureArm(feature=False, transform="crop4"),
    }
)


@dataclass(frozen=True, kw_only=True)
class FeatureKnobs(Knobs):
    """What is added to the images, before they are cropped and normalised."""

    kind: str = knob(
        "what the window holds: a random patch a class, a random patch an image, a colour a class",
        "class_patch",
        choices=KINDS,
    )
    size: int = knob("side of the window", 4, unit="pixels", at_least=1)
    amplitude: float = knob(
        "share of the window's pixels that is the patch's, 1 = overwritten", 1.0, at_least=0, at_most=1
    )
    prevalence: float = knob(
        "share of the training images of each class that have the feature", 1.0, at_least=0, at_most=1
    )
    agreement: float = knob(
        "share of the training images with the feature in which it is that of their class", 1.0, at_least=0, at_most=1
    )
    position: str = knob("where the window is", "fixed", choices=POSITIONS)
    offset: int = knob("distance of a fixed window from the upper and the left edge", 0, unit="pixels", at_least=0)


def _refuse_window(knobs: FeatureKnobs, height: int, width: int) -> None:
    room = min(height, width)
    if knobs.size > room:
        raise ValueError(f"feature_size={knobs.size} exceeds the images of {height}x{width} pixels")
    if knobs.position == "fixed" and knobs.offset + knobs.size > room:
        raise ValueError(
            f"feature_offset={knobs.offset} puts a window of {knobs.size} pixels beyond images of {height}x{width}"
        )


@dataclass(frozen=True, kw_only=True)
class ResidualKnobs(Knobs):
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
    augmentation: str = knob("what is done to each image in pretraining", "flip+crop4", choices=TRANSFORMS)
    feature: str = knob(
        "the feature in pretraining: none, that of fine-tuning, or one of other patches", "none", choices=PATTERNS
    )


_PATCH, _NO_FEATURE = FeatureKnobs(), FeatureKnobs(amplitude=0.0)
_NETWORK, _PRETRAIN, _NOT_PRETRAINED = ResidualKnobs(), PretrainKnobs(), PretrainKnobs(epochs=0)
_DATA, _ROWS = DataKnobs(name="digit_pair"), FixedSetKnobs()


@dataclass(frozen=True, kw_only=True)
class PretrainingKnobs(Knobs):
    """All that decides the pretrained network, and nothing of what is done with it."""

    seed: int = knob("seed of every random stream", 0, at_least=0)
    train_per_class: int = knob("training images of each class, 0 = all", 0, unit="images", at_least=0)
    test_per_class: int = knob("test images of each class, 0 = all", 0, unit="images", at_least=0)
    momentum: float = knob("share of the last step kept", 0.9, at_least=0, at_most=1)
    network: ResidualKnobs = _NETWORK
    recipe: PretrainKnobs = _PRETRAIN
    feature: FeatureKnobs = _NO_FEATURE
    data: DataKnobs = _DATA

    def refuse_unfit(self, arrays: Mapping[str, Arrays]) -> None:
        """Compare the images of a class, the feature's window and a batch with the images that there are."""
        images = _training_images(self, arrays[self.data.name])
        if self.recipe.batch_size > images:
            raise ValueError(f"pretrain_batch_size={self.recipe.batch_size} exceeds the {images} training images")


@dataclass(frozen=True, kw_only=True)
class CatDogKnobs(RoundsKnobs):
    """All that decides one training with a spurious feature.

    Part A has no pretraining, whatever is asked of it: these are the same training, recorded as 0 epochs.
    """

    part: str = knob(
        "A trains from scratch, B fine-tunes a pretrained network; defaults are B's, space=part_a has those of A",
        "B",
        choices=("A", "B"),
    )
    augmentation: str = knob("what training sees; part A only", "baseline", choices=tuple(ARMS), was="augmentation_arm")
    freeze_depth: int = knob("parts frozen: 1 = conv, 2 to 4 = and blocks 1 to 3; part B only", 0, at_least=0)
    head_init: str = knob("the head in part B: drawn anew or as pretrained", "reinit", choices=("reinit", "keep"))
    keep_statistics: bool = knob("the trainable parts' batch normalisation keeps its running statistics", False)
    epochs: int = knob("epochs with the feature", 30, unit="epochs", at_least=1)
    learning_rate: float = knob("first step length", 0.05, above=0)
    schedule: str = knob("course of the step length", "cosine", choices=tuple(SCHEDULES))
    batch_size: int = knob("samples a step", 128, unit="images", at_least=2)
    momentum: float = knob("share of the last step kept", 0.9, at_least=0, at_most=1)
    weight_decay: float = knob("multiple of the parameters added to the gradient", 5e-4, at_least=0)
    train_per_class: int = knob("training images of each class, 0 = all", 0, unit="images", at_least=0)
    test_per_class: int = knob("test images of each class, 0 = all", 0, unit="images", at_least=0)
    measurements_per_epoch: float = knob("rows an epoch; 0.1 is one every ten", 1.0, above=0)
    prefix_cache: bool = knob("frozen parts see each image once; the rows are the same without", True)
    network: ResidualKnobs = _NETWORK
    pretrain: PretrainKnobs = _PRETRAIN
    feature: FeatureKnobs = _PATCH
    rows: FixedSetKnobs = _ROWS
    data: DataKnobs = _DATA

    def __post_init__(self) -> None:
        if self.part == "A":
            object.__setattr__(self, "pretrain", _NOT_PRETRAINED)
        super().__post_init__()
        refuse_depth(self.freeze_depth, RESIDUAL_PARTS)
        normalised = self.freeze_depth < len(RESIDUAL_PARTS) - 1
        self.refuse_rounds(statistics_move=normalised and not self.keep_statistics)
        self.data.refuse_no_pixels()
        if (classes := data_set(self.data.name).classes) != 2:
            raise ValueError(f"data_name={self.data.name!r} has {classes} classes; a feature that tells them needs 2")
        self.rows.refuse_data(self.data.name)
        if self.part == "A" and self.freeze_depth:
            raise ValueError(f"part=A trains from scratch: freeze_depth must be 0, got {self.freeze_depth}")
        if self.part == "B" and self.augmentation != "baseline":
            raise ValueError(f"augmentation={self.augmentation!r} is an arm of part=A; part=B has baseline only")
        if self.changes_by_visit:
            self.rows.refuse_ratio(
                f"augmentation={self.augmentation} with feature_position={self.feature.position} "
                "shows others at each visit"
            )

    @property
    def known_samples(self) -> int | None:
        """How many images of both classes there are to train on."""
        return 2 * self.train_per_class or self.data.known_samples

    def steps_on(self, samples: int) -> int:
        """Return how many steps the training has; what does not fill a batch is left out of an epoch."""
        distinct_count(samples, self.rows.ratio)
        return self.epochs * batches_an_epoch(samples, self.batch_size)

    def refuse_unfit(self, arrays: Mapping[str, Arrays]) -> None:
        """Compare the images that there are with the feature's window, and their number with all that hangs on it."""
        self.refuse_beyond(_training_images(self, arrays[self.data.name]))
        if self.part == "B":
            self.pretraining.refuse_unfit(arrays)

    @property
    def training_feature(self) -> FeatureKnobs:
        """The feature as training sees it."""
        arm = ARMS[self.augmentation]
        amplitude = self.feature.amplitude if arm.feature else 0.0
        position = "random_each_visit" if arm.moves else self.feature.position
        return replace(self.feature, amplitude=amplitude, position=position)

    @property
    def changes_by_visit(self) -> bool:
        """Whether training sees an image differently at each visit."""
        return bool(ARMS[self.augmentation].transform) or self.training_feature.position == "random_each_visit"

    @property
    def pretraining(self) -> PretrainingKnobs:
        """What decides the pretrained network: the same for every depth, learning rate and feature."""
        shared = ("seed", "train_per_class", "test_per_class", "momentum", "network", "data")
        own: dict[str, Any] = {} if self.pretrain.feature == "none" else {"feature": self.feature}
        return PretrainingKnobs(recipe=self.pretrain, **{name: getattr(self, name) for name in shared}, **own)


def shared_work(knobs: CatDogKnobs) -> tuple[PretrainingKnobs, ...]:
    """Return what decides the stage of a trial; part A has none."""
    return (knobs.pretraining,) if knobs.part == "B" else ()


def _training_images(knobs: CatDogKnobs | PretrainingKnobs, arrays: Arrays) -> int:
    """Return how many images training has.

    Raises:
        ValueError: A class has fewer than are asked for, or the feature's window does not lie within them.
    """
    _refuse_window(knobs.feature, *arrays.train_inputs.shape[2:])
    chosen = 0
    for split in ("test", "train"):
        count, offset = getattr(knobs, f"{split}_per_class"), getattr(knobs.data, f"{split}_offset")
        size = getattr(knobs.data, f"{split}_size")
        of_class = np.bincount(getattr(arrays, f"{split}_labels")[offset : offset + size if size else None])
        if count > of_class.min():
            raise ValueError(f"{split}_per_class={count} exceeds the {of_class.min()} {split} images of a class")
        chosen = 2 * count or int(of_class.sum())
    return chosen
