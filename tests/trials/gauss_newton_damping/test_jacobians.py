"""Jacobians and kernels against what autograd and dense algebra give, in float64."""

from __future__ import annotations

import pytest
import torch

from tests.trials.gauss_newton_damping.damped import model_of, problem
from trials.core.losses.classification import LOSSES
from trials.core.networks.feedforward import cnn_small, mlp
from trials.core.probes.tangent_kernel import trace_kernel
from trials.core.streams import generator
from trials.gauss_newton_damping import mlp_jacobian
from trials.gauss_newton_damping.jacobians import dense_jacobian, flattened, matrix_free_jacobian
from trials.gauss_newton_damping.mlp_jacobian import perceptron_jacobian
from trials.gauss_newton_damping.quadratic import gauss_newton_model

EACH_LOSS = pytest.mark.parametrize("loss", ["mse", "cross_entropy"])


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_the_closed_form_of_a_perceptron_is_what_autograd_computes(depth):
    network, theta, inputs, _ = problem(depth=depth)
    by_hand, by_vmap = (build(network, theta, inputs) for build in (perceptron_jacobian, dense_jacobian))
    torch.testing.assert_close(by_hand.matrix, by_vmap.matrix, rtol=0, atol=1e-13)
    torch.testing.assert_close(by_hand.kernel, by_vmap.matrix @ by_vmap.matrix.T, rtol=0, atol=1e-12)
    torch.testing.assert_close(by_hand.outputs, by_vmap.outputs, rtol=0, atol=1e-14)


@EACH_LOSS
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_the_curvature_of_a_perceptron_is_that_of_its_dense_jacobian(loss, depth, monkeypatch):
    monkeypatch.setattr(mlp_jacobian, "_MOST_PRODUCTS", 1000)  # several chunks of samples
    network, theta, inputs, targets = problem(depth=depth)
    by_layers, dense = (
        gauss_newton_model(build(network, theta, inputs), LOSSES[loss], targets).curvature()
        for build in (perceptron_jacobian, dense_jacobian)
    )
    torch.testing.assert_close(by_layers, dense, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("network", [mlp((1, 8, 8), 3, width=5, depth=2), cnn_small((1, 8, 8), 3)])
def test_products_with_the_jacobian_need_no_matrix(network):
    random = generator(1, "problem")
    theta = flattened(network.initial(random)).double()
    inputs = torch.randn(6, 1, 8, 8, generator=random, dtype=torch.float64)
    vector = torch.randn(len(theta), generator=random, dtype=torch.float64)
    cotangents = torch.randn(6, 3, generator=random, dtype=torch.float64)
    dense, free = (build(network, theta, inputs) for build in (dense_jacobian, matrix_free_jacobian))
    jacobians = [dense, free] + (
        [perceptron_jacobian(network, theta, inputs)] if "hidden1.weight" in network.shapes else []
    )
    for jacobian in jacobians:
        expected = dense.matrix @ vector
        torch.testing.assert_close(jacobian.times(vector).flatten(), expected, rtol=1e-12, atol=1e-12)
        expected = dense.matrix.T @ cotangents.flatten()
        torch.testing.assert_close(jacobian.transposed_times(cotangents), expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(jacobian.kernel, dense.kernel, rtol=1e-11, atol=1e-12)


def test_the_kernel_of_samples_is_the_mean_over_outputs():
    model = model_of("mse")
    jacobian = model.jacobian.matrix.view(*model.point.shape, -1)
    expected = torch.einsum("icp,jcp->ij", jacobian, jacobian) / model.point.shape[1]
    torch.testing.assert_close(trace_kernel(model.jacobian.kernel, model.point.shape[1]), expected)
