"""Does sharpness-aware minimisation learn easy and difficult features more evenly, and does that need moving features?

A patch model: every example has a difficult feature, most have an easy one as well, and the rest is noise. Gradient
descent learns the easy one long before the difficult one; the slope taken a distance up (SAM) evens the two out.

Source: Nguyen, Haddad, Gan and Mirzasoleiman, arXiv 2404.17768, theory; its constants 0.9, 1 and 0.2. The layout of the
patches is the standard form of that model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from trials.core.losses.classification import MARGIN_LOSSES
from trials.core.networks.network import Network
from trials.core.rounds.in_rounds import renewed_every
from trials.core.rounds.round import Problem
from trials.core.rows import Losses, Row, logarithmic_steps, refuse_divergence
from trials.core.streams import generator
from trials.core.training.batches import everything, seen
from trials.core.training.course import course
from trials.core.training.descent import Descent
from trials.core.training.directions import SharpnessAware
from trials.core.training.places import Place
from trials.core.training.rules import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from trials.core.context import TrialContext
    from trials.useful_sam.knobs import UsefulKnobs

LOGISTIC, FILTERS = MARGIN_LOSSES["logistic"], "filters.weight"
TEST_SAMPLES = 2000


def run(knobs: UsefulKnobs, context: TrialContext) -> Iterator[Row]:
    """Train by gradient descent or SAM, on the network or in rounds, and yield a row at log-spaced steps.

    Raises:
        Diverged: A measurement is not finite, or the training loss stays far above its initial value.
    """
    train, test = (drawn(knobs, split, context.device) for split in ("train", "test"))
    random = generator(knobs.seed, "initialisation")
    start = {FILTERS: 0.1 * torch.randn(knobs.filters, knobs.dimensions, generator=random, dtype=torch.float64)}
    network = Network(shapes={FILTERS: tuple(start[FILTERS].shape)}, forward=outputs_of)
    begun = Place({name: value.to(context.device) for name, value in start.items()}, {})
    measured = logarithmic_steps(knobs.steps, knobs.measurements_per_decade)
    for now in course(
        renewed_every(knobs.feature_update_interval, Problem(network=network, loss=LOGISTIC), begun),
        Descent(rule=plain(0), rate=lambda step: knobs.learning_rate, direction=SharpnessAware(knobs.sam_rho)),
        seen(lambda rows: (train.inputs[rows], train.labels[rows]), everything(knobs.samples, context.device)),
        steps=knobs.steps,
        rows_at=lambda now: now.step in measured,
        context=context,
        past=Losses(),
    ):
        filters, loss = now.parameters[FILTERS], float(LOGISTIC(outputs_of(now.parameters, train.inputs), train.labels))
        right = LOGISTIC.right(outputs_of(now.parameters, test.inputs), test.labels).double()
        row: Row = {
            "step": now.step,
            "train_loss": loss,
            "align_easy": float(filters[:, 0].max()),
            "align_hard": float(filters[:, 1].max()),
            "test_acc": float(right.mean()),
            "test_acc_no_easy": None if test.easy.all() else float(right[~test.easy].mean()),
        }
        now.past = now.past.then(loss)
        refuse_divergence(row, now.past.losses, last=now.last)
        yield row


class PatchExamples(NamedTuple):
    """Examples of the patch model.

    Attributes:
        inputs: (samples, patches, dimensions) in float64; the features are the first two axes, easy and difficult.
        labels: -1 or +1, (samples,).
        easy: Whether an example carries the easy feature, (samples,).
    """

    inputs: Tensor
    labels: Tensor
    easy: Tensor


def drawn(knobs: UsefulKnobs, split: str, device: torch.device) -> PatchExamples:
    """Return the examples of a split, `train` or `test`.

    The difficult feature is in a patch of its own, the easy one in another where there is one, both times the label;
    every other patch is Gaussian noise orthogonal to both. Which patches these are is random.
    """
    random, samples = generator(knobs.seed, split), knobs.samples if split == "train" else TEST_SAMPLES
    labels = 2.0 * torch.randint(2, (samples,), generator=random).double() - 1
    shape = (samples, knobs.patches, knobs.dimensions)
    inputs = torch.randn(shape, generator=random, dtype=torch.float64) * (knobs.noise / knobs.dimensions**0.5)
    inputs[..., :2] = 0
    places, rows = torch.rand(samples, knobs.patches, generator=random).argsort(1), torch.arange(samples)
    easy = torch.rand(samples, generator=random) < knobs.easy_prob
    for size, axis, having in ((knobs.beta_easy, 0, rows[easy]), (knobs.beta_hard, 1, rows)):
        inputs[having, places[having, axis]] = 0
        inputs[having, places[having, axis], axis] = size * labels[having]
    return PatchExamples(inputs.to(device), labels.to(device), easy.to(device))


def outputs_of(parameters: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
    """Return the sum over units and patches of <w, x>^3, (samples, 1)."""
    return (inputs @ parameters[FILTERS].T).pow(3).sum((1, 2))[:, None]
