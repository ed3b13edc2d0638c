"""The row at the end of an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from trials.core.rows import Measurement

if TYPE_CHECKING:
    from trials.core.probes.fit import Fit
    from trials.core.training.course import Moment

EPOCH_MEASUREMENTS: Mapping[str, Measurement] = MappingProxyType(
    {
        "epoch": Measurement(meaning="passes over as many rows as there are images", unit="epochs", type=int),
        "lr": Measurement(meaning="learning rate of the last step"),
        "train_loss": Measurement(meaning="mean loss of the epoch's batches, each before its step", unit="nats"),
        "train_acc": Measurement(meaning="accuracy on the epoch's batches, each before its step"),
        "test_loss": Measurement(meaning="mean cross-entropy on the test images", unit="nats"),
        "test_acc": Measurement(meaning="accuracy on the test images"),
        "test_acc_best": Measurement(meaning="largest test accuracy of a row so far"),
        "steps": Measurement(meaning="steps of the whole training", unit="steps", type=int),
    }
)


@dataclass(frozen=True)
class Past:
    """What earlier rows leave for later ones: the largest test accuracy so far."""

    best: float = 0.0


def epoch_row(now: Moment, train: Fit, tested: Fit, rate: float, steps_an_epoch: int) -> tuple[dict[str, Any], Past]:
    """Return the row of an epoch that ends at a moment, and what it leaves for later ones.

    Args:
        now: The moment.
        train: What the epoch's batches showed.
        tested: What the test images show.
        rate: Learning rate of the last step.
        steps_an_epoch: How many steps are an epoch.
    """
    best = max(now.past.best, tested.accuracy)
    row = {
        "step": now.step,
        "epoch": now.step // steps_an_epoch,
        "lr": rate,
        "train_loss": train.loss,
        "train_acc": train.accuracy,
        "test_loss": tested.loss,
        "test_acc": tested.accuracy,
        "test_acc_best": best,
    }
    return row, Past(best)
