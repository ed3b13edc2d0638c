"""Experiments whose outcome is known: what trials of the spaces `parity`, `cifar10_subset` and `one_shot` must show."""

from __future__ import annotations

import itertools
import math
import os
from functools import cache

import pytest
import torch

from trials.core.context import TrialContext
from trials.core.data.arrays import load_arrays
from trials.core.data.examples import DataKnobs
from trials.core.networks.mlp import mlp
from trials.core.parameters import moved_to
from trials.core.probes.tangent_kernel import tangent_kernel
from trials.core.rows import Diverged
from trials.core.streams import generator
from trials.k_phase_diagram import KPhaseKnobs, run, run_many

REAL = os.environ.get("RAYSWEEP_TEST_DATA", "")
SEEDS = range(3)
PARITY = DataKnobs(name="sparse_parity", train_size=800, test_size=4000)
CIFAR = DataKnobs(name="cifar10", train_size=2000, test_size=2000, average_pool=2)


def _parity(**changes):
    return KPhaseKnobs(**{"steps": 3000, "depth": 1, "learning_rate": 0.05, "probe_size": 0, "data": PARITY, **changes})


def _mean(values):
    values = list(values)
    return sum(values) / len(values)


def test_few_feature_updates_learn_the_parity_that_fixed_features_do_not():
    """K up to 1000 of 3000 steps, two feature updates, ends where K = 1 does; the fixed kernel stays behind."""
    intervals = (1, 10, 100, 300, 1000, math.inf)
    knobs = [_parity(feature_update_interval=interval, seed=seed) for interval in intervals for seed in SEEDS]
    final = {}
    for index, row in run_many(knobs, TrialContext()):
        final[index] = row["test_acc_lin"]
    accuracy = {
        interval: _mean(final[index] for index in range(start, start + len(SEEDS)))
        for interval, start in zip(intervals, range(0, len(knobs), len(SEEDS)), strict=True)
    }
    assert min(accuracy[interval] for interval in intervals[:-1]) >= 0.98
    assert accuracy[math.inf] <= 0.88


@pytest.mark.parametrize("seed", SEEDS)
def test_no_ridge_on_the_initial_kernel_learns_the_parity(seed):
    """The best of five strengths, chosen on the test data and so in the kernel's favour."""
    train, test = TrialContext().data(DataKnobs(name="sparse_parity", train_size=800, test_size=1000))
    network = mlp((40,), 2, width=128, depth=1)
    initial = moved_to(network.initial(generator(seed, "initialisation")), torch.device("cpu"), torch.float64)
    kernel = tangent_kernel(network.forward, initial, torch.cat([train.inputs, test.inputs]).double())
    seen, size = len(train) * train.classes, len(train)
    targets = (torch.eye(2, dtype=torch.float64)[train.labels] - 0.5).flatten()
    accuracies = []
    for strength in (1e-4, 1e-3, 1e-2, 1e-1, 1.0):
        ridge = strength * size * torch.eye(seen, dtype=torch.float64)
        weights = torch.linalg.solve(kernel[:seen, :seen] + ridge, targets)
        predicted = (kernel[seen:, :seen] @ weights).view(-1, 2).argmax(1)
        accuracies.append(float((predicted == test.labels).double().mean()))
    assert 0.6 < max(accuracies) <= 0.88


def test_fixed_features_trained_until_they_fit_still_do_not_generalise():
    knobs = _parity(feature_update_interval=math.inf, steps=6000, learning_rate=0.5)
    *_, last = run(knobs, TrialContext())
    assert last["train_acc_lin"] >= 0.99
    assert last["test_acc_lin"] <= 0.88


def test_feature_movement_falls_as_the_interval_grows():
    knobs = [_parity(feature_update_interval=interval, probe_size=32) for interval in (1, 100, math.inf)]
    last = dict(run_many(knobs, TrialContext()))
    for name in ("ntk_distance", "param_alignment"):
        assert last[0][name] > last[2][name] + 0.05
        assert last[1][name] > last[2][name] + 0.05


needs_real_data = pytest.mark.skipif(not REAL, reason="RAYSWEEP_TEST_DATA names no folder with cifar10/")


@cache
def _cifar_context():
    arrays = load_arrays("cifar10", f"{REAL}/cifar10")
    return TrialContext(arrays=lambda name: arrays)


def _last_on_cifar(**changes):
    """Return the last row of a trial on the CIFAR-10 subset, None if it diverged."""
    last = None
    knobs = KPhaseKnobs(**{"network": "cnn_s", "learning_rate": 0.02, "probe_size": 0, "data": CIFAR, **changes})
    try:
        for row in run(knobs, _cifar_context()):
            last = row
    except Diverged:
        return None
    return last


@pytest.mark.slow
@needs_real_data
@pytest.mark.timeout(1200)
def test_on_cifar10_intermediate_intervals_may_diverge_where_shorter_and_longer_ones_do_not():
    """Test sampling alone moves these accuracies by about 1.1 points, and K = 10 is already near its edge."""
    accuracy = {}
    for interval in (1, 10, 100, 1000, math.inf):
        last = _last_on_cifar(feature_update_interval=interval)
        accuracy[interval] = last and last["test_acc_lin"]
    assert accuracy[100] is None
    assert accuracy[1] == pytest.approx(0.44, abs=0.03)
    assert accuracy[10] > 0.36
    assert accuracy[1000] == pytest.approx(0.413, abs=0.03)
    assert accuracy[math.inf] == pytest.approx(0.32, abs=0.03)


@pytest.mark.slow
@needs_real_data
@pytest.mark.timeout(1200)
def test_on_cifar10_a_quarter_of_the_learning_rate_makes_the_interval_stable():
    last = _last_on_cifar(feature_update_interval=100, learning_rate=0.005, steps=8000)
    assert last is not None
    assert last["test_acc_lin"] > 0.36


@pytest.mark.slow
@needs_real_data
@pytest.mark.timeout(1200)
def test_on_cifar10_a_longer_warm_start_is_no_worse():
    warm = (0, 100, 500, 1000, 2000)
    accuracies = [_last_on_cifar(feature_update_interval=math.inf, warm_steps=steps)["test_acc_lin"] for steps in warm]
    assert all(later >= earlier - 0.02 for earlier, later in itertools.pairwise(accuracies))
    assert accuracies[-1] > accuracies[0] + 0.07
