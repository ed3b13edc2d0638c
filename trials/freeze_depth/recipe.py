"""Does pretraining project the background out? Fine-tuning on birds and on backgrounds over the frozen depth.

Freezing more preserves more of what pretraining learned. Had pretraining projected the background out, preserving it
would help to predict the bird and hurt to predict the background; had it removed noise, it would help both.

Source: Kumar, Shen, Bubeck and Gunasekar, arXiv 2211.09359, and the code released with it, for freezing, the learning
rates and the figures of CLIP; Sagawa et al., arXiv 1911.08731, for Waterbirds and its measures. The stand-ins for
CLIP and Waterbirds are chosen here.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from trials.core.context import TrialContext
from trials.core.layer_groups.training import descent, fitted, network_at, of_groups, seen_fit
from trials.core.losses.classification import cross_entropy
from trials.core.rows import Row, refuse_divergence
from trials.core.training.course import course
from trials.core.training.descent import Descent, within
from trials.core.training.schedules import cosine
from trials.freeze_depth.fine_tuning.augmentations import AUGMENTATIONS
from trials.freeze_depth.fine_tuning.course import NONE_SELECTED, epoch_columns, seen_in_epochs
from trials.freeze_depth.knobs import OPTIMIZERS, FreezeDepthKnobs
from trials.freeze_depth.part_norms import gradients_squared, part_rows
from trials.freeze_depth.preparation import network_and_splits, rounded


def run(knobs: FreezeDepthKnobs, context: TrialContext) -> Iterator[Row]:
    """Fine-tune, and yield for every epoch, none included, a row for each part and one with the accuracies.

    Raises:
        Diverged: Something is not finite.
        ValueError: The weights do not fit, or there are too few images.
    """
    groups, splits, constant = network_and_splits(knobs, context)
    initial = {name: value.detach().clone() for name, value in groups.named_parameters()}
    precision = partial(rounded, knobs, context.device)
    sees, epoch_steps = seen_in_epochs(splits, AUGMENTATIONS[knobs.augmentation], knobs.seed, knobs.batch_size)
    step = _descent(knobs, epoch_steps)
    begun = of_groups(
        groups,
        cross_entropy,
        step.rule,
        start=splits.train.start,
        interval=knobs.feature_update_interval,
        damping=knobs.damping,
    )
    for now in course(
        begun,
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
        *parts, whole = part_rows(network_at(now), initial, now.noted())
        with precision():
            columns, now.past = epoch_columns(groups, splits, epoch, now.past)
        row: Row = {"step": now.step, **whole, "epoch": epoch, "lr": step.rate(now.step), **columns, **constant}
        row = {**row, "train_loss": train.loss, "train_acc": train.accuracy} if train else row
        refuse_divergence(row, [train.loss if train else 0.0], last=now.last)
        yield from ({"step": now.step, **part} for part in parts)
        yield row


def _descent(knobs: FreezeDepthKnobs, epoch_steps: int) -> Descent:
    """Return how parameters move; the rate falls from epoch to epoch."""
    rule, momentum = OPTIMIZERS[knobs.optimizer]
    falling = cosine(knobs.epochs)
    return descent(
        rule,
        learning_rate=knobs.learning_rate,
        schedule=lambda step: falling(step // epoch_steps),
        momentum=momentum,
        weight_decay=knobs.weight_decay,
    )
