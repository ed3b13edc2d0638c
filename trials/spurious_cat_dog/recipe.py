"""Does augmentation, or freezing what was pretrained, keep a network from an easy feature that is not the right one?

Cats and dogs get a patch. Part A trains from scratch, where the patch is noise that can be memorised, and asks which
augmentation helps. Part B fine-tunes a network that was pretrained without the patch, where the patch tells the class
of every image, and asks how many of its layers must be frozen for it to still know cats from dogs.

Source: Shen, Bubeck and Gunasekar, arXiv 2203.01572 (part A); part B and its table are from slides of R. Shen on joint
work with S. Bubeck, S. Gunasekar and A. Kumar. Networks: He et al., arXiv 1512.03385, section 4.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from trials.core.augmentation.transforms import TRANSFORMS
from trials.core.data.examples import DataKnobs
from trials.core.divergence import refuse_divergence
from trials.core.knobs import TrialKnobs, knob
from trials.core.layer_groups.forward import of_groups
from trials.core.layer_groups.freezing import freeze, refuse_depth
from trials.core.layer_groups.prefix import prefix_activations
from trials.core.layer_groups.residual import PARTS
from trials.core.layer_groups.training import descent, fitted
from trials.core.losses.classification import cross_entropy
from trials.core.rows import Row, Value
from trials.core.streams import batches_an_epoch, drawn_from
from trials.core.training import batches
from trials.core.training.course import course
from trials.core.training.schedules import SCHEDULES
from trials.spurious_cat_dog.arms import ARMS
from trials.spurious_cat_dog.feature import FeatureKnobs
from trials.spurious_cat_dog.image_sets import chosen_images, seen_in_training, views_of_test
from trials.spurious_cat_dog.measuring import LOST_BELOW, SPURIOUS_MEASUREMENTS, Instruments, Past
from trials.spurious_cat_dog.pretraining import (
    DIGIT_PAIR,
    RESNET_20,
    WITHOUT_FEATURE,
    NetworkKnobs,
    PretrainingKnobs,
    PretrainKnobs,
    initial_network,
    loaded,
    pretrained,
)

if TYPE_CHECKING:
    from torch import Tensor

    from trials.core.context import TrialContext
    from trials.core.layer_groups.groups import LayerGroups
    from trials.core.training.batches import Sees


PATCH, NOT_PRETRAINED = FeatureKnobs(), PretrainKnobs(epochs=0)


@dataclass(frozen=True, kw_only=True)
class CatDogKnobs(TrialKnobs):
    """All that decides one training with a spurious feature.

    Part A has no pretraining, whatever is asked of it: these are the same training, recorded as 0 epochs.
    """

    part: str = knob(
        "A trains from scratch, B fine-tunes a pretrained network; defaults are B's, space=part_a has those of A",
        "B",
        choices=("A", "B"),
    )
    augmentation_arm: str = knob("what training sees; part A only", "baseline", choices=tuple(ARMS))
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
    feature_update_interval: int = knob("steps between re-linearisations; 1 = plain training", 1, at_least=1)
    damping: float = knob("lambda of lambda / 2 ||theta - theta_s||^2 beside the loss of a round", 0.0, at_least=0)
    network: NetworkKnobs = RESNET_20
    pretrain: PretrainKnobs = WITHOUT_FEATURE
    feature: FeatureKnobs = PATCH
    data: DataKnobs = DIGIT_PAIR

    def __post_init__(self) -> None:
        if self.part == "A":
            object.__setattr__(self, "pretrain", NOT_PRETRAINED)
        if self.feature_update_interval == 1:
            object.__setattr__(self, "damping", 0.0)
        super().__post_init__()
        if self.feature_update_interval > 1 and not self.keep_statistics:
            raise ValueError(
                "feature_update_interval above 1 needs keep_statistics=true: a linearisation has no batches"
            )
        refuse_depth(self.freeze_depth, PARTS)
        if self.part == "A" and self.freeze_depth:
            raise ValueError(f"part=A trains from scratch: freeze_depth must be 0, got {self.freeze_depth}")
        if self.part == "B" and self.augmentation_arm != "baseline":
            raise ValueError(
                f"augmentation_arm={self.augmentation_arm!r} is an arm of part=A; part=B has baseline only"
            )

    @property
    def training_feature(self) -> FeatureKnobs:
        """The feature as training sees it."""
        arm = ARMS[self.augmentation_arm]
        amplitude = self.feature.amplitude if arm.feature else 0.0
        position = "random_each_visit" if arm.moves else self.feature.position
        return replace(self.feature, amplitude=amplitude, position=position)

    @property
    def changes_by_visit(self) -> bool:
        """Whether training sees an image differently at each visit."""
        return bool(ARMS[self.augmentation_arm].transform) or self.training_feature.position == "random_each_visit"

    @property
    def pretraining(self) -> PretrainingKnobs:
        """What decides the pretrained network: the same for every depth, learning rate and feature."""
        shared = ("seed", "train_per_class", "test_per_class", "momentum", "network", "data")
        own: dict[str, Any] = {} if self.pretrain.feature == "none" else {"feature": self.feature}
        return PretrainingKnobs(recipe=self.pretrain, **{name: getattr(self, name) for name in shared}, **own)


MEASUREMENTS = SPURIOUS_MEASUREMENTS


def run(knobs: CatDogKnobs, context: TrialContext) -> Iterator[Row]:
    """Train with the feature, and yield a row at the beginning and at equal parts of each epoch.

    Raises:
        Diverged: A measurement is not finite.
        ValueError: The data do not suit the knobs.
    """
    instruments, seen = prepared(knobs, context)
    steps = knobs.epochs * seen.epoch_steps
    step = descent(
        learning_rate=knobs.learning_rate,
        schedule=SCHEDULES[knobs.schedule](steps, 0),
        momentum=knobs.momentum,
        weight_decay=knobs.weight_decay,
    )
    begun = of_groups(
        instruments.groups,
        cross_entropy,
        step.rule,
        start=instruments.start,
        interval=knobs.feature_update_interval,
        damping=knobs.damping,
    )
    rows = max(1, round(knobs.epochs * knobs.measurements_per_epoch))
    measured = {round(row * steps / rows) for row in range(rows + 1)}
    for now in course(
        begun,
        step,
        seen.sees,
        steps=steps,
        rows_at=lambda now: now.step in measured,
        tally=fitted(cross_entropy),
        context=context,
        past=Past(),
    ):
        epoch, row = now.step / seen.epoch_steps, instruments.row(now)
        now.past = Past(lost=_lost(now.past, epoch, row))
        row |= {"step": now.step, "epoch": epoch, "lr": step.rate(now.step)}
        row |= {"epochs_to_acc_clean_below_0_6": now.past.lost}
        # Normalised activations bound the loss: what diverges here is not finite.
        refuse_divergence(row, [0.0], last=now.last)
        yield row


@dataclass(frozen=True)
class TrainingSet:
    """What training sees.

    Attributes:
        sees: Step -> inputs of the first part that trains, or images, and labels.
        epoch_steps: Steps of an epoch.
    """

    sees: Sees
    epoch_steps: int


def prepared(knobs: CatDogKnobs, context: TrialContext) -> tuple[Instruments, TrainingSet]:
    """Return the network with what its rows are measured with, and what it trains on."""
    train, test = chosen_images(context, knobs.data, knobs.train_per_class, knobs.test_per_class)
    epoch_steps = batches_an_epoch(len(train), knobs.batch_size)
    transform = TRANSFORMS.get(ARMS[knobs.augmentation_arm].transform)
    seen = seen_in_training(train, knobs.training_feature, knobs.seed, transform, "augmentation")
    inputs = views_of_test(test, knobs.feature, knobs.seed)
    groups, accuracy = _network(knobs, train.images.pixels.shape[1], context)
    freezing = freeze(groups, knobs.freeze_depth, statistics=knobs.keep_statistics)
    start = knobs.freeze_depth if knobs.prefix_cache and not knobs.changes_by_visit else 0
    if start:
        images = seen(0, torch.arange(len(train), device=context.device))
        hidden, *views = prefix_activations(groups, [images, *inputs.inputs], start)
    instruments = Instruments(
        groups=groups,
        freezing=freezing,
        initial={name: value.detach().clone() for name, value in groups.named_parameters()},
        accuracy=accuracy,
        start=start,
        views=inputs.of(views) if start else inputs,
        inputs=inputs,
    )

    def form(step: int, rows: Tensor) -> tuple[Tensor, Tensor]:
        return hidden[rows] if start else seen(step // epoch_steps, rows), train.images.labels[rows]

    draw = batches.epochs(knobs.seed, len(train), knobs.batch_size, context.device)
    return instruments, TrainingSet(batches.seen_anew(form, draw), epoch_steps)


def _network(knobs: CatDogKnobs, channels: int, context: TrialContext) -> tuple[LayerGroups, float | None]:
    """Return the network that training begins with, and its accuracy when it was pretrained."""
    groups = initial_network(knobs.network, channels, knobs.seed, context.device)
    if knobs.part == "A":
        return groups, None
    accuracy = loaded(groups, context.result_of(pretrained, knobs.pretraining))
    if knobs.head_init == "reinit":
        with drawn_from(knobs.seed, "head"):
            groups.readout.cpu().reset_parameters()  # type: ignore[operator]
        groups.to(context.device)
    return groups, accuracy


def shared_work(knobs: CatDogKnobs) -> PretrainingKnobs | None:
    """Return what decides the stage of a trial; None in part A, which has none."""
    return knobs.pretraining if knobs.part == "B" else None


def _lost(past: Past, epoch: float, row: Mapping[str, Value]) -> float | None:
    """Return the epochs at the first row, but for that before training, whose accuracy on clean images is lost."""
    if past.lost is not None or epoch == 0 or float(row["acc_clean"] or 0) >= LOST_BELOW:
        return past.lost
    return epoch
