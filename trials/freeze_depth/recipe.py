"""Does pretraining project the background out? Fine-tuning on birds and on backgrounds over the frozen depth.

Freezing more preserves more of what pretraining learned. Had pretraining projected the background out, preserving it
would help to predict the bird and hurt to predict the background; had it removed noise, it would help both.

Source: Kumar, Shen, Bubeck and Gunasekar, arXiv 2211.09359, and the code released with it, for freezing, the learning
rates and the figures of CLIP; Sagawa et al., arXiv 1911.08731, for Waterbirds and its measures. The stand-ins for
CLIP and Waterbirds are chosen here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch

from trials.core.divergence import refuse_divergence
from trials.core.knobs import NONE, TrialKnobs, knob
from trials.core.layer_groups.forward import of_groups
from trials.core.layer_groups.freezing import Freezing, freeze
from trials.core.layer_groups.training import descent, fitted, seen_fit
from trials.core.losses.classification import cross_entropy
from trials.core.rows import Measurement, Row
from trials.core.training.course import course
from trials.core.training.descent import within
from trials.core.training.schedules import cosine
from trials.freeze_depth.birds.groups import GROUPING, TASKS
from trials.freeze_depth.birds.networks import CLASSES, initial_network, refuse_contradictory_pretraining
from trials.freeze_depth.birds.pretraining import PretrainKnobs
from trials.freeze_depth.birds.sets import BirdData, birds_of
from trials.freeze_depth.fine_tuning.augmentations import AUGMENTATIONS
from trials.freeze_depth.fine_tuning.course import NONE_SELECTED, course_measurements, measured, seen_in_epochs
from trials.freeze_depth.fine_tuning.networks import PUBLISHED, SCOPES, SOURCES, STRICT, refuse_contradictions
from trials.freeze_depth.fine_tuning.readiness import refuse_what_does_not_fit
from trials.freeze_depth.fine_tuning.splits import splits_of
from trials.freeze_depth.part_norms import PART_MEASUREMENTS, gradients_squared, part_rows

if TYPE_CHECKING:
    from trials.core.context import TrialContext
    from trials.core.data.arrays import Arrays
    from trials.core.layer_groups.groups import LayerGroups
    from trials.core.training.descent import Descent
    from trials.freeze_depth.birds.groups import Birds
    from trials.freeze_depth.fine_tuning.splits import Splits

OPTIMISERS: Mapping[str, tuple[str, float]] = MappingProxyType(
    {"sgd": ("sgd", 0.9), "sgd_no_momentum": ("sgd", 0.0), "adamw": ("adamw", 0.9)}
)
"""Name -> rule and momentum."""
PRECISIONS = ("float32", "bfloat16")
_DATA, _PRETRAIN = BirdData(), PretrainKnobs()


@dataclass(frozen=True, kw_only=True)
class FreezeDepthKnobs(TrialKnobs):
    """All that decides the outcome of one fine-tuning.

    Raises:
        ValueError: The network has no such depth, or the knobs exclude each other.
    """

    task: str = knob("what is predicted: the bird or its background", "foreground", choices=tuple(TASKS))
    freeze_depth: int = knob("parts that are frozen, counted from the input", 0, unit="parts", at_least=0)
    freeze_scope: str = knob("strict, or class and place embeddings always train", STRICT, choices=SCOPES)
    network: str = knob("architecture; timm/NAME and torchvision/NAME as well", "resnet")
    width: int = knob("channels of the first stage; resnet only", 16, unit="channels", at_least=1)
    blocks: int = knob("residual blocks a stage; resnet only", 1, unit="blocks", at_least=1)
    weights_source: str = knob("where weights come from that are not pretrained in the sweep", NONE, choices=SOURCES)
    weights: str = knob("path, URL or name of the weights", "")
    weights_sha256: str = knob("SHA-256 that the file of the weights must have, empty = any", "")
    pretrain: PretrainKnobs = _PRETRAIN
    optimiser: str = knob("rule of a step; sgd has momentum 0.9", "sgd", choices=tuple(OPTIMISERS))
    learning_rate: float = knob("first learning rate of fine-tuning (lr_ft); falls on a cosine", 0.01, above=0)
    weight_decay: float = knob("weight decay of fine-tuning", 0.0, at_least=0)
    batch_size: int = knob("images a step", 64, unit="images", at_least=1)
    epochs: int = knob("epochs of fine-tuning", 8, unit="epochs", at_least=1)
    statistics_fixed: bool = knob("whether batch normalisation keeps its statistics in trained parts as well", False)
    augmentation: str = knob("what is done to training images", NONE, choices=tuple(AUGMENTATIONS))
    precision: str = knob("numbers of a forward pass; parameters are float32", "float32", choices=PRECISIONS)
    data: BirdData = _DATA

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_contradictions(self)
        refuse_contradictory_pretraining(self)

    def refuse_unfit(self, arrays: Mapping[str, Arrays]) -> None:
        """Compare these knobs with the network and the weights that they name.

        Raises:
            ValueError: The network, its depths, the images or the weights do not fit each other.
        """
        refuse_what_does_not_fit(self, CLASSES)


MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType(
    {
        **PART_MEASUREMENTS,
        **course_measurements(GROUPING),
        "pretrain_acc": Measurement(meaning="accuracy in pretraining, on unseen images; in the sweep only"),
        "num_trainable": Measurement(meaning="parameters that train", unit="parameters", type=int),
        "num_frozen": Measurement(meaning="parameters that are frozen", unit="parameters", type=int),
        "cached_parts": Measurement(
            meaning="frozen parts that training images pass once, before training; the others in every step",
            unit="parts",
            type=int,
        ),
        "frozen_parameters": Measurement(meaning="names of the frozen parameters", type=str),
    }
)


def run(knobs: FreezeDepthKnobs, context: TrialContext) -> Iterator[Row]:
    """Fine-tune, and yield for every epoch, none included, a row for each part and one with the accuracies.

    Raises:
        Diverged: Something is not finite.
        ValueError: The weights do not fit, or there are too few images.
    """
    birds = birds_of(context.arrays(knobs.data.name), knobs.data)
    backbone, pretrain_acc = initial_network(knobs, context)
    groups = backbone.groups
    initial = {name: value.detach().clone() for name, value in groups.named_parameters()}
    spared = backbone.embeddings if knobs.freeze_scope == PUBLISHED else ()
    frozen = freeze(groups, knobs.freeze_depth, statistics=knobs.statistics_fixed, spared=spared)
    precision = partial(_precision, knobs, context.device)
    with precision():
        splits = _splits(knobs, birds, groups, context.device)
    sees, epoch_steps = seen_in_epochs(splits, AUGMENTATIONS[knobs.augmentation], knobs.seed, knobs.batch_size)
    step = _descent(knobs, epoch_steps)
    constant = {"pretrain_acc": pretrain_acc, **_counts(frozen), "cached_parts": splits.train.start}
    for now in course(
        of_groups(groups, cross_entropy, step.rule, start=splits.train.start),
        within(precision, step),
        sees,
        steps=knobs.epochs * epoch_steps,
        rows_at=lambda now: now.step % epoch_steps == 0,
        tally=fitted(cross_entropy),
        note=lambda told: gradients_squared(groups, told.gradient),
        context=context,
        past=NONE_SELECTED,
    ):
        epoch, train = now.step // epoch_steps, None if now.seen is None else seen_fit(now.seen)
        *parts, whole = part_rows(groups, initial, now.noted())
        with precision():
            columns, now.past = measured(groups, splits, epoch, now.past)
        row: Row = {"step": now.step, **whole, "epoch": epoch, "lr": step.rate(now.step), **columns, **constant}
        row |= {"train_loss": train.loss, "train_acc": train.accuracy} if train else {}
        refuse_divergence(row, [train.loss if train else 0.0], last=now.last)
        yield from ({"step": now.step, **part} for part in parts)
        yield row


def _splits(knobs: FreezeDepthKnobs, birds: Birds, groups: LayerGroups, device: torch.device) -> Splits:
    """Return the images, the frozen parts passed where that can be done once and for all."""
    depth, changing = cached_parts(knobs), knobs.augmentation != NONE
    return splits_of(birds, GROUPING.names, TASKS[knobs.task], groups, depth, device, changing=changing)


def cached_parts(knobs: FreezeDepthKnobs) -> int:
    """Return how many parts an image that never changes passes once and for all: none where one of them changes."""
    return knobs.freeze_depth if knobs.freeze_scope == STRICT else 0


def _precision(knobs: FreezeDepthKnobs, device: torch.device) -> torch.autocast:
    """Return the context of forward passes; it must not outlast a row, since whoever reads the rows is inside then."""
    # Without a cache of rounded weights: within one context it would outlive the steps that change them.
    return torch.autocast(device.type, torch.bfloat16, enabled=knobs.precision == "bfloat16", cache_enabled=False)


def _descent(knobs: FreezeDepthKnobs, epoch_steps: int) -> Descent:
    """Return how parameters move; the rate falls from epoch to epoch."""
    rule, momentum = OPTIMISERS[knobs.optimiser]
    falling = cosine(knobs.epochs)
    return descent(
        rule,
        learning_rate=knobs.learning_rate,
        schedule=lambda step: falling(step // epoch_steps),
        momentum=momentum,
        weight_decay=knobs.weight_decay,
    )


def _counts(frozen: Freezing) -> Row:
    return {
        "num_trainable": frozen.num_trainable,
        "num_frozen": frozen.num_frozen,
        "frozen_parameters": ", ".join(frozen.frozen),
    }
