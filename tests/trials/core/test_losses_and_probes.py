"""Losses, probes and the schedule of rows against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from trials.core.data.examples import Examples
from trials.core.losses.classification import LOSSES, accuracy, cross_entropy, mean_squared_error
from trials.core.probes import fit as fit_probe
from trials.core.probes.fit import fit
from trials.core.rows import logarithmic_steps
from trials.core.training.places import moved

OUTPUTS = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
LABELS = torch.tensor([0, 0])


def test_cross_entropy_is_the_mean_negative_log_probability():
    expected = (math.log1p(math.exp(-2)) + math.log1p(math.exp(1))) / 2
    assert float(cross_entropy(OUTPUTS, LABELS)) == pytest.approx(expected)


def test_squared_error_is_half_the_sum_over_outputs_and_the_mean_over_samples():
    assert float(mean_squared_error(OUTPUTS, LABELS)) == pytest.approx(((1 + 0) / 2 + (1 + 1) / 2) / 2)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("shape", [(32, 2), (7, 10), (3, 5, 4)], ids=str)
def test_written_out_slopes_are_what_the_tape_tells(loss, shape):
    random = torch.Generator().manual_seed(0)
    outputs = (3 * torch.randn(shape, generator=random, dtype=torch.float64)).requires_grad_()
    labels = torch.randint(shape[-1], shape[:-1], generator=random)
    (expected,) = torch.autograd.grad(loss(outputs, labels).sum(), outputs)
    torch.testing.assert_close(loss.slope(outputs.detach(), labels), expected, rtol=0, atol=1e-15)
    if len(shape) == 2:  # one training
        assert torch.equal(loss.slope(outputs.detach(), labels), expected)


def test_every_loss_has_its_slope():
    assert all(loss.slope and loss.each for loss in LOSSES.values())


def test_accuracy_is_the_fraction_of_right_answers():
    assert float(accuracy(OUTPUTS, LABELS)) == 0.5


def test_fit_does_not_depend_on_how_the_data_are_cut(monkeypatch):
    examples = Examples(inputs=torch.arange(14.0).view(7, 2), labels=torch.tensor([0, 1, 1, 0, 1, 0, 0]), classes=2)
    whole = fit(torch.sin, examples, cross_entropy)
    monkeypatch.setattr(fit_probe, "_samples_a_pass", lambda inputs: 3)
    assert fit(torch.sin, examples, cross_entropy) == whole
    assert whole.loss == pytest.approx(float(cross_entropy(torch.sin(examples.inputs), examples.labels)))


def test_a_step_of_gradient_descent_leaves_its_arguments_alone():
    parameters, gradient = {"a": torch.tensor([1.0])}, {"a": torch.tensor([2.0])}
    assert moved(parameters, gradient, 0.5)["a"].tolist() == [0.0]
    assert parameters["a"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("steps", "per_decade", "expected"),
    [(1, 4, [0, 1]), (2, 1, [0, 1, 2]), (1000, 1, [0, 1, 10, 100, 1000]), (20, 2, [0, 1, 3, 10, 20])],
)
def test_rows_stand_at_logarithmic_steps(steps, per_decade, expected):
    assert sorted(logarithmic_steps(steps, per_decade)) == expected


def test_longer_trials_measure_the_steps_of_shorter_ones():
    shorter, longer = logarithmic_steps(300, 6), logarithmic_steps(5000, 6)
    assert shorter - {300} <= longer
