"""Training on projections as a part of the core: its gradient, other steps on it, and checkpoints of the study."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.trials.core.test_checkpoints import BrokenOff, Memory
from tests.trials.multi_view.multi_view_trials import small
from tests.trials.multi_view.patch_oracles import training
from trials.core.context import TrialContext
from trials.core.losses.classification import MARGIN_LOSSES
from trials.core.training.batches import Batch
from trials.core.training.descent import Descent
from trials.core.training.places import Place
from trials.core.training.rules import RULES
from trials.multi_view.knobs import EXPONENTS, NOISES
from trials.multi_view.noise import NOISES as GEOMETRIES
from trials.multi_view.noise import drawn, geometry
from trials.multi_view.recipe import run

VARIANTS: list[dict[str, Any]] = [
    *({"exponent": exponent} for exponent in EXPONENTS),
    {"noise": "gaussian"},
    {"patches": 4, "background_magnitude": 0.7, "spurious_magnitude": 2.0},
    {"augmentation": "views_shared_noise"},
    {"augmentation": "fresh_noise", "augmentation_draws": "every_step", "dimension": 10**8},
]


def test_choices_are_what_there_is() -> None:
    assert set(NOISES) == set(GEOMETRIES)


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_the_gradient_is_that_of_the_logistic_loss_in_unit_directions(changes: dict[str, Any]) -> None:
    """Autograd's in the projections, spread by the patches' inner products, as weights move along patches."""
    trial = small(**changes)
    begin = training(trial, replace(trial, noise_magnitude=2.0))
    point = {name: (value * 3).requires_grad_() for name, value in begin.place.point.items()}
    batch = begin.group.sees(0)
    alignments, passing = batch.shown
    at = {**point, "noise": torch.cat([point["noise"], passing], 3)} if passing.numel() else point
    margins = begin.projected.forward(at, alignments)
    losses = [MARGIN_LOSSES["logistic"](each.flatten()[:, None], torch.ones(each.numel())) for each in margins]
    gradients = dict(zip(point, torch.autograd.grad(sum(losses), list(point.values())), strict=True))
    values = {name: value.detach() for name, value in point.items()}
    told = begin.projected.on(batch).slope(values).gradient
    norms = {
        "features": begin.projected.feature_magnitudes[:, None],
        "noise": begin.projected.noise_magnitudes[:, None, :, None],
    }
    gram = geometry(trial.noise, drawn(trial)).gram
    along = torch.cat([(gradients[name] * norms[name]).flatten(2) for name in point], 2)
    spread = along if gram is None else along @ gram
    count = values["features"].shape[2]
    expected = {"features": spread[..., :count], "noise": spread[..., count:].unflatten(2, values["noise"].shape[2:])}
    for name in told:
        torch.testing.assert_close(told[name], expected[name] * norms[name], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_the_usual_descent_takes_the_same_course(changes: dict[str, Any]) -> None:
    trial = small(**changes)
    begin = training(trial, replace(trial, noise_magnitude=2.0))
    end, place = begin.after(40), Place(begin.place.point, {})
    usual = Descent(rule=RULES["sgd"](0.0), rate=lambda step: begin.group.descent.rates)
    for step in range(40):
        place, _ = usual(begin.projected.on(begin.group.sees(step)), place, step)
    for name, value in end.place.point.items():
        torch.testing.assert_close(place.point[name], value, rtol=1e-11, atol=1e-13)


def test_samples_of_a_step_have_no_weights() -> None:
    begin = training(small())
    batch = begin.group.sees(0)
    assert isinstance(batch, Batch)
    with pytest.raises(TypeError, match="no weights"):
        begin.projected.on(batch).slope(begin.place.point, torch.ones(len(batch)))


@pytest.mark.parametrize(
    "changes",
    [
        {"target_loss": 0.4},
        {"exponent": 2, "flat_phase": "closed_form"},
        {"augmentation": "views_fresh_noise", "augmentation_draws": "every_step", "dimension": 10**8},
    ],
    ids=str,
)
def test_broken_off_anywhere_the_rows_are_those_of_an_undisturbed_run(changes: dict[str, Any]) -> None:
    trial = small(**{"samples": 20, "views": 3, "rare_share": 0.1, "steps": 30, "initial_scale": 0.3, **changes})
    undisturbed = list(run(trial, TrialContext()))
    first, last = undisturbed[0]["step"], undisturbed[-1]["step"]
    assert isinstance(first, int) and isinstance(last, int) and last > first
    for step in range(last - first + 1):
        memory, rows = Memory(break_at=step), []
        with pytest.raises(BrokenOff):
            rows.extend(run(trial, TrialContext(checkpoints=memory)))
        rows += run(trial, TrialContext(checkpoints=Memory(saved=memory.saved)))
        assert rows == undisturbed
