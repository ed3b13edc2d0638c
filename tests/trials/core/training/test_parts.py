"""What trains: a depth cut off, parts by name, entries that a mask keeps."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.trials.core.training.problems import examples, initial, largest_difference, small_problem, trained_in_rounds
from trials.core.losses.classification import cross_entropy
from trials.core.networks.feedforward import cnn_large, cnn_small, mlp
from trials.core.networks.resnet import resnet18
from trials.core.rounds.choice import METHODS
from trials.core.rounds.round import Problem
from trials.core.training.parts import behind, masked, of_parts, parts_of, passed

IMAGE = (1, 8, 8)
NETWORKS = {
    "mlp": mlp(IMAGE, 3, width=7, depth=2),
    "cnn_s": cnn_small(IMAGE, 3),
    "cnn_l": cnn_large(IMAGE, 3),
}


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_depth_cut_off_and_a_depth_held_constant_are_one_training(name, depth):
    whole, rows = NETWORKS[name], examples(IMAGE)
    start, names = initial(whole), parts_of(whole.shapes)
    cut, held = behind(whole, start, depth), of_parts(whole, start, names[depth:])
    ends = [
        trained_in_rounds(Problem(network=part.network, train=of, loss=cross_entropy), part.parameters, 4, 0.1, steps=9)
        for part, of in ((cut, passed(rows, cut.before)), (held, rows))
    ]
    assert set(ends[0]) == {name for name in start if name.partition(".")[0] in names[depth:]}
    assert largest_difference(*ends) < 1e-12
    assert largest_difference(ends[0], cut.parameters) > 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_what_is_left_of_a_chain_is_a_chain_that_every_method_serves(method):
    whole, rows = NETWORKS["cnn_s"], examples(IMAGE)
    cut = behind(whole, initial(whole), 1)
    problem = Problem(network=cut.network, train=passed(rows, cut.before), loss=cross_entropy)
    ends = [trained_in_rounds(problem, cut.parameters, 4, steps=9, method=each) for each in (method, "jvp")]
    assert largest_difference(*ends) < 1e-10


def test_depth_0_is_the_very_same_network():
    network, start = NETWORKS["mlp"], initial(NETWORKS["mlp"])
    whole = behind(network, start, 0)
    rows = examples(IMAGE)
    assert whole.network is network and whole.parameters is start and passed(rows, whole.before) is rows


@pytest.mark.parametrize("depth", [-1, 3, 7])
def test_a_depth_that_leaves_nothing_is_refused_with_the_parts(depth):
    network = NETWORKS["mlp"]
    with pytest.raises(ValueError, match=f"freeze_depth={depth} is not one of 0 = nothing, 1 = up to hidden1"):
        behind(network, initial(network), depth)


def test_a_network_that_is_no_chain_keeps_its_first_parts_as_constants():
    network = resnet18((3, 8, 8), 3)
    start, inputs = initial(network), examples((3, 8, 8), samples=2).inputs
    left = behind(network, start, 4)
    assert left.before is None and parts_of(left.network.shapes) == ("stage4", "readout")
    torch.testing.assert_close(left.network.forward(left.parameters, inputs), network.forward(start, inputs))
    torch.testing.assert_close(left.network.features(left.parameters, inputs), network.features(start, inputs))


def test_features_of_what_a_mask_keeps_are_those_of_the_parameters_times_it():
    problem, start = small_problem()
    kept = {"hidden1.weight": (torch.arange(40).view(8, 5) % 2).double()}
    network, inputs = masked(problem.network, kept), problem.train.inputs
    times = {**start, "hidden1.weight": start["hidden1.weight"] * kept["hidden1.weight"]}
    assert torch.equal(network.forward(start, inputs), problem.network.forward(times, inputs))
    assert torch.equal(network.features(start, inputs), problem.network.features(times, inputs))
    end = trained_in_rounds(dataclasses.replace(problem, network=network), start, 3, steps=5)
    moved = end["hidden1.weight"] != start["hidden1.weight"]
    assert torch.equal(moved, kept["hidden1.weight"] > 0)
