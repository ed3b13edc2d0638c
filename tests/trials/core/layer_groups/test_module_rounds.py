"""Layer groups on their linearisation: held to dense Jacobians, to training in place, and to what stored rows leave."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from trials.core.layer_groups.groups import freeze
from trials.core.layer_groups.prefix import prefix_activations
from trials.core.layer_groups.residual import residual_groups
from trials.core.layer_groups.training import descent, network_at, of_groups
from trials.core.losses.classification import cross_entropy
from trials.core.streams import drawn_from, generator
from trials.core.training.batches import Batch
from trials.core.training.directions import SharpnessAware
from trials.freeze_depth.networks.known import VitShape
from trials.freeze_depth.networks.vit import vit_groups

SAMPLES = 6
LABELS = torch.arange(SAMPLES) % 2
NETWORKS = {
    "resnet": lambda: residual_groups(1, 2, width=4, blocks=1),
    "vit": lambda: vit_groups(1, 2, VitShape(side=8, patch=4, width=12, depth=2, heads=3, features=6)),
}


def _groups(name, depth=1, *, statistics=True):
    with drawn_from(0, "initialisation"):
        groups = NETWORKS[name]().double()
    freeze(groups, depth, statistics=statistics)
    return groups


def _images():
    return torch.randn(SAMPLES, 1, 8, 8, generator=generator(0, "images"), dtype=torch.float64)


def _batch(inputs):
    return Batch(torch.arange(SAMPLES), lambda rows: (inputs, LABELS))


def _stepped(groups, steps, inputs, **how):
    """Return what is trained and where it is after some steps on one batch."""
    step = descent(learning_rate=0.1, momentum=0.9, weight_decay=1e-3)
    trained, place = of_groups(groups, cross_entropy, step.rule, **how)
    for number in range(steps):
        trained, place = trained.renewed(number, place)
        place, _ = step(trained.on(_batch(inputs)), place, number)
    return trained, place


@pytest.mark.parametrize("name", NETWORKS)
def test_the_linearisation_is_that_of_the_dense_jacobian(name):
    """The gradient at every step of a round; a transformer's attention is linearised with it."""
    groups, inputs, step = _groups(name, depth=3), _images(), descent(learning_rate=0.05)
    trained, place = of_groups(groups, cross_entropy, step.rule, interval=10**6)
    trained, place = trained.renewed(0, place)
    forward, anchor = trained.forward, dict(place.point)
    outputs = forward(anchor, inputs)
    jacobian = torch.func.jacrev(lambda point: forward(point, inputs))(anchor)
    for number in range(3):
        point = place.point
        linear = outputs + sum((jacobian[n].flatten(2) @ (point[n] - anchor[n]).flatten()) for n in anchor)
        residuals = cross_entropy.slope(linear, LABELS)
        place, told = step(trained.on(_batch(inputs)), place, number)
        torch.testing.assert_close(told.outputs, linear, rtol=0, atol=1e-12)
        for part in anchor:
            expected = torch.einsum("nc...,nc->...", jacobian[part], residuals)
            torch.testing.assert_close(told.gradient[part], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_first_step_of_a_round_is_the_one_in_place(name):
    ends = [_stepped(_groups(name), 1, _images(), interval=interval)[1].point for interval in (1, 5)]
    for part, value in ends[0].items():
        torch.testing.assert_close(ends[1][part], value.detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_damped_round_on_stored_activations_is_that_on_images(name):
    """What frozen parts leave is a function of the image, whatever is linearised behind them."""
    ends, images = [], _images()
    for start in (0, 2):
        groups = _groups(name, depth=2)
        (inputs,) = prefix_activations(groups, [images], start)
        ends.append(_stepped(groups, 7, inputs, start=start, interval=3, damping=0.5)[1].point)
    for part, value in ends[0].items():
        torch.testing.assert_close(ends[1][part], value, rtol=0, atol=1e-12)


def test_only_what_is_not_frozen_is_a_coordinate_and_measuring_puts_the_network_there():
    groups = _groups("resnet", depth=3)
    before = {name: value.detach().clone() for name, value in groups.named_parameters()}
    trained, place = _stepped(groups, 4, _images(), interval=3)
    assert {name.split(".")[0] for name in place.point} == {"block 3", "head"}
    assert all(torch.equal(before[name], value) for name, value in groups.named_parameters()), "values change alone"
    now = SimpleNamespace(trained=trained, parameters=trained.parameters(place.point))
    after = dict(network_at(now).named_parameters())
    assert all(torch.equal(after[name], place.point.get(name, before[name])) for name in before)
    assert not torch.equal(after["head.weight"], before["head.weight"])


def test_batches_that_normalise_each_other_have_no_linearisation():
    with pytest.raises(ValueError, match="batch normalisation by batches leaves no linearisation of a sample"):
        _stepped(_groups("resnet", statistics=False), 0, _images(), interval=2)
    _stepped(_groups("resnet", depth=4, statistics=False), 1, _images(), interval=2)


def test_running_statistics_move_with_the_pass_at_the_parameters_alone():
    """SAM's second pass reads them and leaves them: buffers are those of plain training, the gradient is not."""
    buffers, ends = [], []
    for direction in (None, SharpnessAware(0.5)):
        groups, step = _groups("resnet", statistics=False), descent(learning_rate=0.1)
        step = step if direction is None else dataclasses.replace(step, direction=direction)
        trained, place = of_groups(groups, cross_entropy, step.rule)
        step(trained.on(_batch(_images())), place, 0)
        buffers.append({name: value.clone() for name, value in groups.named_buffers()})
        ends.append(groups.last_part.weight.detach().clone())
    assert all(torch.equal(buffers[0][name], buffers[1][name]) for name in buffers[0])
    assert not torch.equal(*ends)
