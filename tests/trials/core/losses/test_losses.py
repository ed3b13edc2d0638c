"""Losses: their derivatives against the tape, targets of every kind, and what couples samples or has no curvature."""

from __future__ import annotations

import pytest
import torch

from trials.core.losses.classification import LOSSES, MARGIN_LOSSES, label_smoothed
from trials.core.losses.features import mean_squares, spectral
from trials.core.losses.loss import most_likely
from trials.core.streams import generator
from trials.core.training.batches import Batch
from trials.core.training.plain import Plain

EACH_LOSS = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
SIGNS = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
MARGINS = torch.tensor([2.0, 0.5, -1.0, 0.0], dtype=torch.float64)


def outputs_of(samples, classes, scale=1.0):
    return scale * torch.randn(samples, classes, generator=generator(2, "outputs"), dtype=torch.float64)


def wide(labels, classes):
    return torch.nn.functional.one_hot(labels, classes).double()


@EACH_LOSS
def test_labels_and_one_hot_targets_are_one_loss(loss):
    outputs, labels = outputs_of(9, 5, 3.0), torch.arange(9) % 5
    targets = wide(labels, 5)
    for of in (loss.mean, loss.each, loss.slope, loss.right):
        torch.testing.assert_close(of(outputs, targets), of(outputs, labels), rtol=0, atol=1e-15)
    torch.testing.assert_close(loss.each(outputs, labels).mean(), loss(outputs, labels), rtol=0, atol=1e-15)


@EACH_LOSS
def test_slopes_serve_distributions_and_weights(loss):
    outputs, targets = outputs_of(6, 4), outputs_of(6, 4).softmax(-1)
    weights = torch.rand(6, generator=generator(0, "weights"), dtype=torch.float64)
    for given in (None, weights):
        leaf = outputs.clone().requires_grad_()
        (expected,) = torch.autograd.grad(loss.weighted(leaf, targets, given), leaf)
        torch.testing.assert_close(loss.sensitivity(outputs, targets, given), expected, rtol=0, atol=1e-15)


@EACH_LOSS
def test_gradient_and_hessian_are_the_derivatives_of_the_loss(loss):
    outputs, targets = outputs_of(1, 5), wide(torch.tensor([3]), 5)
    gradient = torch.func.grad(loss.mean)(outputs, targets)
    torch.testing.assert_close(loss.curved.gradient(outputs, targets), gradient, rtol=0, atol=1e-15)
    hessian = torch.func.jacrev(torch.func.jacrev(loss.mean))(outputs, targets)[0, :, 0]
    torch.testing.assert_close(loss.hessians(outputs)[0], hessian, rtol=0, atol=1e-15)
    assert float(torch.linalg.eigvalsh(hessian).min()) > -1e-15, "it is convex in a sample's outputs"


@EACH_LOSS
def test_the_root_of_the_hessian_is_one_and_whitens_the_gradient(loss):
    outputs, targets, curved = outputs_of(1, 5, 4.0), wide(torch.tensor([0]), 5), loss.curved
    basis = torch.eye(5, dtype=torch.float64)[:, None]
    root = curved.root(outputs, basis)[:, 0].T
    torch.testing.assert_close(curved.root_transposed(outputs, basis)[:, 0], root, rtol=0, atol=1e-15)
    torch.testing.assert_close(root @ root.T, loss.hessians(outputs)[0], rtol=0, atol=1e-12)
    whitened = curved.whitened_gradient(outputs, targets)
    torch.testing.assert_close(curved.root(outputs, whitened), curved.gradient(outputs, targets), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", MARGIN_LOSSES)
def test_losses_of_margins_are_functions_of_output_times_label(name):
    expected = {"logistic": torch.log1p(torch.exp(-MARGINS)), "squared": (1 - MARGINS) ** 2}
    expected["hinge"] = torch.tensor([0.0, 0.5, 2.0, 1.0], dtype=torch.float64)
    loss, outputs = MARGIN_LOSSES[name], (MARGINS * SIGNS)[:, None]
    torch.testing.assert_close(loss.each(outputs, SIGNS), expected[name])
    torch.testing.assert_close(loss(outputs, SIGNS), expected[name].mean())
    assert loss.right(outputs, SIGNS).tolist() == [True, True, False, False]


def test_one_output_answers_by_its_sign():
    outputs, targets = torch.tensor([[2.0], [-1.0], [0.5]]), torch.tensor([[1.0], [1.0], [-1.0]])
    assert most_likely(outputs, targets).tolist() == [True, False, False]


def test_the_spectral_loss_is_that_of_all_pairs_of_views():
    outputs = outputs_of(8, 3)
    one, other = outputs[:4], outputs[4:]
    alike = sum(one[i] @ other[i] for i in range(4)) / 4
    apart = sum((one[i] @ other[j]) ** 2 for i in range(4) for j in range(4) if i != j) / 12
    torch.testing.assert_close(spectral(outputs, torch.empty(0)), -2 * alike + apart)


def test_features_are_compared_sample_by_sample():
    outputs, targets = outputs_of(4, 3), torch.zeros(4, 3, dtype=torch.float64)
    torch.testing.assert_close(mean_squares(outputs, targets), outputs.square().mean())
    torch.testing.assert_close(mean_squares.each(outputs, targets), outputs.square().mean(1))
    leaf = outputs.clone().requires_grad_()
    (expected,) = torch.autograd.grad(mean_squares(leaf, targets), leaf)
    torch.testing.assert_close(mean_squares.sensitivity(outputs, targets), expected)
    with pytest.raises(TypeError, match="none of its outputs is a right or a wrong answer"):
        mean_squares.right(outputs, targets)


def test_samples_that_are_coupled_have_no_weights_and_no_norms():
    inputs, start = outputs_of(8, 4), {"weight": outputs_of(3, 4)}
    batch = Batch(torch.arange(8), lambda rows: (inputs[rows], rows))
    loss = Plain(lambda point, shown: shown @ point["weight"].T, spectral).on(batch)
    assert loss.slope(start).gradient["weight"].shape == (3, 4)
    for asked in (lambda: loss.slope(start, torch.ones(8)), lambda: loss.norms(start)):
        with pytest.raises(TypeError, match="this loss couples its samples"):
            asked()
    with pytest.raises(TypeError, match="this loss couples its samples"):
        spectral.sensitivity(inputs, inputs, torch.ones(8))


@pytest.mark.parametrize("loss", [spectral, mean_squares, label_smoothed(0.1), *MARGIN_LOSSES.values()])
def test_what_has_no_curvature_says_what_a_gauss_newton_step_needs(loss):
    with pytest.raises(TypeError, match="needs a loss that is smooth and convex in each sample's outputs"):
        loss.hessians(outputs_of(2, 3))
