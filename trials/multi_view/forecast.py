"""Several trainings as columns: what is measured, and beside it the closed forms of growth while nothing is fitted.

While the outputs are small, each sample pulls with a weight of 1/2, and a projection z of a channel grows by
dz/dt = r psi'(z), whatever the other features do. The rate r is half of frequency times squared magnitude.

Source of the growth law: Shen, Bubeck and Gunasekar, arXiv 2203.01572. Its integrals and the importance ratio are
derived from it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import softplus

from trials.core.training.places import of_lanes
from trials.multi_view.projections import largest_of_channels

if TYPE_CHECKING:
    from jaxtyping import Float, Int64
    from torch import Tensor

    from trials.core.training.places import Vector
    from trials.multi_view.projections import Projected

Columns = Mapping[str, "Tensor"]
"""Column name -> values (trials,) or (trials, views); not a number where there is none."""

_COMPARED_BELOW = 0.5  # a prediction above it is no longer that of a lone projection


def growth_rate(frequency: Float[Tensor, " ..."], magnitude: Float[Tensor, " ..."]) -> Float[Tensor, " ..."]:
    """Return r = frequency x magnitude^2 / 2."""
    return frequency * magnitude.square() / 2


def learning_time(
    start: Float[Tensor, " ..."], end: float, rate: Float[Tensor, " ..."], exponent: int
) -> Float[Tensor, " ..."]:
    """Return the time in which a projection grows from `start` to `end` <= 1.

    A projection that is not positive never arrives, unless the network is linear (q = 1): it creeps up towards 0.
    """
    if exponent == 1:
        time = (end - start) / rate
    else:
        positive = start.clamp(min=torch.finfo(start.dtype).tiny)
        time = (_transformed(torch.full_like(start, end), exponent) - _transformed(positive, exponent)) / rate
        time = torch.where(start > 0, time, torch.inf)
    return torch.where(start >= end, 0.0, time)


def grown(
    start: Float[Tensor, " ..."], rate: Float[Tensor, " ..."], time: Float[Tensor, " ..."], exponent: int
) -> Float[Tensor, " ..."]:
    """Return a projection from (-1, 1) after a time; where it has passed 1 it grows linearly."""
    if exponent == 1:
        return start + rate * time
    magnitude, sign = start.abs().clamp(min=torch.finfo(start.dtype).tiny), torch.sign(start)
    arrival = (_transformed(torch.ones_like(magnitude), exponent) - _transformed(magnitude, exponent)) / rate
    arrived = (sign > 0) & (time >= arrival)
    moving = torch.where(arrived, 0.0, time)
    below = sign * _inverse(_transformed(magnitude, exponent) + sign * rate * moving, exponent)
    return torch.where(arrived, 1 + rate * (time - arrival), below)


def importance_ratio(
    frequency: Float[Tensor, " ..."],
    magnitude: Float[Tensor, " ..."],
    noise_frequency: float,
    noise_magnitude: Float[Tensor, " ..."],
    exponent: int,
) -> Float[Tensor, " ..."]:
    """Return the score frequency x magnitude^q of a feature over that of a sample's noise: n rho m^q / sigma^q.

    Above 1 the feature is learned before the noise of its samples. At q = 2 this holds up to a ratio of logarithms; at
    q = 1 all features grow at once.
    """
    return frequency * magnitude**exponent / (noise_frequency * noise_magnitude**exponent)


def _transformed(z: Float[Tensor, " ..."], exponent: int) -> Float[Tensor, " ..."]:
    """Return the function of a positive projection that grows linearly, with slope r, for q >= 2."""
    return torch.log(z) if exponent == 2 else -(z ** (2 - exponent)) / (exponent - 2)


def _inverse(value: Float[Tensor, " ..."], exponent: int) -> Float[Tensor, " ..."]:
    return torch.exp(value) if exponent == 2 else (-(exponent - 2) * value) ** (-1 / (exponent - 2))


@dataclass(frozen=True, eq=False)
class Forecast:
    """The closed forms of several trainings: each projection grows by itself.

    Attributes:
        start: Where the projections start.
        feature_rates: Rate r of each feature.
        noise_rates: Rate r of each noise patch.
        ratios: Importance ratio of each feature to the dominant noise.
        exponent: The network's q.
    """

    start: Vector
    feature_rates: Float[Tensor, "trials features"]
    noise_rates: Float[Tensor, "trials noises"]
    ratios: Float[Tensor, "trials features"]
    exponent: int

    def only(self, kept: Int64[Tensor, " kept"]) -> Forecast:
        """Return the forecast of some of the trainings."""
        rates = self.feature_rates[kept], self.noise_rates[kept]
        return Forecast(of_lanes(self.start, kept), *rates, self.ratios[kept], self.exponent)

    def arrivals(self, threshold: float) -> Vector:
        """Return when the largest projections over the channels reach the threshold."""
        return {
            name: learning_time(value, threshold, self._dominant_rates[name], self.exponent)
            for name, value in largest_of_channels(self.start).items()
        }

    def largest(self, times: Float[Tensor, " trials"]) -> Vector:
        """Return the largest projections over the channels at a time."""
        return {
            name: grown(value, self._dominant_rates[name], times[:, None], self.exponent)
            for name, value in largest_of_channels(self.start).items()
        }

    def flat_until(self, level: float) -> Float[Tensor, " trials"]:
        """Return the time at which the first projection of any patch reaches a level."""
        features = learning_time(self.start["features"].amax(1), level, self.feature_rates, self.exponent)
        noise = learning_time(self.start["noise"].amax((1, 3)), level, self.noise_rates, self.exponent)
        return torch.minimum(features.amin(1), noise.amin(1))

    def at(self, times: Float[Tensor, " trials"]) -> Vector:
        """Return all projections at a time."""
        rates, moments = self.feature_rates[:, None], times[:, None, None]
        return {
            "features": grown(self.start["features"], rates, moments, self.exponent),
            "noise": grown(self.start["noise"], self.noise_rates[:, None, :, None], moments[..., None], self.exponent),
        }

    @property
    def _dominant_rates(self) -> Vector:
        return {"features": self.feature_rates, "noise": self.noise_rates[:, :1]}


def forecast(
    projected: Projected, alignments: Float[Tensor, "trials features draws sharing"], start: Vector
) -> Forecast:
    """Return the closed forms of trainings on samples of these alignments that start there."""
    frequencies, noise_frequency = alignments.mean((2, 3)), 1 / alignments.shape[2]
    features, noise, exponent = projected.feature_magnitudes, projected.noise_magnitudes, projected.exponent
    return Forecast(
        start=start,
        feature_rates=growth_rate(frequencies, features),
        noise_rates=growth_rate(torch.full_like(noise, noise_frequency), noise),
        ratios=importance_ratio(frequencies, features, noise_frequency, noise[:, :1], exponent),
        exponent=exponent,
    )


def fit_columns(margins: Float[Tensor, "trials draws sharing"]) -> Columns:
    """Return loss, accuracy and mean weight of the training samples."""
    margins = margins.flatten(1)
    return {
        "train_loss": softplus(-margins).mean(1),
        "train_acc": (margins > 0).double().mean(1),
        "mean_g": torch.sigmoid(-margins).mean(1),
    }


def growth_columns(at: Vector, told: Forecast, times: Float[Tensor, " trials"], views: int) -> Columns:
    """Return the largest projections over the channels, measured and as the closed forms have them."""
    (features, noise), (expected, expected_noise) = largest_of_channels(at).values(), told.largest(times).values()
    low, middle, high = noise.quantile(torch.tensor([0.1, 0.5, 0.9]).to(noise), dim=1)
    expected_middle = expected_noise.quantile(0.5, dim=1)
    return {
        "proj_view_max": features[:, :views],
        "proj_spurious_max": _spurious(features, views),
        "proj_noise_max_median": middle,
        "proj_noise_max_q10": low,
        "proj_noise_max_q90": high,
        "ode_view_pred": expected[:, :views],
        "ode_noise_pred": expected_middle,
        "ode_rel_err_view": _relative_error(features[:, :views], expected[:, :views]),
        "ode_rel_err_noise": _relative_error(middle, expected_middle),
    }


def arrival_columns(reached: Vector, told: Forecast, threshold: float, views: int) -> Columns:
    """Return the learning times so far, those of the closed forms, and the importance ratios."""
    expected = told.arrivals(threshold)
    return {
        "time_view_half": reached["features"][:, :views],
        "time_view_half_pred": expected["features"][:, :views],
        "time_spurious_half": _spurious(reached["features"], views),
        "time_spurious_half_pred": _spurious(expected["features"], views),
        # The lower median: between an infinite time and a finite one nothing can be interpolated.
        "time_noise_half_median": reached["noise"].median(1).values,
        "time_noise_half_median_pred": expected["noise"].median(1).values,
        "importance_ratio": told.ratios[:, :views],
    }


def _spurious(features: Float[Tensor, "trials features"], views: int) -> Float[Tensor, " trials"]:
    return features[:, views] if features.shape[1] > views else torch.full_like(features[:, 0], torch.nan)


def _relative_error(measured: Tensor, expected: Tensor) -> Tensor:
    error = (measured - expected).abs() / expected.abs()
    return torch.where((expected < _COMPARED_BELOW) & (expected != 0), error, torch.nan)
