"""What tests of damped training share: small trials, on a small random data set."""

from __future__ import annotations

import torch

from tests.trials.conftest import small_arrays
from trials.core.context import TrialContext
from trials.core.data.knobs import DataKnobs
from trials.core.losses.classification import LOSSES
from trials.core.networks.feedforward import mlp
from trials.core.parameters import moved_to
from trials.core.rows import checked
from trials.core.streams import generator
from trials.gauss_newton_damping.jacobians import flattened
from trials.gauss_newton_damping.knobs import DampingKnobs
from trials.gauss_newton_damping.measurements import MEASUREMENTS
from trials.gauss_newton_damping.mlp_jacobian import perceptron_jacobian
from trials.gauss_newton_damping.objective import one_hot
from trials.gauss_newton_damping.quadratic import gauss_newton_model
from trials.gauss_newton_damping.recipe import run

SMALL = {"steps": 6, "width": 7, "probe_size": 8, "loss_tolerance": 1e-12}


def knobs(**changes):
    return DampingKnobs(**{**SMALL, "data": DataKnobs(train_size=30), **changes})


def rows_of(context, **changes):
    return list(checked(run(knobs(**changes), context), MEASUREMENTS))


def two_classes():
    arrays = small_arrays(classes=2)
    return TrialContext(arrays=lambda name: arrays)


def problem(samples=25, classes=4, width=12, depth=2, seed=0):
    """Return a network, its parameters, inputs and targets, in float64."""
    random = generator(seed, "problem")
    network = mlp((9,), classes, width=width, depth=depth)
    theta = flattened(moved_to(network.initial(random), torch.device("cpu"), torch.float64))
    inputs = torch.randn(samples, 9, generator=random, dtype=torch.float64)
    return network, theta, inputs, one_hot(torch.randint(classes, (samples,), generator=random), classes)


def model_of(loss, **sizes):
    network, theta, inputs, targets = problem(**sizes)
    return gauss_newton_model(perceptron_jacobian(network, theta, inputs), LOSSES[loss], targets)
