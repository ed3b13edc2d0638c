"""A training by epochs: where it is, what a step adds to it, and the row at the end of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from trials.core.layer_groups.training import measured, nothing_seen, restore, seen_fit, state_of, train_step
from trials.core.rows import Measurement

if TYPE_CHECKING:
    from jaxtyping import Float, Float64
    from torch import Tensor

    from trials.core.augmentation.arms import AugmentedImages
    from trials.core.checkpoints import State
    from trials.core.context import TrialContext
    from trials.core.data.examples import Examples
    from trials.core.data.images import Images
    from trials.core.layer_groups.groups import LayerGroups
    from trials.core.layer_groups.training import Descent, Optimiser

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


class Progress(NamedTuple):
    """What a row will need of the steps before it.

    Attributes:
        seen: What the epoch's batches have shown; see `train_step`.
        best: The largest test accuracy so far.
    """

    seen: Float[Tensor, " 3"]
    best: Float64[Tensor, ""]

    def of_next_epoch(self) -> Progress:
        """Return the progress before the first step of an epoch, whose batches are yet to be seen."""
        return self._replace(seen=torch.zeros_like(self.seen))


@dataclass(frozen=True, kw_only=True)
class Training:
    """A network in training, and what it is trained and measured on.

    Attributes:
        groups: The network, which changes in place.
        optimiser: Its optimiser, likewise.
        descent: How a step follows from the gradient.
        train: The training set.
        test: The test images.
        steps: How many steps there are.
        steps_an_epoch: How many of them are an epoch: of a subset, which has fewer rows, as many as of all rows.
        precision: A new context in which products are computed.
    """

    groups: LayerGroups
    optimiser: Optimiser
    descent: Descent
    train: AugmentedImages
    test: Images
    steps: int
    steps_an_epoch: int
    precision: Callable[[], torch.autocast]

    def stepped(self, step: int, progress: Progress, batch: tuple[Tensor, Tensor]) -> Progress:
        """Change the network by a step, and return the progress after it."""
        with self.precision():
            shown = train_step(self.groups, self.optimiser, self.descent, step, batch)
        return progress._replace(seen=progress.seen + shown)

    def row(self, step: int, progress: Progress, test: Examples) -> tuple[dict[str, Any], Progress]:
        """Return the row of an epoch that ends at a step, and the progress after it."""
        train = seen_fit(progress.seen)
        with self.precision():
            tested = measured(self.groups, test)
        best = progress.best.clamp(min=tested.accuracy)
        row = {
            "step": step,
            "epoch": step // self.steps_an_epoch,
            "lr": self.descent.rate(step - 1),
            "train_loss": train.loss,
            "train_acc": train.accuracy,
            "test_loss": tested.loss,
            "test_acc": tested.accuracy,
            "test_acc_best": float(best),
            "steps": self.steps,
        }
        return row, progress._replace(best=best)

    def state(self, progress: Progress) -> State:
        """Return all that the steps and the rows to come depend on."""
        return {"training": state_of(self.groups, self.optimiser), **progress._asdict()}


def beginning(training: Training, context: TrialContext) -> tuple[int, Progress]:
    """Return the first step and the progress before it; where the trial goes on, the network is put there."""
    saved = context.checkpoints.restored(context.device)
    if saved is None:
        return 0, Progress(nothing_seen(context.device), torch.zeros((), dtype=torch.float64))
    state: Any = saved.state
    restore(training.groups, training.optimiser, state["training"])
    return saved.step, Progress(state["seen"], state["best"].cpu())
