"""The four axes crossed: K, damping, freeze depth and ratio, by every way of computing, in float64."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

from tests.trials.conftest import small_arrays
from tests.trials.core.test_checkpoints import BrokenOff, Memory
from tests.trials.core.training.problems import largest_difference, small_problem, trained_in_rounds
from trials.core.augmentation.knobs import FixedSetKnobs
from trials.core.context import TrialContext
from trials.core.data.knobs import DataKnobs
from trials.core.rounds.settings import METHODS
from trials.core.rows import checked
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.measurements import MEASUREMENTS
from trials.k_phase_diagram.preparation import NETWORKS, lane_of
from trials.k_phase_diagram.recipe import TOGETHER, run, run_many

ARRAYS = small_arrays()
CONTEXT = TrialContext(arrays=lambda name: ARRAYS)
SMALL = {"steps": 40, "width": 8, "depth": 2, "batch_size": 8, "probe_size": 6, "learning_rate": 0.2}
TOLD = ("train_loss_lin", "test_loss_net", "param_dist", "ntk_distance", "rep_change")
RATIO = FixedSetKnobs(ratio=0.5, augmentation="fixed_aug")
AXES = {
    "freeze_depth": {"freeze_depth": 1},
    "damping": {"damping": 0.3},
    "ratio": {"rows": RATIO},
    "interval": {"feature_update_interval": 20},
}


def _knobs(**changes):
    return KPhaseKnobs(**{**SMALL, "precision": "float64", "data": DataKnobs(train_size=40), **changes})


def _rows(**changes):
    return list(checked(run(_knobs(**changes), CONTEXT), MEASUREMENTS))


def _apart(rows, others, names=TOLD):
    pairs = [(row[name], other[name]) for row, other in zip(rows, others, strict=True) for name in names]
    assert all((one is None) == (other is None) for one, other in pairs)
    return max(abs(one - other) for one, other in pairs if one is not None)


def test_knobs_that_are_off_leave_ids():
    assert _knobs().fingerprint() == _knobs(freeze_depth=0, damping=0.0).fingerprint()
    assert _knobs(feature_update_interval=1, damping=3.0) == _knobs(feature_update_interval=1)
    assert _knobs(feature_update_interval=40, damping=3.0) != _knobs(feature_update_interval=40)
    assert _knobs(feature_update_interval=9, warm_steps=40, damping=3.0) == _knobs()


def test_rounds_of_one_step_ignore_damping_by_themselves():
    problem, start = small_problem()
    ends = [trained_in_rounds(problem, start, 1, damping, steps=20) for damping in (0.0, 5.0)]
    assert largest_difference(*ends) == 0


@pytest.mark.parametrize("method", ["auto", *METHODS])
@pytest.mark.parametrize("damping", [0.0, 0.1])
def test_behind_all_frozen_parts_but_a_linear_head_every_interval_is_the_same(method, damping):
    """Without damping; with it a round pulls back to where it began, and K matters even to a linear model."""
    changes = {"freeze_depth": 2, "round_method": method, "damping": damping}
    one, many = (_rows(feature_update_interval=interval, **changes) for interval in (1, 10))
    assert (_apart(one, many) < 1e-10) == (damping == 0)


CROSSINGS = list(itertools.product((0, 1), (0.0, 0.3), (1, 9), (1.0, 0.5)))


@pytest.mark.parametrize(("freeze_depth", "damping", "interval", "ratio"), CROSSINGS)
def test_every_way_of_computing_agrees_at_every_crossing(freeze_depth, damping, interval, ratio):
    changes = {"freeze_depth": freeze_depth, "damping": damping, "feature_update_interval": interval}
    changes |= {"rows": dataclasses.replace(RATIO, ratio=ratio), "optimizer": "momentum", "learning_rate": 0.02}
    told = {method: _rows(round_method=method, **changes) for method in METHODS}
    pair = [_knobs(**changes), _knobs(**changes, seed=1)]
    assert TOGETHER.key(pair[0]) is not None
    together = [row for index, row in run_many(pair, CONTEXT) if index == 0]
    told["together"] = list(checked(together, MEASUREMENTS))
    for way, rows in told.items():
        assert _apart(told["jvp"], rows) < 1e-9, way


def test_each_axis_moves_the_rows_of_the_others():
    plain = {"feature_update_interval": 9}
    for one, other in itertools.permutations(AXES, 2):
        beside = {**plain, **AXES[other]}
        assert _apart(_rows(**beside), _rows(**{**beside, **AXES[one]}), ("test_loss_net",)) > 1e-4, f"{one} at {other}"


@pytest.mark.parametrize("network", ["cnn_s", "cnn_l"])
def test_convolutions_cross_as_well(network):
    changes = {"network": network, "freeze_depth": 1, "damping": 0.3, "feature_update_interval": 4, "rows": RATIO}
    changes |= {"steps": 8, "probe_size": 2, "data": DataKnobs(train_size=16, test_size=16)}
    told = [_rows(round_method=method, **changes) for method in METHODS]
    assert max(_apart(told[0], rows) for rows in told[1:]) < 1e-9


@pytest.mark.parametrize(
    "changes", [{"precision": "bfloat16"}, pytest.param({"compiled": True}, marks=pytest.mark.slow)]
)
def test_crossings_of_other_arithmetic_are_those_of_float32(changes):
    """Compiled gradients agree to rounding, products in bfloat16 to their eight bits."""
    crossed = {"freeze_depth": 1, "damping": 0.3, "feature_update_interval": 5, "rows": RATIO, "steps": 10}
    rows, others = (_rows(**{**crossed, "precision": "float32", **each}) for each in ({}, changes))
    apart = _apart(rows, others, ("train_loss_lin", "test_loss_net"))
    assert 0 < apart < (0.05 if "precision" in changes else 1e-5)


@pytest.mark.slow
def test_a_residual_network_crosses_all_four():
    changes = {"network": "resnet18", "steps": 4, "batch_size": 4, "probe_size": 2, "learning_rate": 0.01}
    changes |= {"data": DataKnobs(train_size=8, test_size=4), "precision": "float32", "rows": RATIO}
    told = {
        name: _rows(**changes, freeze_depth=4, feature_update_interval=interval, damping=damping)[-1]
        for name, interval, damping in [("plain", 1, 0.0), ("rounds", 4, 0.0), ("damped", 4, 20.0)]
    }
    assert len({row["train_loss_lin"] for row in told.values()}) == 3
    assert told["damped"]["param_dist"] < told["rounds"]["param_dist"]
    assert told["plain"]["param_dist_layer_2"] > 0 and told["plain"]["param_dist_layer_3"] is None, "two parts train"


def test_a_damped_round_ends_when_its_damped_gradient_is_small():
    """A pull to the anchor ends rounds sooner: solved one after another, they are Levenberg-Marquardt's."""
    changes = {"loss": "mse", "batch_size": 40, "steps": 300, "feature_update_interval": 300, "measured_rounds": 4}
    rows = [_rows(**changes, depth=1, round_tolerance=0.05, damping=damping) for damping in (0.0, 1.0)]
    assert rows[1][-1]["num_linearisations"] > rows[0][-1]["num_linearisations"] > 1
    ends = [row for row in rows[1] if row["round_converged"]]
    assert len(ends) >= 4
    assert all(row["effective_damping"] > 1.0 for row in rows[1][1:])


