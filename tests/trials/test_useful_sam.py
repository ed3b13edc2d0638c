"""Sharpness-aware minimisation on the patch model: its gradients in closed form, and what SAM does to two features.

Claims and thresholds are those of the model's theory (arXiv 2404.17768) and of what was measured with its constants.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from trials.core.context import TrialContext
from trials.core.linearisation import linearised
from trials.core.losses.classification import MARGIN_LOSSES
from trials.core.streams import generator
from trials.core.training.batches import Batch
from trials.core.training.directions import SharpnessAware, plain
from trials.core.training.plain import PlainLoss
from trials.useful_sam.knobs import UsefulKnobs
from trials.useful_sam.recipe import FILTERS, drawn, outputs_of, run

CPU, CONTEXT = torch.device("cpu"), TrialContext()
LOGISTIC = MARGIN_LOSSES["logistic"]
SMALL = UsefulKnobs(steps=40, samples=60, dimensions=12)


def _filters(seed: int, size: float = 0.3) -> torch.Tensor:
    return size * torch.randn(10, 50, generator=generator(seed, "filters"), dtype=torch.float64)


def _pushes(examples, filters: torch.Tensor, at: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return -dL/dw along the two features by the formulas, (filters,) each, samples weighted as at `at`."""
    knobs, outputs = UsefulKnobs(), outputs_of({FILTERS: filters if at is None else at}, examples.inputs)[:, 0]
    shares = torch.sigmoid(-examples.labels * outputs)
    easy = 3 * knobs.beta_easy**3 * shares[examples.easy].sum() / len(shares) * filters[:, 0].square()
    hard = 3 * knobs.beta_hard**3 * shares.sum() / len(shares) * filters[:, 1].square()
    return easy, hard


def _loss(examples) -> PlainLoss:
    batch = Batch(torch.arange(len(examples.labels)), lambda rows: (examples.inputs[rows], examples.labels[rows]))
    return PlainLoss(outputs_of, LOGISTIC, batch)


def test_gradients_along_the_features_are_those_of_the_formulas() -> None:
    examples, filters = drawn(UsefulKnobs(), "train", CPU), _filters(0)
    gradient = plain(_loss(examples), {FILTERS: filters}, 0).gradient[FILTERS]
    for axis, push in enumerate(_pushes(examples, filters)):
        torch.testing.assert_close(-gradient[:, axis], push, rtol=1e-12, atol=1e-15)
        assert bool((gradient[:, axis] <= 0).all())  # neither alignment ever falls by gradient descent


@pytest.mark.parametrize("seed", range(5))
def test_a_sharpness_aware_step_evens_the_features_out_as_its_closed_form_says(seed: int) -> None:
    examples, filters, rho = drawn(UsefulKnobs(seed=seed), "train", CPU), _filters(seed), 0.1
    loss = _loss(examples)
    gradient = plain(loss, {FILTERS: filters}, 0).gradient[FILTERS]
    up = filters + rho * gradient / gradient.norm()
    easy, hard = _pushes(examples, filters)
    factor = (
        (1 - rho * hard / filters[:, 1] / gradient.norm()) / (1 - rho * easy / filters[:, 0] / gradient.norm())
    ) ** 2
    moved_easy, moved_hard = _pushes(examples, up, at=filters)  # weights of samples as at the unperturbed point
    torch.testing.assert_close((moved_hard / moved_easy) / (hard / easy), factor, rtol=1e-9, atol=0)
    told = SharpnessAware(rho)(loss, {FILTERS: filters}, 0).gradient[FILTERS]
    torch.testing.assert_close(told, plain(loss, {FILTERS: up}, 0).gradient[FILTERS], rtol=1e-9, atol=1e-15)


def test_on_the_linearisation_a_sharpness_aware_step_evens_nothing_out() -> None:
    examples = drawn(UsefulKnobs(), "train", CPU)
    filters = {FILTERS: _filters(0, size=0.1)}
    model = linearised(outputs_of, filters)
    loss = PlainLoss(model, LOGISTIC, _loss(examples).batch)
    descent, aware = (direction(loss, filters, 0).gradient[FILTERS] for direction in (plain, SharpnessAware(0.1)))
    factors = (aware[:, 1] / aware[:, 0]) / (descent[:, 1] / descent[:, 0])
    assert bool(((factors >= 0.98) & (factors <= 1.0)).all())


def test_a_distance_of_nothing_is_gradient_descent_and_intervals_beyond_the_end_are_one_training() -> None:
    rows = list(run(SMALL, CONTEXT))
    assert rows != list(run(replace(SMALL, sam_rho=0.1), CONTEXT))
    assert replace(SMALL, feature_update_interval=10_000) == replace(SMALL, feature_update_interval=SMALL.steps)
    filters = 0.1 * torch.randn(
        SMALL.filters, SMALL.dimensions, generator=generator(0, "initialisation"), dtype=torch.float64
    )
    loss = _loss(drawn(SMALL, "train", CPU))
    for step in range(SMALL.steps + 1):
        if step in (0, 1, 2, 5, 10, 40):
            row = next(row for row in rows if row["step"] == step)
            assert (row["align_easy"], row["align_hard"]) == (float(filters[:, 0].max()), float(filters[:, 1].max()))
        filters = torch.sub(filters, plain(loss, {FILTERS: filters}, step).gradient[FILTERS], alpha=SMALL.learning_rate)


@pytest.mark.parametrize("patches", [2, 3, 5])
def test_every_example_has_its_features_in_patches_of_their_own(patches: int) -> None:
    examples = drawn(UsefulKnobs(patches=patches), "train", CPU)
    along = examples.inputs[..., :2] * examples.labels[:, None, None]
    assert torch.equal(
        along.amax(1), torch.stack([examples.easy.double(), torch.full((600,), 0.2, dtype=torch.float64)], 1)
    )
    assert torch.equal((along != 0).sum((1, 2)), 1 + examples.easy.long())
    featured = (along != 0).any(2)
    assert not bool(examples.inputs[featured][:, 2:].any())
    assert 0.85 < float(examples.easy.double().mean()) < 0.95


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_descent_learns_the_easy_feature_first_and_has_less_of_the_difficult_one_by_then(seed: int) -> None:
    paths = {}
    for rho in (0.0, 0.1, 0.2):
        rows = list(run(UsefulKnobs(seed=seed, sam_rho=rho), CONTEXT))
        easy, hard = (np.array([row[name] for row in rows]) for name in ("align_easy", "align_hard"))
        reached = int(np.argmax(easy >= 1))
        assert easy[reached] >= 1
        paths[rho] = rows[reached]["step"], float(np.interp(1, easy[: reached + 1], hard[: reached + 1]))
    assert paths[0.0][0] < paths[0.1][0] < paths[0.2][0]
    assert paths[0.0][1] < paths[0.2][1]
