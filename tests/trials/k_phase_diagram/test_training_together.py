"""Perceptrons that train together give the rows that each gives by itself."""

from __future__ import annotations

import math

import pytest

from trials.core.data.knobs import DataKnobs
from trials.core.rows import Diverged, checked
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.measurements import MEASUREMENTS
from trials.k_phase_diagram.recipe import TOGETHER, run, run_many, together_key

SMALL = {"steps": 60, "width": 8, "depth": 2, "batch_size": 8, "probe_size": 8, "data": DataKnobs(train_size=40)}


def _told(knobs, context):
    """Return the rows of every trial that trained together, and how each ended."""
    rows, ends = [[] for _ in knobs], ["finished"] * len(knobs)
    for index, told in run_many(knobs, context):
        assert ends[index] == "finished"
        if isinstance(told, Diverged):
            ends[index] = str(told)
        else:
            rows[index].extend(checked([told], MEASUREMENTS))
    return rows, ends


def _assert_alike(rows, others, tolerance):
    assert [row["step"] for row in rows] == [row["step"] for row in others]
    for row, other in zip(rows, others, strict=True):
        for name, value in row.items():
            if isinstance(value, float):
                assert value == pytest.approx(other[name], rel=tolerance, abs=tolerance), name
            else:
                assert value == other[name], name


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-10), ("float32", 1e-4)])
@pytest.mark.parametrize(
    "optimizer",
    [{}, {"optimizer": "momentum", "weight_decay": 0.01}, {"optimizer": "adam", "loss": "mse"}],
    ids=["sgd", "momentum", "adam"],
)
def test_trials_that_differ_in_everything_they_may_give_their_own_rows(context, optimizer, precision, tolerance):
    differing = [
        {"feature_update_interval": 1, "learning_rate": 0.02},
        {"feature_update_interval": 7, "seed": 1, "learning_rate": 0.01},
        {"feature_update_interval": math.inf, "seed": 2, "learning_rate": 0.03},
        {"feature_update_interval": math.inf, "warm_steps": 20, "learning_rate": 0.02},
        {"feature_update_interval": 5, "steps": 33, "measured_rounds": 3, "learning_rate": 0.02},
    ]
    knobs = [KPhaseKnobs(**{**SMALL, **optimizer, "precision": precision, **changes}) for changes in differing]
    assert len({together_key(each) for each in knobs}) == 1
    together, ends = _told(knobs, context)
    assert set(ends) == {"finished"}
    for each, rows in zip(knobs, together, strict=True):
        _assert_alike(rows, list(checked(run(each, context), MEASUREMENTS)), tolerance)


def test_one_that_diverges_leaves_the_others_alone(context):
    rates = (0.02, 1e4, 0.03)
    knobs = [KPhaseKnobs(**SMALL, loss="mse", learning_rate=rate, precision="float64") for rate in rates]
    together, ends = _told(knobs, context)
    assert [end == "finished" for end in ends] == [True, False, True]
    alone = []
    with pytest.raises(Diverged) as outcome:
        alone.extend(checked(run(knobs[1], context), MEASUREMENTS))
    assert ends[1] == str(outcome.value)
    assert len(together[1]) >= 1
    for index in (0, 2):
        _assert_alike(together[index], list(checked(run(knobs[index], context), MEASUREMENTS)), 1e-8)


@pytest.mark.parametrize(
    "changes",
    [
        {"network": "cnn_s"},
        {"width": 1024},
        {"steps": 10**6},
        {"round_tolerance": 0.1},
        {"reset_optimizer_on_relinearisation": True},
        {"round_method": "cached"},
    ],
)
def test_some_train_by_themselves(changes):
    assert together_key(KPhaseKnobs(**changes)) is None


def test_what_shapes_a_step_must_be_alike():
    keys = [
        together_key(KPhaseKnobs(**changes)) for changes in ({}, {"width": 64}, {"batch_size": 16}, {"loss": "mse"})
    ]
    assert len(set(keys)) == 4
    assert together_key(KPhaseKnobs(seed=3, learning_rate=0.3, feature_update_interval=9)) == keys[0]
    assert TOGETHER.run is run_many
