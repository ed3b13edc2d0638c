"""Course of a fine-tuning: epochs of steps on what the frozen parts make of images, and what is measured between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from trials.core.layer_groups.answers import predictions
from trials.core.layer_groups.part_norms import gradients_squared
from trials.core.layer_groups.training import nothing_seen, restore, seen_fit, state_of, train_step
from trials.core.probes.group_accuracy import group_columns, group_measurements, worst_group
from trials.core.probes.selection import Selected, selected_again
from trials.core.rows import Measurement
from trials.core.streams import batch_indices, batches_an_epoch

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float
    from torch import Tensor

    from trials.core.checkpoints import Saved, State
    from trials.core.fine_tuning.augmentations import Batches
    from trials.core.fine_tuning.splits import Splits
    from trials.core.layer_groups.groups import LayerGroups
    from trials.core.layer_groups.training import Descent, Optimiser
    from trials.core.probes.group_accuracy import Grouping
    from trials.core.rows import Value

VALIDATED, LEAKED = "selected", "leaked"
"""Rules of selection: by the adjusted average on validation images, and on the test images as was published."""
_RULES = {VALIDATED: "by the validation images", LEAKED: "by the test images, as was published"}


def course_measurements(grouping: Grouping) -> dict[str, Measurement]:
    """Return what `measured` returns of images in these groups."""
    return {
        "epoch": Measurement(meaning="epochs of fine-tuning", unit="epochs", type=int),
        "lr": Measurement(meaning="learning rate of the step that comes next"),
        "train_loss": Measurement(meaning="mean training loss over the last epoch's steps", unit="nats"),
        "train_acc": Measurement(meaning="training accuracy over the last epoch's steps"),
        **group_measurements(grouping),
        "worst_group_id": Measurement(meaning=f"group {grouping.number} with the lowest test accuracy", type=int),
        **{
            f"{rule}_{name}": Measurement(meaning=f"{meaning}, chosen {how}", type=kind)
            for rule, how in _RULES.items()
            for name, (meaning, kind) in {
                "epoch": ("best epoch so far", int),
                "score": ("adjusted average that the best epoch was chosen by", float),
                "test_adjusted_avg": ("test_adjusted_avg at the best epoch so far", float),
                "test_worst_group_acc": ("test_worst_group_acc at the best epoch so far", float),
            }.items()
        },
    }


@dataclass(frozen=True, kw_only=True)
class Course:
    """What a training is, apart from how far it has come.

    Attributes:
        groups: The network, which changes in place.
        optimiser: Of its trainable parameters, likewise.
        descent: How parameters move; the schedule counts steps.
        splits: The images.
        augment: One of `AUGMENTATIONS`; see there.
        seed: Of the order of batches and of the augmentation.
        batch_size: Images a step; the last batch of an epoch has what is left.
    """

    groups: LayerGroups
    optimiser: Optimiser
    descent: Descent
    splits: Splits
    augment: Callable[[Tensor, int, int], Batches]
    seed: int
    batch_size: int

    @property
    def steps_an_epoch(self) -> int:
        return batches_an_epoch(len(self.splits.train.labels), self.batch_size, whole=False)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a training has come, apart from the network and the optimiser.

    Attributes:
        epoch: Epochs done.
        seen: What the last epoch's steps showed, added up; None before the first.
        gradients: Squared norms of the parts' last gradients; None before the first.
        selected: Best epoch by each rule, of those measured before.
    """

    epoch: int = 0
    seen: Float[Tensor, " 3"] | None = None
    gradients: Float[Tensor, " parts"] | None = None
    selected: Mapping[str, Selected]

    @property
    def loss(self) -> float:
        """Mean training loss of the last epoch's steps, 0 before the first; waits for the device."""
        return 0.0 if self.seen is None else seen_fit(self.seen).loss


def began(saved: Saved | None, course: Course) -> Progress:
    """Return where to begin: at the beginning, or where a checkpoint was left, which the network is then put to."""
    if saved is None:
        return Progress(selected={rule: Selected() for rule in (VALIDATED, LEAKED)})
    state: Any = saved.state
    restore(course.groups, course.optimiser, state)
    return Progress(
        epoch=saved.step // course.steps_an_epoch,
        seen=state.get("seen"),
        gradients=state.get("gradients"),
        selected={rule: selected_again(value) for rule, value in state["selected"].items()},
    )


def state_at(course: Course, progress: Progress) -> State:
    """Return all that later rows depend on."""
    lately = {"seen": progress.seen, "gradients": progress.gradients}
    return {
        **state_of(course.groups, course.optimiser),
        "selected": {rule: chosen.state() for rule, chosen in progress.selected.items()},
        **{name: value for name, value in lately.items() if value is not None},
    }


def measured(course: Course, progress: Progress) -> tuple[Progress, dict[str, Value]]:
    """Return the columns of an epoch's end, and the progress with the selections after it."""
    columns: dict[str, Any] = {
        "epoch": progress.epoch,
        "lr": course.descent.rate(progress.epoch * course.steps_an_epoch),
    }
    if progress.seen is not None:
        columns |= dict(zip(("train_loss", "train_acc"), seen_fit(progress.seen), strict=True))
    names = course.splits.names
    for name, split in (("val", course.splits.val), ("test", course.splits.test)):
        right = predictions(course.groups, split.inputs, split.start) == split.labels
        columns |= group_columns(right, split.groups, course.splits.counts, name, names)
    columns["worst_group_id"] = worst_group([columns[f"test_group_acc_{name}"] for name in names])[0]
    if progress.epoch:
        shown = columns["test_adjusted_avg"], columns["test_worst_group_acc"]
        scores = {VALIDATED: columns["val_adjusted_avg"], LEAKED: columns["test_adjusted_avg"]}
        chosen = {rule: best.after(scores[rule], progress.epoch, shown) for rule, best in progress.selected.items()}
        progress = replace(progress, selected=chosen)
    return progress, columns | _selection_columns(progress.selected)


def one_epoch(course: Course, progress: Progress) -> Progress:
    """Change the network by an epoch and return the progress after it, without waiting for the device."""
    train, steps = course.splits.train, course.steps_an_epoch
    device = train.labels.device
    shown, seen = course.augment(train.inputs, course.seed, progress.epoch), nothing_seen(device)
    for step in range(progress.epoch * steps, (progress.epoch + 1) * steps):
        batch = batch_indices(course.seed, step, len(train.labels), course.batch_size, device, whole=False)
        examples = shown(batch), train.labels[batch]
        seen = seen + train_step(course.groups, course.optimiser, course.descent, step, examples, train.start)
    gradients = gradients_squared(course.groups, course.optimiser.gradient or {})
    return replace(progress, epoch=progress.epoch + 1, seen=seen, gradients=gradients)


def _selection_columns(selected: Mapping[str, Selected]) -> dict[str, Value]:
    columns: dict[str, Value] = {}
    for rule, best in selected.items():
        if best.values:
            average, worst = best.values
            columns |= {f"{rule}_epoch": best.epoch, f"{rule}_score": best.score}
            columns |= {f"{rule}_test_adjusted_avg": average, f"{rule}_test_worst_group_acc": worst}
    return columns
