"""Is one fixed transformed copy of an image worth a new image?

A training set has always the same number of rows, and only a share of them are distinct images. The others are copies,
or transforms of the images that are drawn once, before training. If augmentation worked by teaching invariance, so few
transforms could not do much.

Source: Shen, Bubeck and Gunasekar, arXiv 2203.01572, and the slides to it, for the construction and the transform; what
they leave open (networks, optimizer, subsets by seed and not by class, epochs that do not depend on the ratio) is
chosen here.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from trials.augmentation_ratio.knobs import AugmentationKnobs
from trials.augmentation_ratio.measuring import outcome
from trials.augmentation_ratio.preparation import network_and_images, seen_by_steps
from trials.core.context import TrialContext
from trials.core.layer_groups.training import descent, fit_of, fitted, network_at, of_groups, seen_fit
from trials.core.losses.classification import label_smoothed
from trials.core.rows import Row, refuse_divergence
from trials.core.training.course import Moment, course
from trials.core.training.descent import Descent, within
from trials.core.training.schedules import SCHEDULES, batches_an_epoch


def run(knobs: AugmentationKnobs, context: TrialContext) -> Iterator[Row]:
    """Train, and yield a row at the end of each epoch, or of one in so many and of the last.

    Raises:
        Diverged: A measurement is not finite.
        ValueError: The data do not suit the knobs.
    """
    groups, train, images, test = network_and_images(knobs, context)
    tests, loss = test.examples(), label_smoothed(knobs.label_smoothing)
    epoch_steps = batches_an_epoch(len(images), knobs.batch_size)
    steps, half = knobs.epochs * epoch_steps, knobs.precision == "bfloat16"
    precision = partial(torch.autocast, context.device.type, torch.bfloat16, enabled=half)
    step, epochs_between_rows = _descent(knobs, steps), round(1 / knobs.measurements_per_epoch)

    def has_row(now: Moment[Any, Any]) -> bool:
        epoch, begun = divmod(now.step, epoch_steps)
        return now.step > 0 and not begun and (now.last or epoch % epochs_between_rows == 0)

    for now in course(
        of_groups(groups, loss, step.rule, interval=knobs.feature_update_interval, damping=knobs.damping),
        within(precision, step),
        seen_by_steps(knobs, train, images),
        steps=steps,
        rows_at=has_row,
        tally=fitted(loss),
        sums_at=lambda number: number % epoch_steps == 0,
        context=context,
        past={"test_acc_best": 0.0},
    ):
        with precision():
            tested = fit_of(network_at(now), tests)
            ends = outcome(groups, train, images, test, seed=knobs.seed, most=knobs.invariance_size) if now.last else {}
        seen = seen_fit(now.seen)
        now.past = {"test_acc_best": max(now.past["test_acc_best"], tested.accuracy)}
        row: Row = {
            "step": now.step,
            "epoch": now.step // epoch_steps,
            "lr": step.rate(now.step - 1),
            "steps": steps,
            "train_loss": seen.loss,
            "train_acc": seen.accuracy,
            "test_loss": tested.loss,
            "test_acc": tested.accuracy,
            **now.past,
        }
        refuse_divergence(row, [seen.loss], last=now.last)
        yield {**row, **ends}


def _descent(knobs: AugmentationKnobs, steps: int) -> Descent:
    return descent(
        knobs.optimizer,
        learning_rate=knobs.learning_rate,
        schedule=SCHEDULES[knobs.schedule](steps, round(knobs.warm_share * steps)),
        momentum=knobs.momentum,
        nesterov=knobs.momentum > 0,
        weight_decay=knobs.weight_decay,
    )
