"""Learning times of the patch model: gradient descent on the study's space of them against the closed forms."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest

from tests.trials.multi_view.multi_view_trials import ends, trials_of
from trials.multi_view.knobs import MultiViewKnobs
from trials.multi_view.noise import drawn, geometry
from trials.multi_view.patches import patch_set


@pytest.fixture(scope="module")
def learned() -> pd.DataFrame:
    """Return the last rows of the learning times at q = 1 to 3, a row each view."""
    return ends(trial for trial in trials_of("learning_times") if trial.exponent < 4)


@pytest.mark.parametrize(("exponent", "tolerance"), [(1, 0.1), (2, 0.1), (3, 0.05)])
def test_what_is_learned_first_is_learned_when_the_closed_form_says(
    learned: pd.DataFrame, exponent: int, tolerance: float
) -> None:
    quiet = learned[(learned["exponent"] == exponent) & (learned["noise_magnitude"] == 1)]
    assert quiet["seed"].nunique() == 5
    assert_first_is_learned_in_time(quiet, tolerance)


@pytest.mark.slow
def test_at_q_4_views_are_learned_when_the_closed_form_says() -> None:
    # All views are learned long before the loss is at its target.
    last = ends(trial for trial in trials_of("learning_times", "target_loss=0.03") if trial.exponent == 4)
    assert last["seed"].nunique() == 5
    assert_first_is_learned_in_time(last, 0.05)
    later = last[last["view"] > 1]  # no other view nor noise has anything to do with them at this noise
    assert later["time_view_half"].to_numpy() == pytest.approx(later["time_view_half_pred"].to_numpy(), rel=0.02)


def assert_first_is_learned_in_time(last: pd.DataFrame, tolerance: float) -> None:
    """Check that each trial learns the common view first, and then."""
    first = last.loc[last.groupby("trial_id")["time_view_half"].idxmin()]
    assert (first["view"] == 1).all()
    assert (first["time_view_half"] < first["time_noise_half_median"]).all()
    measured, expected = first["time_view_half"].to_numpy(), first["time_view_half_pred"].to_numpy()
    assert measured == pytest.approx(expected, rel=tolerance)


def test_a_linear_network_s_outputs_saturate_before_its_projections_arrive(learned: pd.DataFrame) -> None:
    """All channels add up, so the samples' weight is less than the 1/2 of the closed form: that is its whole error."""
    linear = {trial.seed: trial for trial in trials_of("learning_times") if trial.exponent == 1}
    for row in learned[(learned["exponent"] == 1) & (learned["view"] == 1)].to_dict("records"):
        trial = linear[row["seed"]]
        expected = saturated_time(trial)
        assert expected > 1.05 * row["time_view_half_pred"]
        assert 0.995 * expected <= row["time_view_half"] <= 1.005 * expected + trial.learning_rate


def saturated_time(trial: MultiViewKnobs) -> float:
    """Return when the common view's largest projection arrives at q = 1, where noise differs little between samples.

    Channels grow alike, dz/dt = rho g with g = sigmoid(-M). The margin M of the samples grows by C (rho + sigma^2/n) g,
    of which the view's part is rho. So M + e^M grows linearly. Derived here.
    """
    start = trial.initial_scale * geometry(trial.noise, drawn(trial)).features[:, 0]
    data = patch_set(trial)
    share = float(data.frequencies[0])
    both = share + trial.noise_magnitude**2 / trial.samples
    margin = float(start.sum())
    end = margin + trial.channels * (trial.threshold - float(start.max())) * both / share
    return (end - margin + math.exp(end) - math.exp(margin)) / (trial.channels * both)


def test_a_linear_network_grows_linearly_while_its_outputs_are_small() -> None:
    early = {"threshold": 0.005, "initial_scale": 0.001, "learning_rate_factor": 0.005, "target_loss": 0.68}
    linear = [replace(trial, **early) for trial in trials_of("learning_times") if trial.exponent == 1]  # type: ignore[arg-type]
    last = ends(linear)
    first = last[last["view"] == 1]
    assert len(first) == 5
    assert first["time_view_half"].to_numpy() == pytest.approx(first["time_view_half_pred"].to_numpy(), rel=0.02)


def test_where_noise_is_learned_first_the_closed_form_says_when(learned: pd.DataFrame) -> None:
    loud = learned[(learned["exponent"] == 3) & (learned["noise_magnitude"] == 6)]
    assert loud.loc[loud["view"] > 1, "time_view_half"].map(math.isinf).all()  # the rare views never are
    common = loud[loud["view"] == 1]
    noise_first = common[common["time_noise_half_median"] < common["time_view_half"]]
    assert len(common) == 5
    assert len(noise_first) >= 4  # one seed starts so near the common view that it comes first
    measured, expected = (noise_first[f"time_noise_half_median{which}"].to_numpy() for which in ("", "_pred"))
    assert measured == pytest.approx(expected, rel=0.05)
