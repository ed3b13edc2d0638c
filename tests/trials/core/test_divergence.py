"""What counts as a divergence, and what as a large step that recovers."""

from __future__ import annotations

import math
import pickle

import pytest

from trials.core.rows import Diverged, refuse_divergence


def _check(*losses, last=False):
    refuse_divergence({"step": 7, "train_loss_lin": losses[-1]}, losses, last=last)


def test_a_single_loss_far_above_the_first_may_recover():
    _check(1.0, 2e4)
    _check(1.0, 2e4, 5.0)
    _check(1.0, 5.0, last=True)


@pytest.mark.parametrize(
    ("losses", "last"),
    [((1.0, 2e4, 2e4), False), ((1.0, 3.0, 2e4), True), ((1.0, math.nan), False), ((math.inf,), False)],
)
def test_losses_that_stay_far_above_or_are_not_finite_end_the_trial(losses, last):
    with pytest.raises(Diverged, match="step 7") as outcome:
        _check(*losses, last=last)
    assert outcome.value.step == 7


def test_a_divergence_travels_between_processes():
    received = pickle.loads(pickle.dumps(Diverged(7, "loss is nan")))
    assert (received.step, str(received)) == (7, "step 7: loss is nan")
