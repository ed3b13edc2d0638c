"""The patch model: gradient descent on projections against that on weights, and the closed forms of growth."""

from __future__ import annotations

import math

import pytest
import torch

from tests.trials.multi_view.patch_oracles import WEIGHT, descended, training, written
from trials.multi_view.forecast import grown, importance_ratio, learning_time
from trials.multi_view.knobs import EXPONENTS, MultiViewKnobs
from trials.multi_view.noise import drawn, geometry
from trials.multi_view.patches import activation, clamped_and_slope, patch_set


def knobs(**changes: object) -> MultiViewKnobs:
    small = {"samples": 30, "views": 4, "rare_share": 0.2, "channels": 6, "dimension": 200, "noise_magnitude": 1.5}
    return MultiViewKnobs(**{**small, "initial_scale": 0.1, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_the_slope_is_the_activation_s_derivative(exponent: int) -> None:
    z = torch.linspace(-3, 3, 601, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(activation(z, exponent).sum(), z)
    expected = z.detach().abs().clamp(max=1) ** (exponent - 1)
    torch.testing.assert_close(clamped_and_slope(z.detach(), exponent)[1], expected, rtol=0, atol=1e-12)
    away = (z.detach().abs() - 1).abs() > 1e-9  # autograd's clamp and sign have derivatives of their own at the kinks
    torch.testing.assert_close(slope[away], expected[away], rtol=0, atol=1e-12)


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_the_activation_is_odd_and_has_its_published_pieces(exponent: int) -> None:
    z = torch.linspace(0, 3, 301, dtype=torch.float64)
    pieces = torch.where(z <= 1, z**exponent / exponent, z - (exponent - 1) / exponent)
    torch.testing.assert_close(activation(z, exponent), pieces, rtol=0, atol=1e-14)
    torch.testing.assert_close(activation(-z, exponent), -pieces, rtol=0, atol=1e-14)


SETTINGS = [
    {},
    {"exponent": 1},
    {"exponent": 2},
    {"exponent": 4, "learning_rate_factor": 0.5},
    {"augmentation": "views_fresh_noise"},
    {"augmentation": "views_shared_noise"},
    {"augmentation": "fresh_noise", "augmentation_copies": 2},
    {"views": 1, "patches": 3, "spurious_magnitude": 3.0, "minority_share": 0.2},
    {"patches": 4, "background_magnitude": 0.7},
]


@pytest.mark.parametrize("noise", ["orthonormal", "gaussian"])
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_gradient_descent_on_projections_is_gradient_descent_on_weights(noise: str, setting: dict[str, object]) -> None:
    trial = knobs(noise=noise, **setting)
    data = written(trial)
    weights = descended(data, trial, steps=300)[WEIGHT]
    at = training(trial).after(300).projections()
    torch.testing.assert_close(at, weights @ data.patches.T, rtol=0, atol=1e-12)
    assert (at - training(trial).projections()).abs().max() > 0.35  # out of the flat phase


@pytest.mark.parametrize("noise", ["orthonormal", "gaussian"])
def test_that_holds_until_all_is_learned(noise: str) -> None:
    trial = knobs(noise=noise, samples=60)
    data = written(trial)
    at, start = (training(trial).after(steps).projections() for steps in (400, 0))
    torch.testing.assert_close(at, descended(data, trial, steps=400)[WEIGHT] @ data.patches.T, rtol=0, atol=1e-12)
    assert (at - start).abs().max() > 2


@pytest.mark.parametrize("noise", ["orthonormal", "gaussian"])
def test_one_step_is_the_gradient_of_the_mean_loss(noise: str) -> None:
    trial = knobs(noise=noise)
    data = written(trial)
    stepped = descended(data, trial, steps=1)[WEIGHT] @ data.patches.T
    torch.testing.assert_close(training(trial).after(1).projections(), stepped, rtol=0, atol=1e-14)


def test_weights_move_only_within_the_span_of_the_patches() -> None:
    trial = knobs(noise="gaussian")
    data = written(trial)
    moved = descended(data, trial, steps=300)[WEIGHT] - data.weights[WEIGHT]
    basis, _ = torch.linalg.qr(data.patches.T)
    assert (moved - moved @ basis @ basis.T).abs().max() < 1e-12
    assert moved.abs().max() > 0.01


def test_the_spurious_feature_is_right_but_for_the_minority() -> None:
    data = patch_set(knobs(views=1, patches=3, spurious_magnitude=2.0, spurious_scale=0.5, minority_share=0.1))
    assert data.alignments[:, 0, 1].eq(-1).sum() == 3
    assert data.frequencies.tolist() == pytest.approx([1.0, 1 - 2 * 0.1])
    assert data.feature_magnitudes.tolist() == [1.0, 1.0]


def test_counts_are_the_shares_rounded() -> None:
    assert patch_set(knobs(samples=25, rare_share=0.1)).alignments.sum((0, 1)).tolist() == [16, 3, 3, 3]
    drawn_counts = patch_set(knobs(counts="multinomial", samples=150, rare_share=0.1)).alignments.sum((0, 1))
    assert drawn_counts.sum() == 150
    assert drawn_counts[0] == pytest.approx(105, abs=30)


@pytest.mark.parametrize(
    ("arm", "shares", "draws"),
    [
        ("none", (0.8, 0.05), 200),
        ("views_fresh_noise", (0.2, 0.2), 1000),
        ("views_shared_noise", (0.2, 0.2), 200),
        ("fresh_noise", (0.8, 0.05), 1000),
    ],
)
def test_augmentation_changes_frequencies_and_draws(arm: str, shares: tuple[float, float], draws: int) -> None:
    data = patch_set(MultiViewKnobs(augmentation=arm))
    assert data.frequencies[:2].tolist() == pytest.approx(shares)
    assert data.alignments.shape[0] == draws


def test_m_copies_average_m_shifted_shares() -> None:
    data = patch_set(MultiViewKnobs(augmentation="views_fresh_noise", augmentation_copies=2))
    assert data.frequencies.tolist() == pytest.approx([0.425, 0.425, 0.05, 0.05, 0.05])


@pytest.mark.parametrize("arm", ["views_fresh_noise", "views_shared_noise", "fresh_noise"])
def test_one_copy_is_no_augmentation(arm: str) -> None:
    for noise in ("orthonormal", "gaussian"):
        one, none = (
            training(knobs(noise=noise, augmentation=name, augmentation_copies=1)).after(100) for name in (arm, "none")
        )
        assert torch.equal(one.projections(), none.projections())


@pytest.mark.parametrize("start", [0.02, 0.3, -0.02, -0.3])
@pytest.mark.parametrize("exponent", EXPONENTS)
def test_closed_forms_solve_the_growth_law(exponent: int, start: float) -> None:
    rate, step = torch.tensor(0.3, dtype=torch.float64), 1e-3
    z, times = torch.tensor(start, dtype=torch.float64), torch.arange(4001) * step
    path = [z]
    for _ in times[1:]:
        middle = z + step / 2 * rate * clamped_and_slope(z, exponent)[1]
        z = z + step * rate * clamped_and_slope(middle, exponent)[1]
        path.append(z)
    expected = grown(torch.full_like(times, start, dtype=torch.float64), rate, times, exponent)
    torch.testing.assert_close(torch.stack(path), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_the_learning_time_is_when_the_closed_form_arrives(exponent: int) -> None:
    start, rate = torch.tensor([0.01, 0.2], dtype=torch.float64), torch.tensor([0.4, 0.025], dtype=torch.float64)
    arrived = grown(start, rate, learning_time(start, 0.5, rate, exponent), exponent)
    torch.testing.assert_close(arrived, torch.full_like(start, 0.5), rtol=1e-12, atol=0)
    assert learning_time(torch.tensor([0.7]), 0.5, rate[:1], exponent).item() == 0
    never = learning_time(torch.tensor([-0.1]), 0.5, rate[:1], exponent).item()
    assert math.isinf(never) == (exponent > 1)


def test_the_importance_ratio_is_that_of_learning_times_of_features_that_start_alike() -> None:
    one, sigma, tiny = (torch.tensor(value, dtype=torch.float64) for value in (1.0, 3.0, 1e-6))
    ratio = importance_ratio(0.05 * one, one, 1 / 200, sigma, exponent=3)
    feature = learning_time(tiny, 0.5, 0.05 * one / 2, 3)
    noise = learning_time(sigma * tiny, 0.5, sigma**2 / 400, 3)
    assert ratio.item() == pytest.approx(10 / 27)
    assert (noise / feature).item() == pytest.approx(ratio.item(), rel=1e-4)


def test_normal_noise_is_nearly_orthonormal_in_many_dimensions() -> None:
    gram = geometry("gaussian", drawn(knobs(noise="gaussian", dimension=20_000))).gram
    assert gram is not None
    assert (gram - torch.eye(len(gram))).abs().max() < 0.06