@pytest.mark.parametrize(
    "changes",
    [
        {"freeze_depth": 1, "damping": 0.2, "rows": RATIO},
        {"damping": 0.2, "round_tolerance": 0.3},
        {"freeze_depth": 2, "damping": 0.2, "optimizer": "momentum", "warm_steps": 3},
    ],
)
@pytest.mark.parametrize("method", ["cached", "function_space"])
def test_broken_off_anywhere_crossings_go_on_as_if_they_had_not_been(changes, method):
    _goes_on_from_every_step(_knobs(**changes, steps=12, feature_update_interval=5, batch_size=20, round_method=method))


@pytest.mark.parametrize(("freeze_depth", "damping", "interval", "ratio"), CROSSINGS)
def test_broken_off_anywhere_each_crossing_goes_on_as_if_it_had_not_been(freeze_depth, damping, interval, ratio):
    """With methods that take turns within a round."""
    changes = {"freeze_depth": freeze_depth, "damping": damping, "feature_update_interval": interval}
    rows = dataclasses.replace(RATIO, ratio=ratio)
    _goes_on_from_every_step(_knobs(**changes, rows=rows, steps=12, batch_size=20))


def _goes_on_from_every_step(knobs):
    undisturbed = list(run(knobs, CONTEXT))
    for step in range(knobs.steps + 1):
        first, rows = Memory(break_at=step), []
        with pytest.raises(BrokenOff):
            rows.extend(run(knobs, dataclasses.replace(CONTEXT, checkpoints=first)))
        assert rows == [row for row in undisturbed if row["step"] < step]
        rows += run(knobs, dataclasses.replace(CONTEXT, checkpoints=Memory(saved=first.saved)))
        assert rows == undisturbed


