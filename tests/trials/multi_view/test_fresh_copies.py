"""Copies that every step draws anew: the same training as on weights, and the draws that it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.trials.multi_view.patch_oracles import WEIGHT, Training, Written, stepped, training, written
from trials.core.context import TrialContext
from trials.multi_view.fresh_copies import FreshCopies, drawn_noise, drawn_transforms
from trials.multi_view.knobs import MultiViewKnobs
from trials.multi_view.patches import patch_set
from trials.multi_view.recipe import run, run_many

ROOM = 10**9
SMALL: dict[str, Any] = {"samples": 40, "rare_share": 0.1, "channels": 8, "initial_scale": 0.05, "test_samples": 100}


def knobs(**changes: Any) -> MultiViewKnobs:
    tiny = {"samples": 12, "views": 3, "rare_share": 0.25, "channels": 5, "noise_magnitude": 1.5, "initial_scale": 0.2}
    settings = {**tiny, "augmentation_draws": "every_step", "dimension": ROOM, **changes}
    return MultiViewKnobs(**settings)


def copies_of(online: Training) -> FreshCopies:
    assert isinstance(online.group.samples, FreshCopies)
    return online.group.samples


def lasting(trial: MultiViewKnobs) -> int:
    """Return the number of directions that all steps have in common."""
    return trial.shape.features + trial.shape.noises * trial.shape.draws


def written_at(trial: MultiViewKnobs, data: Written, step: int) -> Written:
    """Return originals and copies of a step, sample by sample; fresh noise lies along axes that no other step has."""
    copies, noises = trial.copies - 1, trial.shape.noises
    picked = drawn_transforms(trial.seed, step, trial.samples, copies, len(trial.drawn_shifts))
    axes = lasting(trial) + step * noises * trial.passing_draws + torch.arange(noises * trial.passing_draws)
    axes = axes.reshape(noises, -1, trial.samples)
    inputs = list(data.inputs)
    for copy in range(copies):
        for sample, label in enumerate(data.labels):
            one = data.inputs[sample].clone()
            view = int(one[0].abs().argmax()) + trial.drawn_shifts[int(picked[sample, copy])]
            one[0] = label * data.patches[view % trial.views]
            if trial.passing_draws:
                one[-noises:] = 0
                one[range(-noises, 0), axes[:, copy, sample]] = label * patch_set(trial).noise_magnitudes
            inputs.append(one)
    return data._replace(inputs=torch.stack(inputs), labels=data.labels.repeat(trial.copies))


def met_at(trial: MultiViewKnobs, step: int) -> Tensor:
    """Return what the first weights are along the axes of a step's fresh noise: channels x axes."""
    met = drawn_noise(trial.seed, step, trial.samples, trial.copies - 1, trial.channels, trial.shape.noises)
    return trial.initial_scale * met.flatten(1)


SETTINGS = [
    {"augmentation": "views_fresh_noise"},
    {"augmentation": "fresh_noise", "augmentation_copies": 2},
    {"augmentation": "views_shared_noise", "augmentation_copies": 5},
    {"augmentation": "views_shared_noise", "noise": "gaussian"},
    {"augmentation": "views_fresh_noise", "patches": 4, "spurious_magnitude": 2.0, "background_magnitude": 0.7},
]


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_descent_on_projections_is_descent_on_weights(setting: dict[str, Any]) -> None:
    steps = 60
    trial = knobs(steps=steps, **setting)
    trial = replace(trial, dimension=lasting(trial) + 40 + trial.passing_draws * trial.shape.noises * steps)
    data = written(trial)
    weights = data.weights[WEIGHT]
    if trial.passing_draws:
        met = torch.cat([met_at(trial, step) for step in range(steps)], dim=1)
        weights[:, lasting(trial) : lasting(trial) + met.shape[1]] = met
    for step in range(steps):
        weights = stepped(weights, written_at(trial, data, step), trial)
    begin = training(trial)
    first, last = begin.projections(), begin.after(steps).projections()
    torch.testing.assert_close(last, weights @ data.patches.T, rtol=0, atol=1e-12)
    assert (last - first).abs().max() > 0.3  # out of the flat phase


@pytest.mark.parametrize("noise", ["orthonormal", "gaussian"])
def test_copies_that_change_nothing_leave_training_as_it_is(noise: str) -> None:
    alike = {**SMALL, "views": 1, "noise": noise, "dimension": 300}
    online = knobs(**alike, augmentation="views_shared_noise", augmentation_copies=3)
    plain = knobs(**alike, augmentation="none")
    assert online.draws_every_step
    for one, other in zip(run(online, TrialContext()), run(plain, TrialContext()), strict=True):
        assert one.keys() == other.keys()
        for name, value in other.items():
            number = isinstance(value, float)
            assert one[name] == (pytest.approx(value, rel=1e-12, abs=1e-12, nan_ok=True) if number else value), name


def test_the_original_alone_has_nothing_to_draw() -> None:
    online, once = (knobs(augmentation="fresh_noise", augmentation_copies=1, augmentation_draws=when)
                    for when in ("every_step", "once"))  # fmt: skip
    assert online == once
    assert knobs(augmentation="none").fingerprint() == replace(knobs(), augmentation_draws="once").fingerprint()


