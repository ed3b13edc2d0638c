"""The tangent kernel and what is read off it and off the last layer's inputs, against dense computations."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch.autograd.functional import hessian
from torch.func import jacrev

from trials.core.augmentation.knobs import FixedSetKnobs
from trials.core.data.examples import Examples
from trials.core.data.generated import relevant_directions
from trials.core.data.knobs import DataKnobs
from trials.core.linearisation import linearised
from trials.core.losses.classification import LOSSES
from trials.core.networks.chain import Chain
from trials.core.networks.feedforward import cnn_large, cnn_small, mlp
from trials.core.networks.resnet import resnet18
from trials.core.parameters import moved_to
from trials.core.probes.columns import PARTS
from trials.core.probes.movement import lengths, lengths_of_each, movement
from trials.core.probes.tangent_kernel import (
    centred_alignment,
    kernel_distance,
    tangent_kernel,
    trace_kernel,
)
from trials.core.rows import checked
from trials.core.streams import generator
from trials.core.training.course import as_state, from_state
from trials.k_phase_diagram.features import alignment, feature_probe, probe_indices
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.measurements import MEASUREMENTS
from trials.k_phase_diagram.measuring import FeatureHistory
from trials.k_phase_diagram.preparation import lane_of
from trials.k_phase_diagram.recipe import run
from trials.k_phase_diagram.stability import largest_gauss_newton_eigenvalue

SHAPE, CLASSES, SAMPLES = (2, 8, 8), 3, 6
NETWORKS = {
    "mlp": mlp(SHAPE, CLASSES, width=7, depth=2),
    "mlp without bias": mlp(SHAPE, CLASSES, width=7, depth=1, bias=False),
    "linear": mlp(SHAPE, CLASSES, width=1, depth=0),
    "cnn_s": cnn_small(SHAPE, CLASSES),
    "cnn_l": cnn_large(SHAPE, CLASSES),
}


def _normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed, "normal"), dtype=torch.float64)


def _initial(network):
    return moved_to(network.initial(generator(0, "initialisation")), torch.device("cpu"), torch.float64)


def _dense_jacobian(network, parameters, inputs):
    blocks = jacrev(lambda point: network.forward(point, inputs))(parameters)
    return torch.cat([blocks[name].flatten(2) for name in parameters], 2).flatten(0, 1)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_tangent_kernel_is_the_dense_one(name):
    network, inputs = NETWORKS[name], _normal(SAMPLES, *SHAPE)
    parameters = _initial(network)
    jacobian = _dense_jacobian(network, parameters, inputs)
    assert isinstance(network.forward, Chain)
    kernel = tangent_kernel(network.forward, parameters, inputs)
    torch.testing.assert_close(kernel, jacobian @ jacobian.T, rtol=0, atol=1e-10)
    traced = torch.einsum("icjc->ij", kernel.view(SAMPLES, CLASSES, SAMPLES, CLASSES)) / CLASSES
    torch.testing.assert_close(trace_kernel(kernel, CLASSES), traced)


def test_inputs_that_need_no_gradient_still_need_none_afterwards():
    network, inputs = mlp((4,), 2, width=3, depth=1), _normal(5, 4)
    tangent_kernel(network.forward, _initial(network), inputs)
    assert not inputs.requires_grad


@pytest.mark.parametrize("loss", LOSSES)
def test_the_largest_gauss_newton_eigenvalue_is_the_dense_one(loss):
    network, inputs = NETWORKS["cnn_s"], _normal(SAMPLES, *SHAPE)
    parameters, labels = _initial(network), torch.arange(SAMPLES) % CLASSES
    outputs = network.forward(parameters, inputs)
    curvature = LOSSES[loss].hessians(outputs)
    for sample in range(SAMPLES):
        label = labels[sample : sample + 1]
        of_sample = hessian(lambda row, label=label: LOSSES[loss](row[None], label), outputs[sample])
        torch.testing.assert_close(curvature[sample], of_sample)
    jacobian = _dense_jacobian(network, parameters, inputs)
    gauss_newton = jacobian.T @ torch.block_diag(*curvature) @ jacobian / SAMPLES
    expected = float(torch.linalg.eigvalsh(gauss_newton)[-1])
    found, few = (
        float(largest_gauss_newton_eigenvalue(network.forward, parameters, inputs, LOSSES[loss].hessians, iterations))
        for iterations in (200, 15)
    )
    assert found == pytest.approx(expected, rel=1e-9)
    assert few == pytest.approx(expected, rel=0.05)


def test_kernels_are_compared_as_defined():
    first, second = (matrix @ matrix.T for matrix in (_normal(5, 5), _normal(5, 5, seed=1)))
    cosine = np.vdot(first.numpy(), second.numpy()) / np.linalg.norm(first.numpy()) / np.linalg.norm(second.numpy())
    assert float(kernel_distance(first, second)) == pytest.approx(1 - cosine)
    assert float(kernel_distance(first, 3 * first)) == pytest.approx(0, abs=1e-12)
    centring = np.eye(5) - np.ones((5, 5)) / 5
    centred = [centring @ matrix.numpy() @ centring for matrix in (first, second)]
    expected = np.vdot(*centred) / np.linalg.norm(centred[0]) / np.linalg.norm(centred[1])
    assert float(centred_alignment(first, second)) == pytest.approx(expected)
    assert float(centred_alignment(first, first + 7)) == pytest.approx(1), (
        "a constant added to a kernel changes nothing"
    )


def test_the_distance_of_kernels_that_hardly_differ_keeps_its_digits_in_float32():
    random = generator(0, "kernels")
    kernel = torch.randn(20, 20, generator=random, dtype=torch.float64)
    near = kernel + 1e-4 * torch.randn(20, 20, generator=random, dtype=torch.float64)
    exact = float(kernel_distance(kernel, near))
    assert 0 < exact < torch.finfo(torch.float32).eps, "below the digits that 1 - cosine has"
    assert float(kernel_distance(kernel.float(), near.float())) == pytest.approx(exact, rel=1e-2)


def _probe(network, size=4):
    train = Examples(inputs=_normal(10, *SHAPE), labels=torch.arange(10) % CLASSES, classes=CLASSES)
    return feature_probe(network, _initial(network), train, "cross_entropy", size=size, seed=0)


def test_features_at_initialisation_have_not_moved():
    network = NETWORKS["cnn_s"]
    probe = _probe(network)
    columns = probe.compared(probe.features(_initial(network)))
    assert columns["rep_change"] == 0
    assert columns["ntk_distance"] == pytest.approx(0, abs=1e-12)
    assert columns["ntk_cka_init"] == pytest.approx(1)
    assert columns["rep_cka"] == pytest.approx(1)
    assert len(probe.examples) == 4


def test_the_representation_is_what_the_last_layer_sees():
    network = NETWORKS["mlp"]
    probe, initial = _probe(network), _initial(network)
    weight, bias = initial["readout.weight"], initial["readout.bias"]
    now = probe.features(initial)
    torch.testing.assert_close(now.representation @ weight.T + bias, now.outputs)
    doubled = {name: value * (2 if name.startswith("hidden1") else 1) for name, value in initial.items()}
    change = (probe.features(doubled).representation - now.representation).norm() / now.representation.norm()
    assert probe.compared(probe.features(doubled))["rep_change"] == pytest.approx(float(change))


def test_a_network_that_is_no_chain_has_a_representation_and_no_kernel():
    network = resnet18((2, 8, 8), CLASSES)
    probe = _probe(network)
    assert set(probe.compared(probe.features(_initial(network)))) == {"rep_change", "rep_cka"}
    assert probe.stability_ratio(_initial(network), 0.1) > 0


@pytest.mark.parametrize("changes", [{}, {"seed": 3}, {"rows": FixedSetKnobs(ratio=0.5)}, {"probe_size": 100}])
def test_what_the_store_keeps_of_a_trial_names_its_probe(context, changes):
    knobs = KPhaseKnobs(**{"width": 4, "batch_size": 8, "probe_size": 7, "data": DataKnobs(train_size=40), **changes})
    instruments = lane_of(knobs, context).instruments
    train, named = instruments.train, probe_indices(40, size=knobs.probe_size, seed=knobs.seed)
    assert named.unique().tolist() == named.tolist(), "each once, in ascending order"
    assert len(named) == min(knobs.probe_size, 40)
    assert torch.equal(instruments.probe.examples.inputs, train.at(named).inputs)
    assert torch.equal(instruments.probe.examples.labels, train.at(named).labels)


def test_a_probe_depends_on_the_seed_alone_beside_the_sizes():
    assert probe_indices(500, size=64, seed=0).tolist() == probe_indices(500, size=64, seed=0).tolist()
    assert probe_indices(500, size=64, seed=0).tolist() != probe_indices(500, size=64, seed=1).tolist()
    with pytest.raises(ValueError, match="at least 0 inputs, got -1"):
        probe_indices(500, size=-1, seed=0)


def test_no_probe_measures_nothing(context):
    assert _probe(NETWORKS["mlp"], size=0) is None
    knobs = KPhaseKnobs(steps=5, width=4, batch_size=8, probe_size=0, data=DataKnobs(train_size=40))
    rows = list(checked(run(knobs, context), MEASUREMENTS))
    assert {row[name] for row in rows for name in ("ntk_distance", "rep_change", "lin_gap", "lr_stability_ratio")} == {
        None
    }


def test_lengths_are_of_all_of_the_first_of_the_last_and_of_each_layer():
    displacement = {
        "a.weight": torch.tensor([[3.0]]),
        "a.norm.bias": torch.tensor([4.0]),
        "b.weight": torch.tensor([[12.0]]),
    }
    found = [13, 5, 12, 5, 12, 0, 0, 0, 0, 0, 0]
    assert lengths(displacement).tolist() == found
    twice = {name: torch.stack([value, 2 * value]) for name, value in displacement.items()}
    assert lengths_of_each(twice).tolist() == [found, [2 * length for length in found]]
    initial = {name: torch.ones_like(value) for name, value in displacement.items()}
    point = {name: initial[name] + value for name, value in displacement.items()}
    path = torch.zeros(len(PARTS), dtype=torch.float64)
    path[:5] = torch.tensor([30.0, 10.0, 20.0, 10.0, 20.0])
    columns = movement(point, point, initial, path)
    assert columns["param_dist"] == pytest.approx(13 / 3**0.5)
    assert columns["param_path_first"] == columns["param_path_layer_1"] == pytest.approx(10 / 2**0.5)
    assert columns["param_path_last"] == columns["param_path_layer_2"] == 20
    assert "param_dist_layer_3" not in columns, "there are two layers"
    assert "param_path_layer_8" not in columns


def test_the_gap_is_from_the_linearisation_to_the_network_over_what_the_round_has_moved():
    network = NETWORKS["mlp"]
    probe, anchor = _probe(network), _initial(network)
    inputs = probe.examples.inputs
    displacement = {name: 0.1 * _normal(*value.shape, seed=2) for name, value in anchor.items()}
    moved = {name: value + displacement[name] for name, value in anchor.items()}
    begun = network.forward(anchor, inputs)
    along = torch.cat([value.flatten() for value in displacement.values()])
    linear = begun + (_dense_jacobian(network, anchor, inputs) @ along).view_as(begun)
    expected = (network.forward(moved, inputs) - linear).norm() / (linear - begun).norm()
    model = linearised(network.forward, anchor)
    columns = probe.gap(partial(model, moved), partial(model, anchor), probe.features(moved))
    assert columns["lin_gap"] == pytest.approx(float(expected), rel=1e-10)
    assert columns["lin_gap"] > 1e-3


def test_the_velocity_is_the_distance_from_the_last_dated_row_over_the_steps_since():
    first, between, now = (matrix @ matrix.T for matrix in (_normal(4, 4, seed=seed) for seed in range(3)))
    history = FeatureHistory().after(first, 3, rounds_begun=0, begins=False, dated=True)
    history = history.after(between, 5, rounds_begun=0, begins=False, dated=False)
    expected = float(kernel_distance(now, first)) / 5
    assert history.columns(now, 8, 0)["ntk_velocity"] == pytest.approx(expected)


def test_effective_updates_count_equal_moves_and_discount_small_ones():
    """Three moves of equal length are three updates; kernels that stand still add none."""
    angles = [0, 0.1, 0.2, 0.3, 0.3]
    kernels = [torch.tensor([[np.cos(angle), 0], [0, np.sin(angle)]]) for angle in angles]
    history = FeatureHistory()
    for step, kernel in enumerate(kernels):
        columns = history.columns(kernel, step, updates=max(1, step) - 1)
        history = history.after(kernel, step, rounds_begun=step, begins=True, dated=True)
        history = from_state(FeatureHistory(), as_state(history))
    assert columns["num_feature_updates_effective"] == pytest.approx(3)
    assert columns["ntk_velocity"] == pytest.approx(0, abs=1e-12)
    assert history.updates == 4
    assert "num_feature_updates_effective" not in history.columns(kernels[0], 9, updates=5), "a move was missed"


def test_effective_updates_are_told_where_every_round_is_measured(context):
    changes = {
        "steps": 40,
        "feature_update_interval": 10,
        "width": 8,
        "batch_size": 8,
        "data": DataKnobs(train_size=40),
    }
    rows = list(checked(run(KPhaseKnobs(**changes, measured_rounds=4), context), MEASUREMENTS))
    assert {10, 20, 30} < {row["step"] for row in rows}
    assert rows[0]["num_feature_updates_effective"] == 0
    assert 1 < rows[-1]["num_feature_updates_effective"] <= rows[-1]["num_feature_updates"] == 3
    without = list(checked(run(KPhaseKnobs(**changes), context), MEASUREMENTS))
    velocities = {row["step"]: row["ntk_velocity"] for row in rows}
    assert {row["step"]: velocities[row["step"]] for row in without} == {
        row["step"]: row["ntk_velocity"] for row in without
    }, "rows at the ends of rounds leave velocities as they are"
    assert without[-1]["num_feature_updates_effective"] is None


def test_alignment_is_the_share_of_the_relevant_directions():
    directions = torch.from_numpy(relevant_directions("sparse_parity"))
    weight = torch.zeros(3, 40)
    weight[0, 0], weight[1, 1], weight[2, 7] = 1.0, 2.0, 2.0
    assert alignment(weight, directions)["param_alignment"] == pytest.approx(5 / 9)
    assert alignment(weight, None) == {}
