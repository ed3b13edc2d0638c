"""Estimates of time, held to trials whose times are known."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from analysis.store.checkpoints import Checkpoint
from analysis.store.results import Results
from raysweep.k_phase_diagram import STUDY
from raysweep.service.commands.configuration import read_settings
from raysweep.service.commands.printed.expectations import needed, resumption
from raysweep.service.driver.estimates import Estimates, total_of
from raysweep.service.driver.forecast import Forecast
from raysweep.service.messages import PlannedTrial, TrialReport
from trials.core.checkpoints import LAYOUT
from trials.k_phase_diagram.knobs import KPhaseKnobs


def columns(**knobs: Any) -> Mapping[str, Any]:
    return KPhaseKnobs(**knobs).columns()


def planned(**knobs: Any) -> PlannedTrial:
    trial = KPhaseKnobs(**knobs)
    return PlannedTrial(trial_id=STUDY.trial_id(trial), knobs=trial)


def told(*trials: tuple[Mapping[str, Any], float, int]) -> Estimates:
    estimates = Estimates(STUDY)
    for knobs, seconds, rows in trials:
        estimates.tell(knobs, seconds, rows)
    return estimates


def test_seeds_and_real_numbers_cost_nothing_and_the_rest_does() -> None:
    estimates = told(*((columns(seed=seed, width=64), 4.0, 20) for seed in range(5)))
    alike = estimates.of(columns(seed=9, width=64, learning_rate=0.5, damping=0.0))
    assert alike is not None
    assert alike.seconds == 4.0
    assert 3.0 < alike.low < 4.0 < alike.high < 6.0
    for other in ({"width": 65}, {"width": 64, "optimizer": "adam"}, {"width": 64, "batch_size": 16}):
        assert estimates.of(columns(**other)) is None


def test_the_nearest_value_of_the_main_knob_is_taken_with_a_wider_range() -> None:
    estimates = told((columns(feature_update_interval=8), 2.0, 20), (columns(feature_update_interval=512), 9.0, 20))
    near, equal = (estimates.of(columns(feature_update_interval=value)) for value in (16, 8))
    assert near is not None and equal is not None
    assert near.seconds == equal.seconds == 2.0
    assert near.spread > equal.spread


def test_other_lengths_are_scaled_by_steps_and_rows() -> None:
    """A trial of 1 ms a step and 50 ms a row, with as many rows a decade, told at two lengths, is known at a third."""
    rows = {100: 20, 1000: 30, 10_000: 40}
    seconds = {steps: 0.001 * steps + 0.05 * count for steps, count in rows.items()}
    estimates = told(*((columns(steps=steps), seconds[steps], rows[steps]) for steps in (100, 1000)))
    longer = estimates.of(columns(steps=10_000))
    assert longer is not None
    assert longer.seconds == pytest.approx(seconds[10_000])
    alone = told((columns(steps=100), seconds[100], rows[100])).of(columns(steps=10_000))
    assert alone is not None
    assert alone.low < seconds[10_000] < alone.high


def test_a_plan_says_from_how_many_and_what_is_not_known() -> None:
    settings = read_settings(STUDY, ["space=smoke", "executor=serial"])
    estimates = told(*((columns(seed=seed), 10.0, 20) for seed in range(4)))
    trials = [planned(seed=seed) for seed in range(10, 16)]
    assert (
        needed(total_of(estimates, trials), 0.0, settings) == "about 48 to 75 s of training, from 4 trials of like cost"
    )
    assert needed(total_of(estimates, trials), 40.0, settings).startswith("about 8 to 35 s")
    with_another = needed(total_of(estimates, [*trials, planned(width=7)]), 0.0, settings)
    assert with_another.endswith("; that of 1 others is not known")
    assert needed(total_of(Estimates(STUDY), trials), 0.0, settings).startswith("time not known")


def test_what_is_left_follows_the_trials_of_this_run() -> None:
    """Stored trials came from a machine twice as fast; the long trials, which are to come, have not run here yet."""
    short, long = ([planned(steps=steps, seed=seed) for seed in range(4)] for steps in (100, 1000))
    stored = told(*((trial.knobs.columns(), 1.0, 20) for trial in short), *((t.knobs.columns(), 8.0, 30) for t in long))
    forecast = Forecast(stored, [*short, *long])
    before = forecast.left(8)
    assert before is not None
    assert before.seconds == pytest.approx(36.0)
    forecast.tell(TrialReport(trial_id=t.trial_id, outcome="finished", wall_seconds=2.0) for t in short)
    after = forecast.left(4)
    assert after is not None
    assert after.seconds == pytest.approx(64.0)
    half = forecast.left(2)
    assert half is not None
    assert half.seconds == pytest.approx(32.0)


def test_checkpoints_of_another_layout_save_nothing(tmp_path: Any) -> None:
    checkpoints = Results(tmp_path).checkpoints(STUDY.name)
    trials = [planned(seed=seed) for seed in range(4)]
    rows = [{"step": 0, "note": "x" * 200_000}]  # a header longer than what is read of it first
    for place, (trial, layout) in enumerate(zip(trials, (LAYOUT, LAYOUT - 1, LAYOUT), strict=False)):
        checkpoints.write(trial.trial_id, Checkpoint(5, {}, rows if place else [], 30.0, layout))
    shorter = trials[2].trial_id
    goes_on = [(trials[0].trial_id,), (trials[1].trial_id,), (), (trials[3].trial_id, shorter)]
    asked = [dataclasses.replace(trial, goes_on_from=names) for trial, names in zip(trials, goes_on, strict=True)]
    saved = resumption(asked, checkpoints)
    assert (saved.own, saved.longer, saved.seconds) == (1, 1, 60.0)
    assert saved.line.startswith(
        "of these, 1 go on from their own checkpoint and 1 go on from a shorter one, which saves"
    )
    assert resumption(asked[1:3], checkpoints).line == ""
