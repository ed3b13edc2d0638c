"""Fine-tuning of images that are no birds: any number of classes and groups."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from trials.core.fine_tuning.augmentations import AUGMENTATIONS
from trials.core.fine_tuning.course import Course, began, course_measurements, measured, one_epoch
from trials.core.fine_tuning.splits import splits_of
from trials.core.knobs import NONE
from trials.core.layer_groups.answers import predictions
from trials.core.layer_groups.backbones import Sizes, built, take_bytes
from trials.core.layer_groups.freezing import freeze
from trials.core.layer_groups.training import Descent, optimiser_of
from trials.core.probes.group_accuracy import Grouping
from trials.core.rows import checked
from trials.core.streams import drawn_from

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


def _course(name, depth):
    grouping, classes, labels_of = TASKS[name]
    with drawn_from(0, "test"):
        backbone = built("resnet", Sizes(classes=classes, width=4))
    take_bytes(backbone, 255.0)
    freeze(backbone.groups, depth)
    descent = Descent(optimiser="sgd", learning_rate=0.1, schedule=lambda step: 1.0, momentum=0.9, weight_decay=0.0)
    return Course(
        groups=backbone.groups,
        optimiser=optimiser_of(backbone.groups, descent),
        descent=descent,
        splits=splits_of(_Sets(len(grouping.names)), grouping.names, labels_of, backbone.groups, depth, CPU),
        augment=AUGMENTATIONS[NONE],
        seed=0,
        batch_size=4,
    )


@pytest.mark.parametrize("name", list(TASKS))
@pytest.mark.parametrize("depth", [0, 2])
def test_a_task_of_other_groups_trains_and_tells_its_columns(name, depth):
    grouping, _, labels_of = TASKS[name]
    course = _course(name, depth)
    before = {tensor: value.detach().clone() for tensor, value in course.groups.named_parameters()}
    now, _ = measured(course, began(None, course))
    now, columns = measured(course, one_epoch(course, now))
    changed = {tensor for tensor, value in course.groups.named_parameters() if not torch.equal(value, before[tensor])}
    assert {tensor.split(".")[0] for tensor in changed} == set(course.groups.names[depth:])
    measurements = course_measurements(grouping)
    assert set(columns) == set(measurements)
    (row,) = checked([{"step": 1, **columns}], measurements)
    test = course.splits.test
    right = (predictions(course.groups, test.inputs, test.start) == labels_of(test.groups)).double()
    accuracies = [row[f"test_group_acc_{group}"] for group in grouping.names]
    assert accuracies == [right[test.groups == number].mean().item() for number in range(len(accuracies))]
    assert accuracies[row["worst_group_id"]] == min(accuracies) == row["test_worst_group_acc"]
    assert now.epoch == row["epoch"] == row["selected_epoch"] == 1


def test_columns_say_what_their_groups_are():
    measurements = course_measurements(TASKS["six"][0])
    assert measurements["val_group_acc_2b"].meaning == "accuracy of group 2b (class, camera), val split"
    assert measurements["worst_group_id"].meaning == "group 2y + camera with the lowest test accuracy"


def test_names_of_other_groups_are_refused():
    course = _course("two", 0)
    with pytest.raises(ValueError, match=r"names must be of 6 groups, got rare, common"):
        splits_of(_Sets(6), course.splits.names, lambda of: of, course.groups, 0, CPU)
