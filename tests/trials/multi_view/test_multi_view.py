"""The study of the patch model: what is learned first, and what moves the boundary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.trials.multi_view.multi_view_trials import ends_of, knobs, small, together
from tests.trials.multi_view.patch_oracles import WEIGHT, descended, training, written
from trials.core.context import TrialContext
from trials.core.rows import checked
from trials.multi_view.fresh_samples import accuracies, fresh_factor
from trials.multi_view.knobs import MultiViewKnobs
from trials.multi_view.measurements import MEASUREMENTS
from trials.multi_view.noise import drawn, geometry
from trials.multi_view.recipe import TOGETHER, run

ONLINE = {"augmentation": "views_fresh_noise", "augmentation_draws": "every_step", "dimension": 10**9}


def factor_after(trial: MultiViewKnobs, steps: int, **how: bool) -> torch.Tensor:
    """Return the factor of fresh noise after some steps."""
    begin = training(trial)
    ends, directions = (begin.place.point, begin.after(steps).place.point), geometry(trial.noise, drawn(trial))
    return fresh_factor(directions, begin.projected, *ends, trial.initial_scale, trial.dimension, **how)


def test_projections_follow_the_closed_form_while_it_is_small() -> None:
    rows = list(run(knobs(seed=1), TrialContext()))
    errors = [row["ode_rel_err_view"] for row in rows if row["view"] == 1 and row["ode_rel_err_view"] is not None]
    assert len(errors) > 5
    assert max(errors) < 0.1


def test_rare_views_are_learned_or_not() -> None:
    """One exponent of the transition, in seconds."""
    last = ends_of("transition", "axes.exponent=[3]", "axes.noise_magnitude=[1,6]", "axes.seed=range(3)")
    by_noise = last.groupby("noise_magnitude")
    assert (by_noise["train_acc"].mean() >= 0.99).all()
    assert by_noise["test_acc_rare_mean"].mean()[1] > 0.95
    assert by_noise["test_acc_rare_mean"].mean()[6] < 0.65


def test_a_linear_network_learns_all_at_once() -> None:
    last = ends_of("transition", "axes.exponent=[1]", "axes.noise_magnitude=[0.5,4]", "axes.seed=range(2)")
    assert (last["test_acc_rare_mean"] > 0.99).all()


def test_normal_noise_has_the_same_two_phases() -> None:
    last = ends_of("gaussian", "axes.noise_magnitude=[1,4]", "axes.seed=range(2)")
    means = last.groupby("noise_magnitude")["test_acc_rare_mean"].mean()
    assert means[1] > 0.95
    assert means[4] < 0.65


@pytest.mark.parametrize(
    "changes",
    [
        {"noise": "gaussian"},
        {"augmentation": "views_shared_noise"},
        {"exponent": 2, "flat_phase": "closed_form"},
        {"views": 1, "patches": 3, "spurious_magnitude": 3.0},
        {"augmentation": "views_fresh_noise", "augmentation_draws": "every_step", "dimension": 10**7},
        {"augmentation": "views_shared_noise", "augmentation_draws": "every_step", "noise": "gaussian"},
    ],
    ids=str,
)
def test_trials_together_equal_trials_alone(changes: dict[str, Any]) -> None:
    trials = [small(noise_magnitude=noise, **changes) for noise in (1.0, 2.0, 4.0)]
    assert len({TOGETHER.key(trial) for trial in trials}) == 1
    apart = [list(checked(run(trial, TrialContext()), MEASUREMENTS)) for trial in trials]
    for alone, several in zip(apart, together(trials), strict=True):
        for one, other in zip(alone, several, strict=True):
            for name, value in one.items():
                number = isinstance(value, float)
                assert other[name] == (pytest.approx(value, rel=1e-12, abs=1e-12) if number else value), name


def test_copies_that_steps_draw_go_together_only_with_their_like() -> None:
    key = TOGETHER.key
    assert key(knobs(**ONLINE)) == key(knobs(**ONLINE, seed=1, noise_magnitude=3.0))
    others = [{**ONLINE, "augmentation": "fresh_noise"}, {**ONLINE, "augmentation_copies": 2}, {}]
    assert len({key(knobs(**other)) for other in [ONLINE, *others]}) == 4


def test_normal_noise_trains_together_only_where_it_is_the_same() -> None:
    key = TOGETHER.key
    assert key(knobs(seed=0)) == key(knobs(seed=1))
    assert key(knobs(seed=0, noise="gaussian")) != key(knobs(seed=1, noise="gaussian"))


def test_one_copy_gives_the_rows_of_no_augmentation() -> None:
    arms = (small(augmentation=arm, augmentation_copies=1) for arm in ("views_fresh_noise", "none"))
    one, none = (list(run(trial, TrialContext())) for trial in arms)
    assert one == none


@pytest.mark.parametrize("exponent", [2, 3, 4])
def test_the_closed_form_of_the_flat_phase_leads_to_the_same_end(exponent: int) -> None:
    plain = small(views=5, exponent=exponent, initial_scale=0.02, noise_magnitude=0.5)
    stepped, skipped = (list(run(replace(plain, flat_phase=way), TrialContext())) for way in ("steps", "closed_form"))
    assert skipped[0]["step"] > 10
    for one, other in zip(stepped[-plain.views :], skipped[-plain.views :], strict=True):
        assert one["time_view_half"] == pytest.approx(other["time_view_half"], rel=0.03)
        assert one["test_acc_view"] == other["test_acc_view"]
        assert one["proj_view_max"] == pytest.approx(other["proj_view_max"], rel=0.03)


def test_normal_fresh_noise_has_the_covariance_of_the_weights() -> None:
    trial = small(noise="gaussian", dimension=400)
    weights = descended(written(trial), trial, steps=150)[WEIGHT]
    factor = factor_after(trial, 150)
    torch.testing.assert_close(factor @ factor.T, weights @ weights.T / 400, rtol=1e-9, atol=1e-12)


def test_overlapping_fresh_noise_has_the_covariance_of_the_weights() -> None:
    trial = small(dimension=20_000, test_noise_overlaps=True)
    weights = descended(written(trial), trial, steps=150)[WEIGHT]
    factor = factor_after(trial, 150, overlaps=True)
    size = (weights @ weights.T / 20_000).diagonal().mean()
    # Weights beyond the training set are 20,000 normal numbers, whose products are known to about 1 %.
    torch.testing.assert_close(factor @ factor.T / size, weights @ weights.T / 20_000 / size, rtol=0, atol=0.04)


def test_fresh_noise_that_overlaps_changes_the_test_and_nothing_else() -> None:
    apart, overlapping = together([small(noise_magnitude=3.0, test_noise_overlaps=how) for how in (False, True)])
    tested = {name for name in MEASUREMENTS if name.endswith("_acc") or name.startswith("test_acc")} - {"train_acc"}
    for one, other in zip(apart, overlapping, strict=True):
        assert {**one, **dict.fromkeys(tested)} == {**other, **dict.fromkeys(tested)}
    assert apart[-1]["test_acc_rare_mean"] != overlapping[-1]["test_acc_rare_mean"]


def test_an_output_of_zero_is_an_error() -> None:
    nothing = torch.zeros(8, 5, dtype=torch.float64)
    assert accuracies(torch.eye(5, dtype=torch.float64), nothing, torch.zeros(10, 1, 8).double(), 3).eq(0).all()


def test_training_that_is_cut_short_says_so() -> None:
    rows = list(run(small(steps=25), TrialContext()))
    assert rows[-1]["step"] == rows[-1]["steps_run"] == 25
    assert rows[-1]["stopped_by"] == "steps"
    assert rows[0]["step"] == 0
    assert rows[0].get("test_acc_view") is None


def test_the_step_length_follows_the_rule_and_no_arm_of_augmentation() -> None:
    assert knobs(noise_magnitude=6.0).learning_rate == pytest.approx(5 / 36)
    assert knobs(exponent=2).learning_rate == pytest.approx(0.2)
    assert knobs(exponent=4).learning_rate == pytest.approx(20)
    assert knobs(exponent=4, noise_magnitude=3.0).learning_rate == pytest.approx(200 / 27)  # the rule's 11 overshoots
    assert knobs(augmentation="fresh_noise").learning_rate == knobs().learning_rate


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rare_share": 0.3}, "rare_share=0.3 of samples=200 leaves one of views=5 no sample"),
        ({"rare_share": 0.001}, "rare_share=0.001 of samples=200 leaves one of views=5 no sample"),
        ({"dimension": 100}, "dimension=100 has no room for 205 orthonormal directions"),
        ({"dimension": 3, "noise": "gaussian"}, "dimension=3 has no room for 5 orthonormal features"),
        ({"noise": "gaussian", "flat_phase": "closed_form"}, "flat_phase=closed_form needs noise=orthonormal"),
        (
            {"flat_phase": "closed_form", **ONLINE},
            "flat_phase=closed_form needs augmentation_draws=once, got every_step",
        ),
        ({"noise": "gaussian", **ONLINE}, "every_step with new noise needs noise=orthonormal, got gaussian"),
        ({**ONLINE, "dimension": 2000}, "dimension=2000 has no room for 32000205 orthonormal directions"),
        (
            {"augmentation": "fresh_noise", "augmentation_draws": "daily"},
            "augmentation_draws='daily' is not one of once",
        ),
        ({"learning_rate_factor": 100}, "learning_rate_factor=100 overshoots: at most 10 for exponent=3, samples=200"),
        ({"augmentation": "views_fresh_noise", "augmentation_copies": 6}, "augmentation_copies=6 exceeds views=5"),
        ({"spurious_magnitude": 1}, "patches=2 leaves no room for view, noise and spurious feature"),
        ({"minority_share": 0.6}, "minority_share must be at most 0.5, got 0.6"),
        ({"noise": "gaussian", "test_noise_overlaps": True}, "test_noise_overlaps needs noise=orthonormal, drawn once"),
        ({**ONLINE, "test_noise_overlaps": True}, "test_noise_overlaps needs noise=orthonormal, drawn once"),
        ({"exponent": 5}, "exponent=5 is not one of 1, 2, 3, 4"),
        ({"threshold": 2}, "threshold must be at most 1, got 2.0"),
        ({"noise": "uniform"}, "noise='uniform' is not one of orthonormal, gaussian"),
    ],
)
def test_what_makes_no_training_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        knobs(**changes)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
