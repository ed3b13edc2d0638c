"""Accuracies by group: their sums are those of plain counting, and the worst is the worst."""

from __future__ import annotations

import math

import pytest
import torch

from trials.core.training.course import as_state, from_state
from trials.freeze_depth.birds.groups import GROUPING, TASKS
from trials.freeze_depth.fine_tuning.course import Selected
from trials.freeze_depth.fine_tuning.group_accuracy import (
    adjusted_average,
    group_accuracies,
    group_columns,
    worst_group,
)

COUNTS = (3498, 184, 56, 1057)


def _answers(images=500):
    random = torch.Generator().manual_seed(0)
    birds, places, right = (torch.randint(2, (images,), generator=random) for _ in range(3))
    return birds, places, right.bool()


def test_groups_partition_the_images_and_tell_both_attributes():
    birds, places, _ = _answers()
    groups = 2 * birds + places
    assert torch.equal(TASKS["foreground"](groups), birds)
    assert torch.equal(TASKS["background"](groups), places)
    for number, name in enumerate(GROUPING.names):
        bird, place = map(int, name)
        assert torch.equal(groups == number, (birds == bird) & (places == place)), name


def test_accuracies_weighted_by_their_groups_are_the_plain_accuracy():
    birds, places, right = _answers()
    groups = 2 * birds + places
    accuracies = group_accuracies(right, groups, 4).tolist()
    for group, accuracy in enumerate(accuracies):
        assert accuracy == right[groups == group].double().mean().item()
    counts = torch.bincount(groups, minlength=4).tolist()
    assert adjusted_average(accuracies, counts) == pytest.approx(right.double().mean().item(), abs=1e-15)


def test_the_adjusted_average_hides_the_rare_group_and_the_worst_group_shows_it():
    accuracies = [1.0, 1.0, 0.0, 1.0]
    assert adjusted_average(accuracies, COUNTS) == pytest.approx(1 - 56 / 4795)
    assert worst_group(accuracies) == (2, 0.0)
    columns = group_columns(torch.tensor([True, True, False, True]), torch.arange(4), COUNTS, "test", GROUPING.names)
    assert columns["test_group_acc_10"] == columns["test_worst_group_acc"] == 0
    assert columns["test_adjusted_avg"] == adjusted_average(accuracies, COUNTS)


def test_a_group_without_images_has_no_accuracy():
    accuracies = group_accuracies(torch.tensor([True]), torch.tensor([1]), 4).tolist()
    assert [math.isnan(value) for value in accuracies] == [True, False, True, True]


def test_the_first_of_equal_epochs_stays_selected_and_survives_a_checkpoint():
    selected = Selected().after(0.5, 1, (0.1, 0.2)).after(0.5, 2, (0.3, 0.4)).after(0.4, 3, (0.5, 0.6))
    assert (selected.epoch, selected.values) == (1, (0.1, 0.2))
    assert from_state(Selected(), as_state(selected)) == selected
    assert from_state(Selected(), as_state(Selected())).after(0.0, 1, ()).epoch == 1
