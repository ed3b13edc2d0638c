"""The stability ratio of rows: of which linearisation it tells, and that descent overshoots above 1."""

from __future__ import annotations

import math

import pytest

from trials.core.data.knobs import DataKnobs
from trials.core.losses.classification import LOSSES
from trials.core.rows import Diverged, checked
from trials.k_phase_diagram.knobs import KPhaseKnobs
from trials.k_phase_diagram.measurements import MEASUREMENTS
from trials.k_phase_diagram.preparation import lane_of
from trials.k_phase_diagram.recipe import run


@pytest.mark.parametrize("loss", LOSSES)
def test_the_stability_ratio_is_of_the_linearisation_of_the_rows_round(context, loss):
    changes = {"steps": 12, "feature_update_interval": 4, "width": 8, "depth": 1, "batch_size": 40, "loss": loss}
    knobs = KPhaseKnobs(**changes, measurements_per_decade=100, probe_size=40, data=DataKnobs(train_size=40))
    rows = list(checked(run(knobs, context), MEASUREMENTS))
    by_round = {}
    for row in rows:
        by_round.setdefault(row["round"], set()).add(row["lr_stability_ratio"])
    assert [len(ratios) for ratios in by_round.values()] == [1, 1, 1]
    assert len(set.union(*by_round.values())) == 3
    (first,) = by_round[0]
    instruments = lane_of(knobs, context).instruments
    assert [first] == instruments.stability(instruments.initial)
    twice = KPhaseKnobs(**changes, learning_rate=0.2, probe_size=40, data=DataKnobs(train_size=40))
    assert next(run(twice, context))["lr_stability_ratio"] == pytest.approx(2 * first)


@pytest.mark.parametrize("ratio", [0.9, 1.1])
def test_full_batch_descent_on_squared_error_overshoots_where_the_ratio_is_above_one(context, ratio):
    """The largest mode is multiplied by 1 - 2 ratio a step: it shrinks below 1 and grows without bound above."""
    changes = {"steps": 400, "width": 8, "depth": 1, "batch_size": 40, "loss": "mse", "precision": "float64"}
    changes |= {"feature_update_interval": math.inf, "probe_size": 40, "data": DataKnobs(train_size=40)}
    unit = next(run(KPhaseKnobs(**changes, learning_rate=1.0), context))["lr_stability_ratio"]
    rows = run(KPhaseKnobs(**changes, learning_rate=ratio / unit), context)
    if ratio > 1:
        with pytest.raises(Diverged):
            list(rows)
    else:
        losses = [row["train_loss_lin"] for row in rows]
        assert losses[-1] < losses[0] / 2
