"""What fine-tuning begins with: pretrained networks, shared by what they do not depend on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.trials.freeze_depth.fine_tuned import PRETRAIN, knobs_of, rows_of, whole
from trials.core.context import TrialContext
from trials.core.layer_groups.pretraining import ACCURACY
from trials.freeze_depth.birds.knobs import BirdData, BirdPretrainKnobs, StageKnobs, shared_pretraining
from trials.freeze_depth.birds.pretraining import pretrained
from trials.freeze_depth.preparation import initial_network


def test_depths_and_tasks_begin_with_the_same_network_and_see_the_same_order():
    first = [
        whole(rows_of(knobs_of(freeze_depth=depth, task=task)))[0]
        for depth in (0, 4)
        for task in ("foreground", "background")
    ]
    assert len({row["weight_norm"] for row in first}) == 1
    one, other = (rows_of(knobs_of(freeze_depth=4, learning_rate=rate))[0] for rate in (0.01, 0.1))
    assert one == other


def test_pretraining_is_shared_by_what_it_does_not_depend_on():
    asked = []

    def noted(stage, knobs, context):
        asked.append(knobs)
        return stage(knobs, context)

    context = TrialContext(stage_results=noted)
    data = BirdData(scale=0.02, test_per_group=10)
    for changes in ({}, {"task": "background"}, {"freeze_depth": 3}, {"learning_rate": 0.01}):
        rows_of(knobs_of(**changes, pretrain=PRETRAIN, epochs=1), context)
    rows_of(knobs_of(data=replace(data, confounder_strength=0.8), pretrain=PRETRAIN, epochs=1), context)
    assert set(asked) == {*shared_pretraining(knobs_of(pretrain=PRETRAIN))}, "planned first is what is asked for"
    assert shared_pretraining(knobs_of()) == ()
    rows_of(knobs_of(seed=1, pretrain=PRETRAIN, epochs=1), context)
    assert len(set(asked)) == 2


def test_pretrained_weights_reach_fine_tuning():
    knobs = knobs_of(freeze_depth=4, pretrain=PRETRAIN)
    stage = StageKnobs(width=4, data=BirdData(), pretrain=PRETRAIN)
    weights = pretrained(stage, TrialContext())
    network, accuracy = initial_network(knobs, TrialContext())
    assert accuracy == weights[ACCURACY]
    for name, value in network.groups.state_dict().items():
        assert name.startswith("head.") or torch.equal(value, torch.from_numpy(weights[name])), name


@pytest.mark.parametrize("task", ["fg", "bg", "class6"])
def test_pretraining_learns_its_task(task):
    how = BirdPretrainKnobs(task=task, images=200, epochs=8, batch_size=50, augmentation="none")
    accuracy = pretrained(StageKnobs(width=8, pretrain=how), TrialContext())[ACCURACY]
    assert accuracy > 0.5, "six classes: chance is 0.17"
