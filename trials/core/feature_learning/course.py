"""The course of several trainings as columns: what is measured, and beside it what the closed forms say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn.functional import softplus

from trials.core.feature_learning.growth import grown, growth_rate, importance_ratio, learning_time
from trials.core.feature_learning.projections import Descent, Projections

if TYPE_CHECKING:
    from jaxtyping import Float, Int64
    from torch import Tensor

Columns = Mapping[str, "Tensor"]
"""Column name -> values (trials,) or (trials, views); not a number where there is none."""

_COMPARED_BELOW = 0.5  # a prediction above it is no longer that of a lone projection


class Arrivals(NamedTuple):
    """When the largest projection over the channels first reached the threshold; infinite until then.

    Attributes:
        features: Of each feature.
        noise: Of each draw of the dominant noise.
    """

    features: Float[Tensor, "trials features"]
    noise: Float[Tensor, "trials draws"]

    def only(self, kept: Int64[Tensor, " kept"]) -> Arrivals:
        """Return the arrivals of some of the trainings."""
        return Arrivals(self.features[kept], self.noise[kept])

    def after(self, at: Projections, times: Float[Tensor, " trials"], threshold: float) -> Arrivals:
        """Return the arrivals with those of the present."""
        return Arrivals(
            _earliest(self.features, at.features.amax(1), times, threshold),
            _earliest(self.noise, at.noise[:, :, 0].amax(1), times, threshold),
        )


def none_yet(at: Projections) -> Arrivals:
    """Return arrivals before anything has arrived."""
    return Arrivals(torch.full_like(at.features[:, 0], torch.inf), torch.full_like(at.noise[:, 0, 0], torch.inf))


def _earliest(known: Tensor, largest: Tensor, times: Tensor, threshold: float) -> Tensor:
    return torch.minimum(known, torch.where(largest >= threshold, times[:, None], torch.inf))


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

    start: Projections
    feature_rates: Float[Tensor, "trials features"]
    noise_rates: Float[Tensor, "trials noises"]
    ratios: Float[Tensor, "trials features"]
    exponent: int

    def only(self, kept: Int64[Tensor, " kept"]) -> Forecast:
        """Return the forecast of some of the trainings."""
        rates = self.feature_rates[kept], self.noise_rates[kept]
        return Forecast(self.start.only(kept), *rates, self.ratios[kept], self.exponent)

    def arrivals(self, threshold: float) -> Arrivals:
        """Return when the largest projection over the channels reaches the threshold."""
        features, noise = self._largest
        return Arrivals(
            learning_time(features, threshold, self.feature_rates, self.exponent),
            learning_time(noise, threshold, self.noise_rates[:, :1], self.exponent),
        )

    def largest(self, times: Float[Tensor, " trials"]) -> tuple[Tensor, Tensor]:
        """Return the largest projection over the channels on features and on draws of the dominant noise."""
        features, noise = self._largest
        return (
            grown(features, self.feature_rates, times[:, None], self.exponent),
            grown(noise, self.noise_rates[:, :1], times[:, None], self.exponent),
        )

    def flat_until(self, level: float) -> Float[Tensor, " trials"]:
        """Return the time at which the first projection of any patch reaches a level."""
        features = learning_time(self.start.features.amax(1), level, self.feature_rates, self.exponent)
        noise = learning_time(self.start.noise.amax((1, 3)), level, self.noise_rates, self.exponent)
        return torch.minimum(features.amin(1), noise.amin(1))

    def at(self, times: Float[Tensor, " trials"]) -> Projections:
        """Return all projections at a time."""
        rates, moments = self.feature_rates[:, None], times[:, None, None]
        return Projections(
            grown(self.start.features, rates, moments, self.exponent),
            grown(self.start.noise, self.noise_rates[:, None, :, None], moments[..., None], self.exponent),
        )

    @property
    def _largest(self) -> tuple[Tensor, Tensor]:
        return self.start.features.amax(1), self.start.noise[:, :, 0].amax(1)


def forecast(descent: Descent, start: Projections) -> Forecast:
    """Return the closed forms of trainings that start there."""
    frequencies = descent.alignments.mean((2, 3))
    noise_frequency = 1 / descent.alignments.shape[2]
    dominant = descent.noise_magnitudes[:, :1]
    return Forecast(
        start=start,
        feature_rates=growth_rate(frequencies, descent.feature_magnitudes),
        noise_rates=growth_rate(torch.full_like(descent.noise_magnitudes, noise_frequency), descent.noise_magnitudes),
        ratios=importance_ratio(frequencies, descent.feature_magnitudes, noise_frequency, dominant, descent.exponent),
        exponent=descent.exponent,
    )


def fit_columns(descent: Descent, at: Projections) -> Columns:
    """Return loss, accuracy and mean weight of the training samples."""
    margins = descent.margins(at).flatten(1)
    return {
        "train_loss": softplus(-margins).mean(1),
        "train_acc": (margins > 0).double().mean(1),
        "mean_g": torch.sigmoid(-margins).mean(1),
    }


def growth_columns(at: Projections, told: Forecast, times: Float[Tensor, " trials"], views: int) -> Columns:
    """Return the largest projections over the channels, measured and as the closed forms have them."""
    features, noise = at.features.amax(1), at.noise[:, :, 0].amax(1)
    expected, expected_noise = told.largest(times)
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


def arrival_columns(reached: Arrivals, told: Forecast, threshold: float, views: int) -> Columns:
    """Return the learning times so far, those of the closed forms, and the importance ratios."""
    expected = told.arrivals(threshold)
    return {
        "time_view_half": reached.features[:, :views],
        "time_view_half_pred": expected.features[:, :views],
        "time_spurious_half": _spurious(reached.features, views),
        "time_spurious_half_pred": _spurious(expected.features, views),
        # The lower median: between an infinite time and a finite one nothing can be interpolated.
        "time_noise_half_median": reached.noise.median(1).values,
        "time_noise_half_median_pred": expected.noise.median(1).values,
        "importance_ratio": told.ratios[:, :views],
    }


def _spurious(features: Float[Tensor, "trials features"], views: int) -> Float[Tensor, " trials"]:
    return features[:, views] if features.shape[1] > views else torch.full_like(features[:, 0], torch.nan)


def _relative_error(measured: Tensor, expected: Tensor) -> Tensor:
    error = (measured - expected).abs() / expected.abs()
    return torch.where((expected < _COMPARED_BELOW) & (expected != 0), error, torch.nan)