def test_a_draw_is_of_its_seed_step_copy_and_sample_and_of_nothing_else() -> None:
    noise, few = drawn_noise(3, 7, 20, 2, 5, 2), drawn_noise(3, 7, 8, 1, 5, 2)
    assert torch.equal(few, noise[..., :8])
    assert torch.equal(drawn_transforms(3, 7, 8, 1, 4), drawn_transforms(3, 7, 20, 2, 4)[:8, :1])
    others = [drawn_noise(4, 7, 20, 2, 5, 2), drawn_noise(3, 8, 20, 2, 5, 2), noise[..., 20:], noise.roll(1, 2)]
    for other in others:
        assert (other[..., :20] != noise[..., :20]).all()
    assert (drawn_transforms(3, 8, 20, 2, 4) != drawn_transforms(3, 7, 20, 2, 4)).any()


def test_drawn_noise_is_normal_and_transforms_are_equally_frequent() -> None:
    noise = torch.cat([drawn_noise(0, step, 100, 4, 8, 1) for step in range(30)], dim=2).flatten(1)
    count = noise.shape[1]
    assert (noise @ noise.T / count - torch.eye(8)).abs().max() < 5 * (2 / count) ** 0.5
    assert noise.mean(1).abs().max() < 5 / count**0.5
    assert noise.pow(4).mean().item() == pytest.approx(3, abs=5 * (96 / noise.numel()) ** 0.5)
    drawn_often = torch.cat([drawn_transforms(0, step, 100, 4, 3) for step in range(30)]).flatten()
    assert drawn_often.bincount() / len(drawn_often) == pytest.approx([1 / 3] * 3, abs=0.02)


def test_training_that_goes_on_draws_what_it_would_have_drawn() -> None:
    trials = [knobs(augmentation="views_fresh_noise", seed=seed) for seed in range(2)]
    whole, part = training(*trials).after(20), training(*trials).after(12)
    resumed = training(*trials)._replace(place=part.place, step=part.step).after(8)
    assert all(torch.equal(resumed.projections(lane), whole.projections(lane)) for lane in range(2))


def test_trainings_together_draw_each_its_own() -> None:
    trials = [knobs(augmentation="views_fresh_noise", seed=seed) for seed in range(2)]
    both = training(*trials).after(9)
    for lane, trial in enumerate(trials):
        alone = training(trial).after(9).projections()
        torch.testing.assert_close(both.projections(lane), alone, rtol=0, atol=1e-14)


def test_the_loss_is_the_mean_over_all_transforms() -> None:
    online = training(knobs(augmentation="views_shared_noise", augmentation_copies=2)).after(25)
    copies, point = copies_of(online), online.place.point
    each = [replace(copies, transformed=one).alignments for one in copies.transformed.split(1, dim=3)]
    assert len(each) == 2
    alone = torch.stack([online.projected.losses(point, alignments) for alignments in each])
    assert alone.std() > 0.01
    torch.testing.assert_close(online.losses, alone.mean(0), rtol=1e-14, atol=0)


def test_a_step_s_loss_is_on_average_the_mean_over_all_transforms() -> None:
    online = training(knobs(augmentation="views_shared_noise", augmentation_copies=2)).after(25)
    copies, point = copies_of(online), online.place.point
    losses = torch.cat([online.projected.losses(point, copies.at(step)[0]) for step in range(400)])
    assert losses.std() > 0
    assert losses.mean().item() == pytest.approx(online.losses.item(), abs=4 * losses.std().item() / 20)


@pytest.mark.parametrize("arm", ["views_fresh_noise", "views_shared_noise", "fresh_noise"])
def test_as_many_copies_as_views_expect_the_set_that_is_drawn_once(arm: str) -> None:
    online, fixed = (training(knobs(augmentation=arm, augmentation_draws=when)) for when in ("every_step", "once"))
    arrivals = fixed.group.told.arrivals(0.5)
    for name, expected in online.group.told.arrivals(0.5).items():
        torch.testing.assert_close(expected, arrivals[name][:, : expected.shape[1]], rtol=1e-12, atol=0)
    torch.testing.assert_close(online.group.told.ratios, fixed.group.told.ratios, rtol=1e-12, atol=0)
    if arm == "views_shared_noise":  # the same samples, noise and all
        torch.testing.assert_close(online.losses, fixed.losses, rtol=1e-12, atol=0)


def accuracies(arm: str, when: str) -> list[float]:
    """Return the accuracies on rare views of three seeds below the boundary of every arm."""
    settings = {**SMALL, "views": 5, "noise_magnitude": 4.0, "augmentation": arm, "augmentation_draws": when}
    ends: dict[int, Any] = {}
    for index, row in run_many([knobs(**settings, seed=seed) for seed in range(3)], TrialContext()):
        assert isinstance(row, Mapping)
        ends[index] = row
    assert all(row["stopped_by"] == "loss" for row in ends.values())
    return [row["test_acc_rare_mean"] for row in ends.values()]


def test_noise_that_is_never_met_again_is_not_memorised() -> None:
    once, online = (accuracies("fresh_noise", when) for when in ("once", "every_step"))
    assert max(once) < 0.75
    assert min(online) > 0.95


@pytest.mark.slow
def test_views_drawn_at_every_step_are_learned_no_less_than_all_of_them_at_once() -> None:
    once, online = (accuracies("views_shared_noise", when) for when in ("once", "every_step"))
    assert sum(online) >= sum(once) - 0.06
