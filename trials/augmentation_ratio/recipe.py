"""Is one fixed transformed copy of an image worth a new image?

A training set has always the same number of rows, and only a share of them are distinct images. The others are copies,
or transforms of the images that are drawn once, before training. If augmentation worked by teaching invariance, so few
transforms could not do much.

Source: Shen, Bubeck and Gunasekar, arXiv 2203.01572, and the slides to it, for the construction and the transform; what
they leave open (networks, optimiser, subsets by seed and not by class, epochs that do not depend on the ratio) is
chosen here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

from trials.augmentation_ratio.arms import ARMS, augmented
from trials.augmentation_ratio.epochs import EPOCH_MEASUREMENTS, Past, epoch_row
from trials.augmentation_ratio.image_networks import IMAGE_NETWORKS, Shape, mlp_groups
from trials.augmentation_ratio.mixing import MIXINGS
from trials.augmentation_ratio.outcome import OUTCOME_MEASUREMENTS, outcome
from trials.core.augmentation.transforms import TRANSFORMS, on_grey, refuse_mirrored_signs
from trials.core.data.examples import DataKnobs
from trials.core.data.images import prepared_images
from trials.core.divergence import refuse_divergence
from trials.core.knobs import TrialKnobs, knob
from trials.core.layer_groups.forward import of_groups
from trials.core.layer_groups.freezing import freeze
from trials.core.layer_groups.training import OPTIMISERS, descent, fitted, measured, seen_fit
from trials.core.losses.classification import label_smoothed
from trials.core.rows import Measurement, Row
from trials.core.streams import batches_an_epoch, drawn_from
from trials.core.training import batches
from trials.core.training.course import course
from trials.core.training.descent import within
from trials.core.training.schedules import SCHEDULES

if TYPE_CHECKING:
    from torch import Tensor

    from trials.augmentation_ratio.arms import AugmentedImages
    from trials.core.context import TrialContext
    from trials.core.data.images import Images
    from trials.core.layer_groups.groups import LayerGroups
    from trials.core.training.course import Moment
    from trials.core.training.descent import Descent

BORDERS = ("black", "grey")
PRECISIONS = ("float32", "bfloat16")
_DATA = DataKnobs(name="jittered_digits")


@dataclass(frozen=True, kw_only=True)
class AugmentationKnobs(TrialKnobs):
    """All that decides the outcome of one training.

    With all images there is no room for copies: `fixed_aug` and `subset` are then recorded as `copies`, the same rows.
    """

    ratio: float = knob("share of the rows that are distinct images (p)", 1.0, above=0, at_most=1)
    aug_arm: str = knob("what the other rows are, and whether rows are transformed anew", "copies", choices=tuple(ARMS))
    transform: str = knob("how rows are transformed, and answers compared", "crop2", choices=tuple(TRANSFORMS))
    border: str = knob(
        "what a transform shows beyond an image: black, or each channel's mean", "black", choices=BORDERS
    )
    exclude_identity: bool = knob("draw again where a fixed transform would change nothing", False)
    mixing: str = knob("mixtures of the images of a batch; fresh_aug only", "none", choices=tuple(MIXINGS))
    label_smoothing: float = knob("share of a label spread evenly over the classes", 0.0, at_least=0, at_most=1)
    network: str = knob("architecture", "mlp", choices=tuple(IMAGE_NETWORKS))
    width: int = knob("units of the hidden layer; mlp only", 128, unit="units", at_least=1)
    epochs: int = knob("passes over as many rows as there are images", 30, unit="epochs", at_least=1)
    batch_size: int = knob("rows a step", 50, unit="rows", at_least=1)
    optimizer: str = knob("how a step follows from the gradient", "sgd", choices=tuple(OPTIMISERS))
    learning_rate: float = knob("step length at its peak", 0.1, above=0)
    schedule: str = knob("learning rate after its linear warm-up", "linear", choices=tuple(SCHEDULES))
    warm_share: float = knob("share of the steps that warm up", 0.15, at_least=0, at_most=1)
    momentum: float = knob("share of the mean gradient that is kept, with sgd by Nesterov's rule", 0.9, at_least=0)
    weight_decay: float = knob("decay of the parameters", 5e-4, at_least=0)
    freeze_depth: int = knob("parts that stay as they began, counted from the input", 0, unit="parts", at_least=0)
    precision: str = knob("numbers of the products; bfloat16 by autocast", "float32", choices=PRECISIONS)
    row_interval: int = knob("epochs between rows; the last epoch always has one", 1, unit="epochs", at_least=1)
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
        if self.ratio == 1 and self.aug_arm in ("fixed_aug", "subset"):
            object.__setattr__(self, "aug_arm", "copies")
        if self.aug_arm in ("copies", "subset"):
            object.__setattr__(self, "exclude_identity", False)
        super().__post_init__()
        refuse_mirrored_signs(self.transform, self.data.name)
        if self.border == "grey" and TRANSFORMS[self.transform].of_bytes:
            raise ValueError(
                f"transform={self.transform!r} computes with bytes, whose border is black; take border=black"
            )
        if self.mixing != "none" and self.aug_arm != "fresh_aug":
            raise ValueError(f"mixing={self.mixing!r} is drawn anew in each batch: it needs aug_arm=fresh_aug")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be below 1, got {self.momentum:g}")


MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType({**EPOCH_MEASUREMENTS, **OUTCOME_MEASUREMENTS})


def run(knobs: AugmentationKnobs, context: TrialContext) -> Iterator[Row]:
    """Train, and yield a row at the end of each epoch, or of every `row_interval`-th and the last.

    Raises:
        Diverged: A measurement is not finite.
        ValueError: The data do not suit the knobs.
    """
    groups, train, images = prepared(knobs, context)
    test, loss = images.examples(), label_smoothed(knobs.label_smoothing)
    epoch_steps = batches_an_epoch(len(train.images), knobs.batch_size)
    steps, half = knobs.epochs * epoch_steps, knobs.precision == "bfloat16"
    precision = partial(torch.autocast, context.device.type, torch.bfloat16, enabled=half)
    step = _descent(knobs, steps)

    def form(number: int, rows: Tensor) -> tuple[Tensor, Tensor]:
        inputs, labels = train.batch(rows, visit=number // batches_an_epoch(len(train), knobs.batch_size))
        return MIXINGS[knobs.mixing](inputs, labels, train.images.classes, knobs.seed, number)

    def has_row(now: Moment) -> bool:
        epoch, begun = divmod(now.step, epoch_steps)
        return now.step > 0 and not begun and (now.last or epoch % knobs.row_interval == 0)

    for now in course(
        of_groups(groups, loss, step.rule),
        within(precision, step),
        # The same rows in every arm and at every ratio.
        batches.seen_anew(form, batches.epochs(knobs.seed, len(train), knobs.batch_size, context.device)),
        steps=steps,
        rows_at=has_row,
        tally=fitted(loss),
        sums_at=lambda number: number % epoch_steps == 0,
        context=context,
        past=Past(),
    ):
        with precision():
            tested = measured(groups, test)
            ends = outcome(groups, train, images, seed=knobs.seed, most=knobs.invariance_size) if now.last else {}
        row, now.past = epoch_row(now, seen_fit(now.seen), tested, step.rate(now.step - 1), epoch_steps)
        row["steps"] = steps
        refuse_divergence(row, [row["train_loss"]], last=now.last)
        yield row | ends


def prepared(knobs: AugmentationKnobs, context: TrialContext) -> tuple[LayerGroups, AugmentedImages, Images]:
    """Return the network before its first step, what it is trained on, and the test images.

    Raises:
        ValueError: The data do not suit the knobs.
    """
    images, test = prepared_images(context.arrays(knobs.data.name), knobs.data, context.device)
    if knobs.validation_size:
        images, test = images.held_out(knobs.validation_size)
    transform = TRANSFORMS[knobs.transform]
    train = augmented(
        images,
        ARMS[knobs.aug_arm],
        on_grey(transform, images.grey) if knobs.border == "grey" else transform,
        ratio=knobs.ratio,
        seed=knobs.seed,
        exclude_identity=knobs.exclude_identity,
    )
    if knobs.batch_size > len(train):
        raise ValueError(f"batch_size={knobs.batch_size} exceeds the {len(train)} rows of the training set")
    with drawn_from(knobs.seed, "initialisation"):
        groups = _network(knobs)(tuple(images.pixels.shape[1:]), images.classes).to(context.device)
    groups.to(memory_format=torch.channels_last)  # a quarter less time for convolutions and pooling on a CPU
    freeze(groups, knobs.freeze_depth)
    return groups, train, test


def _network(knobs: AugmentationKnobs) -> Callable[[Shape, int], LayerGroups]:
    return partial(mlp_groups, width=knobs.width) if knobs.network == "mlp" else IMAGE_NETWORKS[knobs.network]


def _descent(knobs: AugmentationKnobs, steps: int) -> Descent:
    return descent(
        knobs.optimizer,
        learning_rate=knobs.learning_rate,
        schedule=SCHEDULES[knobs.schedule](steps, round(knobs.warm_share * steps)),
        momentum=knobs.momentum,
        nesterov=knobs.momentum > 0,
        weight_decay=knobs.weight_decay,
    )