@pytest.mark.parametrize("method", METHODS)
def test_a_damped_trial_goes_on_from_plain_training_that_was_its_warm_start(method):
    """A trial that ends within its warm start is plain and undamped by its record, and so are its state and rows."""
    damped = _knobs(damping=0.2, steps=20, warm_steps=14, feature_update_interval=3, round_method=method)
    damped = dataclasses.replace(damped, round_tolerance=0.3, batch_size=20, optimizer="momentum")
    shorter, memory = dataclasses.replace(damped, steps=10), Memory()
    assert (shorter.feature_update_interval, shorter.damping) == (1, 0.0)
    rows = [row for row in run(shorter, dataclasses.replace(CONTEXT, checkpoints=memory)) if row["step"] < 10]
    rows += run(damped, dataclasses.replace(CONTEXT, checkpoints=Memory(saved=memory.saved)))
    assert rows == list(run(damped, CONTEXT))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"freeze_depth": 3}, "0 = nothing, 1 = up to hidden1, 2 = up to hidden2; readout"),
        ({"freeze_depth": 1, "depth": 0}, "freeze_depth=1 is not one of 0 = nothing; readout always trains"),
        ({"freeze_depth": 6, "network": "resnet18"}, "1 = up to stem, .*, 5 = up to stage4; readout always trains"),
        ({"freeze_depth": 3, "network": "cnn_s"}, "1 = up to conv1, 2 = up to conv2; readout always trains"),
        ({"damping": -1.0}, "damping must be at least 0, got -1"),
        ({"rows": FixedSetKnobs(ratio=0.5, augmentation="fixed_aug", transform="flip")}, "mirrors images"),
        (
            {"rows": RATIO, "data": DataKnobs(name="sparse_parity", train_size=40)},
            "needs images, and sparse_parity has vectors",
        ),
    ],
)
def test_what_cannot_cross_is_refused_when_knobs_are_made(changes, message):
    with pytest.raises(ValueError, match=message):
        _knobs(**changes)


def test_a_share_that_leaves_no_sample_is_refused_before_any_trial():
    few = FixedSetKnobs(ratio=0.01)
    with pytest.raises(ValueError, match=r"ratio=0.01 keeps 0 of 40 samples"):
        _knobs(rows=few)
    files = _knobs(rows=FixedSetKnobs(ratio=1e-4), data=DataKnobs(name="cifar10"))
    with pytest.raises(ValueError, match=rf"ratio=0.0001 keeps 0 of {len(ARRAYS.train_labels)} samples"):
        files.refuse_unfit({"cifar10": ARRAYS})


@pytest.mark.parametrize("network", ["cnn_s", "cnn_l", "resnet18"])
def test_convolutions_of_what_is_no_image_are_refused_before_any_trial(network):
    arrays = {"digits": ARRAYS, "sparse_parity": TrialContext().arrays("sparse_parity")}
    _knobs(network=network).refuse_unfit(arrays)
    for changes, shape in (({"name": "sparse_parity"}, "40"), ({"average_pool": 2}, "1x2x2")):
        knobs = _knobs(network=network, data=DataKnobs(train_size=40, **changes))
        with pytest.raises(ValueError, match=f"network={network} needs images of at least 4x4 .* of shape {shape}"):
            knobs.refuse_unfit(arrays)


@pytest.mark.parametrize("network", NETWORKS)
def test_depths_that_knobs_allow_are_those_of_the_network(network):
    """The parts by name, which need no torch, are those of the network that is built."""
    knobs = KPhaseKnobs(network=network, probe_size=0, data=DataKnobs(train_size=32, test_size=8))
    depths = []
    for depth in range(8):
        try:
            depths.append(dataclasses.replace(knobs, freeze_depth=depth).freeze_depth)
        except ValueError:
            break
    deepest = lane_of(dataclasses.replace(knobs, freeze_depth=depths[-1]), CONTEXT).instruments.initial
    assert {name.partition(".")[0] for name in deepest} == {"readout"}
    assert all(torch.isfinite(value).all() for value in deepest.values())
