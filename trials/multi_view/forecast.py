"""Several trainings as columns: what is measured, and beside it what the closed forms say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import softplus

from trials.core.training.places import of_lanes
from trials.multi_view.growth import grown, growth_rate, importance_ratio, learning_time
from trials.multi_view.projections import largest_of_channels

if TYPE_CHECKING:
    from jaxtyping import Float, Int64
    from torch import Tensor

    from trials.core.training.places import Vector
    from trials.multi_view.projections import Projected

Columns = Mapping[str, "Tensor"]
"""Column name -> values (trials,) or (trials, views); not a number where there is none."""

_COMPARED_BELOW = 0.5  # a prediction above it is no longer that of a lone projection


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
