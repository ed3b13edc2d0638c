"""Every way of computing a training gives its rows: `run` by each method of a round, and `run_many`.

Float64 holds them to 1e-10 and float32 to 1e-4 of the largest value of a column, over 300 steps with many rounds. A
training has a kink wherever a ReLU's input is zero: once an input comes as close to it as rounding reaches, its sign,
with it a step and the tangent kernel, is no longer a matter of the arithmetic's order alone but of its precision.
"""

from __future__ import annotations

import itertools
import math
from functools import cache

import pytest

from tests.trials.conftest import small_arrays
from trials.core.choices import LINEAR
from trials.core.context import TrialContext
from trials.core.data.knobs import DataKnobs
from trials.core.rounds.choice import METHODS
from trials.core.rows import Diverged, checked
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.measurements import MEASUREMENTS
from trials.k_phase_diagram.recipe import run, run_many

TOGETHER = "together"
SMALL = {"steps": 300, "width": 16, "depth": 2, "batch_size": 8, "probe_size": 8, "data": DataKnobs(train_size=40)}
OPTIMIZERS = {
    "sgd": {"learning_rate": 0.05},
    "momentum": {"optimizer": "momentum", "weight_decay": 0.01, "learning_rate": 0.01},
    "adam": {"optimizer": "adam", "loss": "mse", "learning_rate": 0.002},
}
ROUNDS = {
    "every step": {"feature_update_interval": 1},
    "every 7": {"feature_update_interval": 7, "seed": 1},
    "every 100": {"feature_update_interval": 100, "seed": 1},
    "once": {"feature_update_interval": math.inf, "seed": 2},
    "one shot": {"feature_update_interval": math.inf, "warm_steps": 50},
}
TOLERANCES = {"float64": 1e-10, "float32": 1e-4}
CONTEXT = TrialContext(arrays=lambda name: small_arrays())


def _knobs(optimizer, rounds, precision, **changes):
    return KPhaseKnobs(**{**SMALL, **OPTIMIZERS[optimizer], **ROUNDS[rounds], "precision": precision, **changes})


@cache
def _by(way, optimizer, rounds, precision):
    """Return the rows of a training computed in one way."""
    if way == TOGETHER:
        return _together(optimizer, precision)[rounds]
    return list(checked(run(_knobs(optimizer, rounds, precision, round_method=way), CONTEXT), MEASUREMENTS))


@cache
def _together(optimizer, precision):
    """Return the rows of all kinds of rounds, trained at once."""
    rows = {rounds: [] for rounds in ROUNDS}
    listed = [_knobs(optimizer, rounds, precision) for rounds in ROUNDS]
    for index, told in run_many(listed, CONTEXT):
        assert not isinstance(told, Diverged)
        rows[list(ROUNDS)[index]] += checked([told], MEASUREMENTS)
    return rows


def _worst(rows, others, names=MEASUREMENTS):
    """Return the largest difference of two tellings over the largest value of its column, and that column."""
    columns = [name for name in names if isinstance(rows[-1].get(name), float)]
    worst = [(0.0, "")]
    for name in columns:
        pairs = [(row.get(name), other.get(name)) for row, other in zip(rows, others, strict=True)]
        assert all((one is None) == (other is None) for one, other in pairs), name
        numbers = [pair for pair in pairs if None not in pair]
        # The gap is a ratio to the distance that its round has moved already.
        largest = 1.0 if name == "lin_gap" else max(abs(one) for one, _ in numbers)
        worst.append((max(abs(one - other) for one, other in numbers) / (largest or 1.0), name))
    return max(worst)


def _pairs(optimizer):
    ways = [way for way in ("auto", *METHODS, TOGETHER) if optimizer in LINEAR or way != "function_space"]
    return itertools.combinations(ways, 2)


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("precision", TOLERANCES)
def test_every_two_ways_tell_the_same(precision, optimizer, rounds):
    for way, other in _pairs(optimizer):
        rows, others = (_by(each, optimizer, rounds, precision) for each in (way, other))
        assert [row["step"] for row in rows] == [row["step"] for row in others]
        apart, column = _worst(rows, others)
        assert apart < TOLERANCES[precision], f"{way} and {other}: {column}"


@pytest.mark.parametrize("precision", TOLERANCES)
def test_other_rounds_tell_something_else(precision):
    """The tolerance is far below what the rounds make of the same training."""
    changes = [{"feature_update_interval": interval} for interval in (1, 7, math.inf)]
    told = [list(run(_knobs("sgd", "every step", precision, **each), CONTEXT)) for each in changes]
    for rows, others in itertools.combinations(told, 2):
        assert abs(rows[-1]["train_loss_lin"] - others[-1]["train_loss_lin"]) > 100 * TOLERANCES[precision]


OF_A_SIGN = ("lin_gap", "lr_stability_ratio", "ntk_")


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-10), ("float32", 1e-3)])
def test_on_sparse_parity_they_agree_to_the_end(precision, tolerance):
    """Once the parity is learned, units come to rest at their kink for half the inputs.

    In float32 rounding decides some hundred signs of a hundred thousand then, alone as together. Losses, accuracies
    and distances hardly depend on them, the kernel does.
    """
    data = DataKnobs(name="sparse_parity", train_size=800, test_size=4000)
    parity = {"depth": 1, "learning_rate": 0.05, "data": data}
    listed = [KPhaseKnobs(steps=3000, feature_update_interval=k, precision=precision, **parity) for k in (1, 7, 300)]
    told = list(run_many(listed, TrialContext()))
    for index, knobs in enumerate(listed):
        rows = [row for place, row in told if place == index]
        kinds = MEASUREMENTS if precision == "float64" else [n for n in MEASUREMENTS if not n.startswith(OF_A_SIGN)]
        apart, column = _worst(list(run(knobs, TrialContext())), rows, kinds)
        assert apart < tolerance, column
