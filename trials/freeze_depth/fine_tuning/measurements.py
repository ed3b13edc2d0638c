"""What fine-tuning on images in groups measures at the end of an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from trials.core.rows import Measurement

VALIDATED, LEAKED = "selected", "leaked"
"""Rules of selection: by the adjusted average on validation images, and on the test images as was published."""
_RULES = {VALIDATED: "by the validation images", LEAKED: "by the test images, as was published"}


class Grouping(NamedTuple):
    """The groups that images fall into.

    Attributes:
        names: Name of each group, which columns bear.
        attributes: What the characters or words of a name stand for.
        number: How a group's number comes from its attributes.
    """

    names: Sequence[str]
    attributes: str
    number: str


def course_measurements(grouping: Grouping) -> dict[str, Measurement]:
    """Return what `measured` returns of images in these groups."""
    meanings = {
        **{f"group_acc_{name}": f"accuracy of group {name} ({grouping.attributes})" for name in grouping.names},
        "adjusted_avg": "accuracy where groups are as frequent as in training",
        "worst_group_acc": "accuracy of the worst group",
    }
    return {
        "epoch": Measurement(meaning="epochs of fine-tuning", unit="epochs", type=int),
        "lr": Measurement(meaning="learning rate of the step that comes next"),
        "train_loss": Measurement(meaning="mean training loss over the last epoch's steps", unit="nats"),
        "train_acc": Measurement(meaning="training accuracy over the last epoch's steps"),
        **{
            f"{split}_{name}": Measurement(meaning=f"{meaning}, {split} split")
            for split in ("val", "test")
            for name, meaning in meanings.items()
        },
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
