"""Rounds: the ways of computing their steps agree, and every variant is what its definition says."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from tests.trials.conftest import small_arrays
from tests.trials.core.slopes import gradient_of
from tests.trials.core.test_checkpoints import Memory, rows_until_broken
from trials.core.context import TrialContext
from trials.core.data.examples import Examples
from trials.core.data.knobs import DataKnobs
from trials.core.linearisation import linearised
from trials.core.losses.classification import LOSSES
from trials.core.networks.feedforward import cnn_large, cnn_small, mlp
from trials.core.networks.resnet import resnet18
from trials.core.parameters import moved_to
from trials.core.rounds.choice import METHODS, chosen_methods, serving
from trials.core.rounds.in_rounds import Counted, Rounds
from trials.core.rounds.round import Problem, RoundLoss
from trials.core.rows import checked
from trials.core.streams import generator
from trials.core.training.batches import Batch, epochs, formed
from trials.core.training.descent import Descent
from trials.core.training.places import Place
from trials.core.training.plain import PlainLoss
from trials.core.training.rules import RULES
from trials.core.training.slopes import Told
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.measurements import MEASUREMENTS
from trials.k_phase_diagram.recipe import run

CPU = torch.device("cpu")
SHAPE, CLASSES, SAMPLES = (2, 8, 8), 3, 20
BUILT = {
    "mlp": mlp(SHAPE, CLASSES, width=7, depth=2),
    "cnn_s": cnn_small(SHAPE, CLASSES),
    "cnn_l": cnn_large(SHAPE, CLASSES),
}
PAIRS = list(itertools.combinations(METHODS, 2))


def _problem(network, dtype=torch.float64, loss="cross_entropy"):
    random = generator(0, "problem")
    inputs = torch.randn(SAMPLES, *SHAPE, generator=random, dtype=dtype)
    train = Examples(inputs=inputs, labels=torch.randint(CLASSES, (SAMPLES,), generator=random), classes=CLASSES)
    return Problem(network=BUILT[network], train=train, loss=LOSSES[loss])


def _by(rule):
    return Descent(rule=RULES[rule](0.9), rate=lambda step: 0.1)


def _anchor(network, dtype=torch.float64):
    return moved_to(BUILT[network].initial(generator(0, "initialisation")), CPU, dtype)


def _trained(method, problem, anchor, descent, memory, steps=30):
    """Return where a round of 30 steps ends, in parameter space."""
    round_ = METHODS[method](problem, linearised(problem.network.forward, anchor), Place(anchor, memory))
    place = round_.start
    for step in range(steps):
        batch = Batch(epochs(0, SAMPLES, 8)(step), formed(problem.train))
        place, _ = descent(RoundLoss(round_, batch), place, step)
    return place.each(round_.parameters)


def _largest_relative_difference(first, second, origin):
    distance = max(float((first[name] - second[name]).abs().max()) for name in origin)
    moved = max(float((first[name] - origin[name]).abs().max()) for name in origin)
    assert moved > 1e-3, "without a movement the test has no power"
    return distance / moved


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("network", BUILT)
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_every_two_methods_agree(pair, network, loss, dtype, tolerance):
    """Momentum that the round inherits and weight decay included."""
    problem, anchor = _problem(network, dtype, loss), _anchor(network, dtype)
    random = generator(1, "velocity")
    velocity = {name: 0.01 * torch.randn(value.shape, generator=random).to(dtype) for name, value in anchor.items()}
    descent = Descent(rule=RULES["momentum"](0.9), rate=lambda step: 0.02, weight_decay=0.01)
    ends = [_trained(method, problem, anchor, descent, {"velocity": velocity}) for method in pair]
    assert _largest_relative_difference(ends[0].point, ends[1].point, anchor) < tolerance
    assert _largest_relative_difference(ends[0].memory["velocity"], ends[1].memory["velocity"], velocity) < tolerance


@pytest.mark.parametrize("network", BUILT)
def test_keeping_activations_serves_adam_as_well(network):
    problem, anchor = _problem(network), _anchor(network)
    descent = Descent(rule=RULES["adam"](0.9), rate=lambda step: 0.01, weight_decay=0.01)
    memory = descent.rule.beginning(anchor)
    ends = [_trained(method, problem, anchor, descent, memory) for method in ("jvp", "cached")]
    assert _largest_relative_difference(ends[0].point, ends[1].point, anchor) < 1e-10


@pytest.mark.parametrize("method", METHODS)
def test_the_norm_of_the_training_gradient_is_that_of_all_samples_at_once(method):
    problem, anchor = _problem("cnn_s"), _anchor("cnn_s")
    round_ = METHODS[method](problem, linearised(problem.network.forward, anchor), Place(anchor, {}))
    train = problem.train
    whole = gradient_of(round_.model, anchor, train.inputs, train.labels, problem.loss)
    expected = math.sqrt(sum(float(value.square().sum()) for value in whole.values()))
    assert float(round_.gradient_norm(round_.start.point)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("rule", "theirs"), [("sgd", torch.optim.SGD), ("momentum", torch.optim.SGD), ("adam", torch.optim.Adam)]
)
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_rules_are_those_of_pytorch(rule, theirs, weight_decay):
    start = {"a": torch.randn(3, 2, generator=generator(0, "a"), dtype=torch.float64)}
    settings = {"momentum": 0.8} if rule == "momentum" else {}
    leaf = start["a"].clone().requires_grad_()
    optimizer = theirs([leaf], lr=0.1, weight_decay=weight_decay, **settings)
    slope = {}
    descent = Descent(
        rule=RULES[rule](0.8),
        rate=lambda step: 0.1,
        weight_decay=weight_decay,
        direction=lambda loss, point, step: Told(dict(slope)),
    )
    place = Place(start, descent.rule.beginning(start))
    for step in range(20):
        leaf.grad = torch.randn(3, 2, generator=generator(step, "g"), dtype=torch.float64)
        slope["a"] = leaf.grad.clone()
        place, _ = descent(PlainLoss(None, None, None), place, step)
        optimizer.step()
    torch.testing.assert_close(place.point["a"], leaf.detach(), rtol=0, atol=1e-10)


def _knobs(**changes):
    small = {"steps": 40, "width": 8, "depth": 1, "learning_rate": 0.1, "batch_size": 8, "precision": "float64"}
    return KPhaseKnobs(**{**small, "probe_size": 8, "data": DataKnobs(train_size=40), **changes})


def _rows(context, **changes):
    return list(checked(run(_knobs(**changes), context), MEASUREMENTS))


def _losses(rows):
    return np.array([[row["train_loss_lin"], row["test_loss_lin"], row["param_dist"]] for row in rows])


@pytest.mark.parametrize("method", METHODS)
def test_a_warm_start_is_plain_training_until_it_ends_and_one_linearisation_after(context, method):
    plain = {row["step"]: row for row in _rows(context, feature_update_interval=1)}
    shot = {
        row["step"]: row for row in _rows(context, feature_update_interval=math.inf, warm_steps=10, round_method=method)
    }
    assert all(_losses([shot[step]]) == pytest.approx(_losses([plain[step]]), abs=1e-10) for step in shot if step <= 10)
    assert abs(shot[40]["train_loss_lin"] - plain[40]["train_loss_lin"]) > 1e-4
    counts = {step: row["num_linearisations"] for step, row in shot.items()}
    assert (counts[0], counts[1], counts[10], counts[15], counts[40]) == (1, 1, 10, 11, 11)


def test_knobs_that_mean_the_same_training_are_the_same():
    assert _knobs(feature_update_interval=1, warm_steps=7) == _knobs(feature_update_interval=1)
    assert _knobs(feature_update_interval=9, warm_steps=40) == _knobs(feature_update_interval=1)
    assert _knobs(feature_update_interval=30, warm_steps=10) == _knobs(feature_update_interval=math.inf, warm_steps=10)
    assert _knobs(feature_update_interval=29, warm_steps=10).feature_update_interval == 29


@pytest.mark.parametrize("method", ["auto", *METHODS])
def test_a_round_ends_when_its_gradient_is_small_enough(context, method):
    """Full batches on squared error: every round converges, and the row at its end says so."""
    changes = {"loss": "mse", "batch_size": 40, "learning_rate": 0.2, "steps": 300, "feature_update_interval": 200}
    rows = _rows(context, **changes, round_tolerance=0.05, measured_rounds=3, round_method=method)
    ends = [row for row in rows if row["round_converged"]]
    assert len(ends) >= 3
    assert {row["status"] for row in ends} == {"converged"}
    assert {row["status"] for row in rows if not row["round_converged"]} == {"unconverged"}
    assert max(row["num_linearisations"] for row in rows) > 2, "rounds of 200 steps alone would be two"
    without = _rows(context, **changes)
    assert {row["round_converged"] for row in without} == {None}
    assert {row["status"] for row in without} == {"budget"}


def test_a_round_that_does_not_converge_ends_at_its_last_step(context):
    rows = _rows(context, round_tolerance=1e-9, feature_update_interval=10)
    assert rows[-1]["num_linearisations"] == 4
    assert _losses(rows) == pytest.approx(_losses(_rows(context, feature_update_interval=10)), abs=0)


VARIANTS = {
    "momentum": {"optimizer": "momentum", "weight_decay": 0.01},
    "adam": {"optimizer": "adam", "learning_rate": 0.01},
    "adam_reset": {"optimizer": "adam", "learning_rate": 0.01, "reset_optimizer_on_relinearisation": True},
    "one_shot": {"warm_steps": 5, "feature_update_interval": math.inf},
    "converging": {"round_tolerance": 0.3, "measured_rounds": 4},
}


COMBINATIONS = [
    (variant, method)
    for variant, method in itertools.product(VARIANTS, ["auto", *METHODS])
    if method != "function_space" or VARIANTS[variant].get("optimizer") != "adam"
]


@pytest.mark.parametrize(("variant", "method"), COMBINATIONS)
def test_broken_off_anywhere_every_variant_goes_on_as_if_it_had_not_been(variant, method):
    arrays = small_arrays()
    changes = {"steps": 14, "batch_size": 20, "probe_size": 4, "precision": "float32", "feature_update_interval": 5}
    knobs = _knobs(**{**changes, "round_method": method, **VARIANTS[variant]})
    undisturbed = list(run(knobs, TrialContext(arrays=lambda name: arrays)))
    for step in range(knobs.steps + 1):
        first = Memory(break_at=step)
        rows = rows_until_broken(knobs, first, arrays)
        rows += list(run(knobs, TrialContext(arrays=lambda name: arrays, checkpoints=Memory(saved=first.saved))))
        assert rows == undisturbed


def test_the_end_of_a_round_counts_from_where_it_began():
    rounds = Rounds(problem=_problem("mlp"), methods=(), interval=10, warm_steps=3, tolerance=0.1, check_every=4)
    counted, ends = Counted(), []
    while (end := counted.end(rounds)) < 30:
        counted = counted.at(end)
        ends.append(end)
    assert ends == [0, 1, 2, 3, 13, 23]
    assert [age for age in range(11) if rounds.is_checked(age)] == [4, 8]


def test_the_method_changes_with_a_rounds_age_and_not_with_what_is_to_come():
    methods = chosen_methods("auto", _problem("mlp"), 4, _by("adam"))
    assert [serving(methods, steps).method for steps in (0, 4, 5, 10**6)] == ["jvp", "jvp", "cached", "cached"]


def test_a_convolutional_network_on_few_samples_comes_to_train_by_its_kernel():
    images = torch.randn(100, 3, 16, 16, generator=generator(0, "x"))
    train = Examples(inputs=images, labels=torch.zeros(100, dtype=torch.int64), classes=10)
    problem = Problem(network=cnn_small((3, 16, 16), 10), train=train, loss=LOSSES["mse"])
    assert serving(chosen_methods("auto", problem, 32, _by("momentum")), 10**6).method == "function_space"
    assert serving(chosen_methods("auto", problem, 32, _by("adam")), 10**6).method == "cached"


def test_a_network_that_is_no_chain_trains_by_its_tangents():
    images = torch.randn(8, 3, 16, 16, generator=generator(0, "x"))
    train = Examples(inputs=images, labels=torch.arange(8) % 2, classes=2)
    problem = Problem(network=resnet18((3, 16, 16), 2), train=train, loss=LOSSES["mse"])
    assert serving(chosen_methods("auto", problem, 4, _by("sgd")), 10**6).method == "jvp"


def test_a_kernel_that_is_too_large_is_refused_before_training():
    train = Examples(inputs=torch.zeros(5000, 4), labels=torch.zeros(5000, dtype=torch.int64), classes=10)
    problem = Problem(network=mlp((4,), 10, width=3, depth=1), train=train, loss=LOSSES["mse"])
    with pytest.raises(ValueError, match=r"5000 samples x 10 classes squared, 9.3 GiB; at most 1 GiB"):
        chosen_methods("function_space", problem, 32, _by("sgd"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"round_method": "function_space", "optimizer": "adam"},
            "needs optimizer to be one of sgd, momentum",
        ),
        ({"network": "resnet18", "round_method": "cached"}, "round_method=cached needs a network that is a chain of"),
        ({"network": "resnet18", "compiled": True}, "compiled=true needs a network that is a chain of layers, mlp"),
        ({"round_method": "function_space", "precision": "bfloat16"}, "float32, float64 or tf32, got bfloat16"),
        ({"network": "resnet18_bn"}, "with batch normalisation the Jacobian of a sample depends on its batch"),
        ({"network": "BatchNorm"}, "take resnet18, which normalises groups of channels"),
        ({"warm_steps": -1}, "warm_steps must be at least 0, got -1"),
        ({"round_tolerance": -0.1}, "round_tolerance must be at least 0"),
        ({"round_method": "magic"}, "is not one of auto, jvp, cached, function_space"),
        ({"optimizer": "lion"}, "is not one of sgd, momentum, adam"),
        ({"probe_size": -1}, "probe_size must be at least 0"),
        ({"momentum": 1.5}, "momentum must be at most 1"),
    ],
)
def test_what_cannot_be_is_refused_when_knobs_are_made(changes, message):
    with pytest.raises(ValueError, match=message):
        _knobs(**changes)
