"""Fine-tuning by epochs on what the frozen parts make of images, and what is measured between them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from trials.core.training.batches import Sees, epochs, seen_anew
from trials.core.training.schedules import batches_an_epoch
from trials.freeze_depth.fine_tuning.group_accuracy import group_columns, predictions, worst_group
from trials.freeze_depth.fine_tuning.measurements import LEAKED, VALIDATED

if TYPE_CHECKING:
    from torch import Tensor

    from trials.core.layer_groups.groups import LayerGroups
    from trials.core.rows import Value
    from trials.freeze_depth.fine_tuning.augmentations import Augmentation
    from trials.freeze_depth.fine_tuning.splits import Splits


@dataclass(frozen=True)
class Selected:
    """The best epoch so far.

    Attributes:
        score: What it was chosen by; the first of equals stays.
        epoch: Which it was.
        values: What was measured then.
    """

    score: float = -math.inf
    epoch: int = 0
    values: tuple[float, ...] = ()

    def after(self, score: float, epoch: int, values: Sequence[float]) -> Selected:
        """Return the selection after another epoch."""
        return Selected(score, epoch, tuple(values)) if score > self.score else self


Selections = Mapping[str, Selected]
"""Best epoch by each rule, of those measured before."""
NONE_SELECTED: Selections = {VALIDATED: Selected(), LEAKED: Selected()}


def seen_in_epochs(splits: Splits, augment: Augmentation, seed: int, batch_size: int) -> tuple[Sees, int]:
    """Return what each step sees of the training images, and the steps of an epoch, whose last batch has what is left.

    The seed is that of the order of batches and of the augmentation, one of `AUGMENTATIONS`.
    """
    train = splits.train
    epoch_steps = batches_an_epoch(len(train.labels), batch_size, whole=False)
    shown = lru_cache(maxsize=1)(partial(augment, train.inputs, seed))

    def form(step: int, rows: Tensor) -> tuple[Tensor, Tensor]:
        return shown(step // epoch_steps)(rows), train.labels[rows]

    return seen_anew(form, epochs(seed, len(train.labels), batch_size, train.labels.device, whole=False)), epoch_steps


def epoch_columns(
    groups: LayerGroups, splits: Splits, epoch: int, selected: Selections
) -> tuple[dict[str, Value], Selections]:
    """Return the columns of an epoch's end that images decide, and the selections after it."""
    columns: dict[str, Any] = {}
    for name, split in (("val", splits.val), ("test", splits.test)):
        right = predictions(groups, split.inputs, split.start) == split.labels
        columns |= group_columns(right, split.groups, splits.counts, name, splits.names)
    columns["worst_group_id"] = worst_group([columns[f"test_group_acc_{name}"] for name in splits.names])[0]
    if epoch:
        shown = columns["test_adjusted_avg"], columns["test_worst_group_acc"]
        scores = {VALIDATED: columns["val_adjusted_avg"], LEAKED: columns["test_adjusted_avg"]}
        selected = {rule: best.after(scores[rule], epoch, shown) for rule, best in selected.items()}
    return columns | _selection_columns(selected), selected


def _selection_columns(selected: Selections) -> dict[str, Value]:
    columns: dict[str, Value] = {}
    for rule, best in selected.items():
        if best.values:
            average, worst = best.values
            columns |= {f"{rule}_epoch": best.epoch, f"{rule}_score": best.score}
            columns |= {f"{rule}_test_adjusted_avg": average, f"{rule}_test_worst_group_acc": worst}
    return columns
