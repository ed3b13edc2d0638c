"""Knobs of the study of the patch model, and the bounds within which its steps follow the theory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from trials.core.knobs import knob
from trials.multi_view.patch_knobs import PatchKnobs, largest_magnitude

EXPONENTS, NOISES, FLAT_PHASES = (1, 2, 3, 4), ("orthonormal", "gaussian"), ("steps", "closed_form")
# Relative growth of the noise in a step, at a projection of 1, beyond which discrete steps overshoot. At q = 4 a flat
# phase of 1e5 units of time needs long steps, and only the last of them before 1 are as coarse.
LARGEST_GROWTH: Mapping[int, float] = MappingProxyType({1: math.inf, 2: 0.1, 3: 0.1, 4: 1.0})
_RATES: Mapping[int, float] = MappingProxyType({1: 0.02, 2: 0.2, 3: 1.0, 4: 20.0})


@dataclass(frozen=True, kw_only=True)
class MultiViewKnobs(PatchKnobs):
    """All that decides the outcome of one training.

    Raises:
        ValueError: Noise has no room, steps overshoot, or what was asked for has no closed form.
    """

    exponent: int = knob("power of the activation near 0 (q): 1 is a linear network", 3, choices=EXPONENTS)
    channels: int = knob("units that look at every patch (C)", 8, unit="units", at_least=1)
    initial_scale: float = knob("standard deviation of the first weights (sigma_0)", 0.01, above=0)
    noise: str = knob("how noise patches lie to each other and to the features", "orthonormal", choices=NOISES)
    dimension: int = knob("entries of a patch (d)", 2000, at_least=2)
    steps: int = knob("gradient steps at most", 40_000, unit="steps", at_least=1)
    target_loss: float = knob("training loss at which training ends", 0.01, unit="nats", above=0)
    learning_rate_factor: float = knob("step length relative to the rule for this exponent and magnitude", 1.0, above=0)
    flat_phase: str = knob("how the time before anything is learned passes", "steps", choices=FLAT_PHASES)
    threshold: float = knob("projection from which a feature counts as learned", 0.5, above=0, at_most=1)
    test_samples: int = knob("fresh samples of each kind", 2000, unit="samples", at_least=1)
    test_noise_overlaps: bool = knob("whether fresh noise is normal where the training set's is orthonormal", False)
    measurements_per_decade: int = knob("measured steps a factor of ten in steps", 6, at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        draws = self.shape.draws + self.passing_draws * self.steps
        directions = self.shape.features + self.shape.noises * draws
        if self.noise == "orthonormal" and self.dimension < directions:
            raise ValueError(f"dimension={self.dimension} has no room for {directions} orthonormal directions")
        if self.dimension < self.shape.features:
            raise ValueError(f"dimension={self.dimension} has no room for {self.shape.features} orthonormal features")
        if self.flat_phase == "closed_form" and self.noise != "orthonormal":
            raise ValueError(f"flat_phase=closed_form needs noise=orthonormal, got noise={self.noise}")
        if self.flat_phase == "closed_form" and self.draws_every_step:
            raise ValueError("flat_phase=closed_form needs augmentation_draws=once, got every_step")
        if self.noise != "orthonormal" and self.passing_draws:  # overlaps with all noise ever drawn would matter
            raise ValueError(f"augmentation_draws=every_step with new noise needs noise=orthonormal, got {self.noise}")
        if self.test_noise_overlaps and (self.noise != "orthonormal" or self.passing_draws):
            raise ValueError("test_noise_overlaps needs noise=orthonormal, drawn once")
        largest = self._stable_rate / self._rule
        if self.learning_rate_factor > largest:
            raise ValueError(
                f"learning_rate_factor={self.learning_rate_factor:g} overshoots: at most {largest:.4g} for "
                f"exponent={self.exponent}, samples={self.samples} and this noise"
            )

    @property
    def learning_rate(self) -> float:
        """Step length along the gradient, the same for every augmentation."""
        return self.learning_rate_factor * self._rule

    @property
    def _rule(self) -> float:
        by_magnitude = _RATES[self.exponent] / max(1.0, largest_magnitude(self) ** 2 / 5)
        return min(by_magnitude, self._stable_rate)

    @property
    def _stable_rate(self) -> float:
        growth = self.noise_magnitude**2 * self.noise_scale**2 * (self.exponent - 1) / self.samples
        return LARGEST_GROWTH[self.exponent] / growth if growth else math.inf
