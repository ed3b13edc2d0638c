"""The recipe: what it must equal at the ends of K's range, and what its rows mean in between."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.func import jacrev

from trials.core.context import TrialContext
from trials.core.data.knobs import DataKnobs
from trials.core.rows import Diverged, checked
from trials.core.streams import generator
from trials.core.training.batches import epochs
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.measurements import MEASUREMENTS
from trials.k_phase_diagram.preparation import NETWORKS
from trials.k_phase_diagram.recipe import run

INFINITE = float("inf")
BY_INTERVAL = (
    "effective_damping",
    "lin_gap",
    "lr_stability_ratio",
    *(name for name in MEASUREMENTS if name.startswith("param_path")),
)
"""Columns that depend on K by what they mean, even where the training does not."""


def _knobs(**changes):
    small = {"steps": 100, "width": 16, "learning_rate": 0.3, "batch_size": 8, "precision": "float64"}
    return KPhaseKnobs(**{**small, "data": DataKnobs(train_size=40), **changes})


def _rows(context, **changes):
    return list(checked(run(_knobs(**changes), context), MEASUREMENTS))


def _largest_difference(rows, others, columns=None):
    """Return the largest absolute difference in any measured column but those that count rounds."""
    names = columns or [name for name, entry in MEASUREMENTS.items() if entry.type is float and name not in BY_INTERVAL]
    pairs = [(row[name], other[name]) for row, other in zip(rows, others, strict=True) for name in names]
    return max(abs(value - other) for value, other in pairs if None not in (value, other))


@pytest.mark.parametrize("interval", [100, 101, 10**6, INFINITE])
def test_every_interval_from_the_last_step_on_is_the_same_trial(context, interval):
    knobs = _knobs(feature_update_interval=interval)
    assert knobs == _knobs(feature_update_interval=100)
    assert knobs.feature_update_interval == 100
    assert list(checked(run(knobs, context), MEASUREMENTS)) == _rows(context, feature_update_interval=100)


def test_a_row_at_the_end_of_a_round_describes_the_function_that_was_trained(context):
    """The edge: trials that differ only in what they do after step 50 agree at step 50, K = 50 included."""
    lazy = {row["step"]: row for row in _rows(context, feature_update_interval=100, measurements_per_decade=10)}
    renewed = {row["step"]: row for row in _rows(context, feature_update_interval=50, measurements_per_decade=10)}
    assert all(renewed[step] == lazy[step] for step in lazy if step <= 50)
    assert 50 in lazy, "the edge itself must be measured"
    assert lazy[50]["test_loss_lin"] != pytest.approx(lazy[50]["test_loss_net"], abs=1e-3), "lin and net must differ"


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("interval", [1, 3, 10, 25])
def test_training_agrees_with_dense_jacobians(context, loss, interval):
    changes = {"steps": 25, "width": 6, "depth": 1, "loss": loss, "feature_update_interval": interval}
    knobs = _knobs(**changes, learning_rate=0.1)
    dense = _dense_rows(context, knobs)
    rows = [row for row in run(knobs, context) if row["step"] in dense]
    assert len(rows) > 5
    columns = ["train_loss_lin", "param_dist"]
    assert _largest_difference(rows, [dense[row["step"]] for row in rows], columns) < 1e-10


def test_the_effective_damping_counts_what_momentum_adds_and_is_unknown_with_adam(context):
    of = {
        rule: _rows(context, optimizer=rule, momentum=0.9, learning_rate=0.01, feature_update_interval=20)[-1]
        for rule in ("sgd", "momentum", "adam")
    }
    assert of["sgd"]["effective_damping"] == pytest.approx(1 / (0.01 * 20))
    assert of["momentum"]["effective_damping"] == pytest.approx(0.1 / (0.01 * 20))
    assert of["adam"]["effective_damping"] is None


@pytest.mark.parametrize("changes", [{}, {"warm_steps": 20}, {"round_tolerance": 0.2}])
def test_the_effective_damping_is_that_of_the_longest_round(context, changes):
    """Rounds are read off the rows at their ends, which all of them have."""
    changes |= {"steps": 200, "learning_rate": 0.2, "feature_update_interval": 60, "measured_rounds": 200}
    rows = _rows(context, **changes)
    ends = {row["num_linearisations"]: row["step"] for row in rows}
    lengths = [end - start for start, end in itertools.pairwise([0, *ends.values()])]
    if "round_tolerance" in changes:
        assert max(lengths) < 60, "the tolerance ends every round here"
    assert rows[-1]["effective_damping"] == pytest.approx(1 / (0.2 * max(lengths)))
    assert rows[0]["effective_damping"] is None


def _dense_rows(context, knobs):
    """Train with J built explicitly at each re-anchoring and the residuals written by hand."""
    train, _ = (examples.to(torch.float64) for examples in context.data(knobs.data))
    network = NETWORKS["mlp"](tuple(train.inputs.shape[1:]), train.classes, knobs)
    start = {name: value.double() for name, value in network.initial(generator(knobs.seed, "initialisation")).items()}
    sizes = [value.numel() for value in start.values()]

    def outputs_at(vector):
        parts = vector.split(sizes)
        point = {name: part.view(value.shape) for (name, value), part in zip(start.items(), parts, strict=True)}
        return network.forward(point, train.inputs)

    initial = torch.cat([value.flatten() for value in start.values()])
    targets = torch.eye(train.classes, dtype=torch.float64)[train.labels]
    theta, rows = initial, {}
    anchor = outputs = jacobian = None
    for step in range(knobs.steps + 1):
        if step == 0:
            anchor, outputs, jacobian = theta, outputs_at(theta), jacrev(outputs_at)(theta)
        linear = outputs + jacobian @ (theta - anchor)
        value = {
            "cross_entropy": -(linear.log_softmax(1) * targets).sum(1).mean(),
            "mse": 0.5 * (linear - targets).pow(2).sum(1).mean(),
        }[knobs.loss]
        rows[step] = {"train_loss_lin": float(value), "param_dist": float((theta - initial).norm() / initial.norm())}
        if step % knobs.feature_update_interval == 0:
            anchor, outputs, jacobian = theta, outputs_at(theta), jacrev(outputs_at)(theta)
            linear = outputs
        batch = epochs(knobs.seed, len(train), knobs.batch_size)(step)
        predicted = linear.softmax(1) if knobs.loss == "cross_entropy" else linear
        residuals = (predicted - targets)[batch]
        theta = theta - knobs.learning_rate * torch.einsum("ncp,nc->p", jacobian[batch], residuals) / len(batch)
    return rows


def test_a_linear_classifier_does_not_depend_on_the_interval(context):
    reference = _rows(context, depth=0, feature_update_interval=1)
    for interval in (2, 7, INFINITE):
        assert _largest_difference(_rows(context, depth=0, feature_update_interval=interval), reference) < 1e-10


def test_the_interval_matters_for_a_network(context):
    reference = _rows(context, feature_update_interval=1)
    assert _largest_difference(_rows(context, feature_update_interval=INFINITE), reference) > 1e-2


@pytest.mark.parametrize("network", ["mlp", "cnn_s", "cnn_l"])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_every_network_and_loss_trains_and_repeats_itself(context, network, loss):
    changes = {"network": network, "loss": loss, "steps": 20, "feature_update_interval": 5, "precision": "float32"}
    rows = _rows(context, **changes, learning_rate=0.05)
    assert rows == _rows(context, **changes, learning_rate=0.05)
    assert rows[-1]["train_loss_lin"] < rows[0]["train_loss_lin"]
    assert rows[0]["train_loss_lin"] == rows[0]["train_loss_net"]


def test_the_seed_changes_the_rows(context):
    assert _rows(context, seed=1, steps=5) != _rows(context, seed=2, steps=5)


def test_rounds_are_counted_before_the_next_one_begins(context):
    rows = {row["step"]: row for row in _rows(context, feature_update_interval=10, measurements_per_decade=20)}
    counts = {step: (row["round"], row["num_linearisations"], row["num_feature_updates"]) for step, row in rows.items()}
    assert counts[0] == counts[1] == counts[10] == (0, 1, 0)
    assert counts[11] == counts[20] == (1, 2, 1)
    assert counts[100] == (9, 10, 9)


def test_rows_stand_at_the_same_steps_for_every_interval(context):
    expected = [0, 1, 2, 3, 5, 7, 10, 15, 22, 32, 46, 68, 100]
    assert [row["step"] for row in _rows(context, feature_update_interval=3)] == expected
    assert [row["step"] for row in _rows(context, feature_update_interval=INFINITE)] == expected


def test_the_distance_from_initialisation_begins_at_zero_and_grows(context):
    distances = [row["param_dist"] for row in _rows(context)]
    assert distances[0] == 0
    assert all(later > earlier for earlier, later in itertools.pairwise(distances[:5]))


def test_divergence_ends_the_trial_and_keeps_finite_rows(context):
    rows = []
    with pytest.raises(Diverged) as outcome:
        rows.extend(run(_knobs(learning_rate=1e4, loss="mse", feature_update_interval=1), context))  # pragma: no branch
    # `extend` keeps what was yielded before the exception.
    assert rows, "the rows before the divergence are kept"
    assert all(math.isfinite(value) for row in rows for value in row.values() if isinstance(value, float))
    assert outcome.value.step > rows[-1]["step"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feature_update_interval": 0}, "feature_update_interval must be at least 1, got 0"),
        ({"feature_update_interval": -3}, "feature_update_interval must be at least 1, got -3"),
        ({"feature_update_interval": 2.5}, "feature_update_interval must be a whole number, got 2.5"),
        ({"feature_update_interval": math.nan}, "feature_update_interval must be a whole number, got nan"),
        ({"feature_update_interval": True}, "feature_update_interval must be a whole number, got True"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"learning_rate": 0}, "learning_rate must be above 0"),
        ({"learning_rate": math.inf}, "learning_rate must be a finite number"),
        ({"network": "resnet"}, "network='resnet' is not one of mlp, cnn_s, cnn_l, resnet18"),
        ({"loss": "hinge"}, "is not one of cross_entropy, mse"),
        ({"batch_size": 41}, "batch_size=41 exceeds data_train_size=40"),
    ],
)
def test_impossible_knobs_are_refused_with_what_is_allowed(changes, message):
    with pytest.raises(ValueError, match=message):
        _knobs(**changes)


def test_a_batch_larger_than_the_data_is_refused(context):
    with pytest.raises(ValueError, match="between 1 and the 60 training samples, got 61"):
        next(itertools.islice(run(_knobs(batch_size=61, data=DataKnobs()), context), 1, None))


def test_digits_show_the_effect_of_feature_learning():
    """On real data: fixed features lose clearly at equal training time. One seed, below a second."""
    final = {}
    for interval in (1, INFINITE):
        *_, final[interval] = run(KPhaseKnobs(feature_update_interval=interval, steps=500), TrialContext())
    assert final[1]["test_acc_lin"] > final[INFINITE]["test_acc_lin"] + 0.05
