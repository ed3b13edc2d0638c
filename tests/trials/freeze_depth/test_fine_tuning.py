"""Fine-tuning of images that are no birds: any number of classes and groups."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from trials.core.context import TrialContext
from trials.core.knobs import NONE
from trials.core.layer_groups.groups import freeze
from trials.core.layer_groups.training import descent, of_groups
from trials.core.losses.classification import cross_entropy
from trials.core.rows import checked
from trials.core.streams import drawn_from
from trials.core.training.course import course
from trials.freeze_depth.fine_tuning.augmentations import AUGMENTATIONS
from trials.freeze_depth.fine_tuning.course import NONE_SELECTED, epoch_columns, seen_in_epochs
from trials.freeze_depth.fine_tuning.group_accuracy import predictions
from trials.freeze_depth.fine_tuning.measurements import Grouping, course_measurements
from trials.freeze_depth.fine_tuning.splits import splits_of
from trials.freeze_depth.networks.backbones import Sizes, built, take_bytes

CPU = torch.device("cpu")
TASKS = {
    "two": (Grouping(names=("rare", "common"), attributes="how often it is seen", number="0 or 1"), 2, lambda of: of),
    "six": (
        Grouping(names=("0a", "0b", "1a", "1b", "2a", "2b"), attributes="class, camera", number="2y + camera"),
        3,
        lambda of: of // 2,
    ),
}
"""Task -> groups, classes and the class of a group."""


class _Sets(SimpleNamespace):
    """Random images, so many of each group and split."""

    __hash__ = object.__hash__

    def __init__(self, groups):
        random = np.random.default_rng(0)
        splits = {}
        for split, each in {"train": 3, "validation": 2, "test": 2}.items():
            of_groups = np.repeat(np.arange(groups), each + np.arange(groups) * (split == "train"))
            images = random.integers(256, size=(len(of_groups), 3, 16, 16), dtype=np.uint8)
            splits[split] = SimpleNamespace(
                images=images, groups=of_groups, counts=tuple(np.bincount(of_groups).tolist())
            )
        super().__init__(**splits)


def _fine_tuned(name, depth):
    """Return the network, its splits and what is measured before and after one epoch."""
    grouping, classes, labels_of = TASKS[name]
    with drawn_from(0, "test"):
        backbone = built("resnet", Sizes(classes=classes, width=4))
    take_bytes(backbone, 255.0)
    groups, selected, columns = backbone.groups, NONE_SELECTED, []
    freeze(groups, depth)
    splits = splits_of(_Sets(len(grouping.names)), grouping.names, labels_of, groups, depth, CPU)
    sees, steps = seen_in_epochs(splits, AUGMENTATIONS[NONE], 0, 4)
    step = descent(learning_rate=0.1, momentum=0.9)
    begun = of_groups(groups, cross_entropy, step.rule, start=depth)
    ends = {"rows_at": lambda now: now.step in (0, steps), "context": TrialContext(), "past": selected}
    for now in course(begun, step, sees, steps=steps, **ends):
        found, now.past = epoch_columns(groups, splits, now.step // steps, now.past)
        columns.append(found)
    return groups, splits, columns


@pytest.mark.parametrize("name", list(TASKS))
@pytest.mark.parametrize("depth", [0, 2])
def test_a_task_of_other_groups_trains_and_tells_its_columns(name, depth):
    grouping, _, labels_of = TASKS[name]
    groups, splits, (before, columns) = _fine_tuned(name, depth)
    measurements = course_measurements(grouping)
    assert set(columns) | {"epoch", "lr", "train_loss", "train_acc"} == set(measurements)
    assert "selected_epoch" not in before
    (row,) = checked([{"step": 1, **columns}], measurements)
    right = (predictions(groups, splits.test.inputs, depth) == labels_of(splits.test.groups)).double()
    accuracies = [row[f"test_group_acc_{group}"] for group in grouping.names]
    assert accuracies == [right[splits.test.groups == number].mean().item() for number in range(len(accuracies))]
    assert accuracies[row["worst_group_id"]] == min(accuracies) == row["test_worst_group_acc"]
    assert row["selected_epoch"] == 1


def test_columns_say_what_their_groups_are():
    measurements = course_measurements(TASKS["six"][0])
    assert measurements["val_group_acc_2b"].meaning == "accuracy of group 2b (class, camera), val split"
    assert measurements["worst_group_id"].meaning == "group 2y + camera with the lowest test accuracy"


def test_names_of_other_groups_are_refused():
    groups, splits, _ = _fine_tuned("two", 0)
    with pytest.raises(ValueError, match=r"names must be of 6 groups, got rare, common"):
        splits_of(_Sets(6), splits.names, lambda of: of, groups, 0, CPU)
