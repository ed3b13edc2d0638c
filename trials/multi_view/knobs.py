"""Knobs of the patch model: its training set, its network, and the bounds within which its steps follow the theory.

Each sample has one patch y m v_k with a view k, one patch of noise, and where the model has a spurious feature a patch
a m_u u whose attribute a is the label but for a minority. The rest is background.

Source: Shen, Bubeck and Gunasekar, arXiv 2203.01572; counts, positions and the attribute's law are choices made here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from trials.core.knobs import TrialKnobs, knob

EXPONENTS, NOISES, FLAT_PHASES = (1, 2, 3, 4), ("orthonormal", "gaussian"), ("steps", "closed_form")
# Relative growth of the noise in a step, at a projection of 1, beyond which discrete steps overshoot. At q = 4 a flat
# phase of 1e5 units of time needs long steps, and only the last of them before 1 are as coarse.
LARGEST_GROWTH: Mapping[int, float] = MappingProxyType({1: math.inf, 2: 0.1, 3: 0.1, 4: 1.0})
_RATES: Mapping[int, float] = MappingProxyType({1: 0.02, 2: 0.2, 3: 1.0, 4: 20.0})


class Augmentation(NamedTuple):
    """What the copies of a training set change; the first copy is the original.

    Attributes:
        shifts_views: Copy j carries view k + j (cyclically) where the original carries view k.
        redraws_noise: Copies have noise of their own.
    """

    shifts_views: bool
    redraws_noise: bool


AUGMENTATIONS: Mapping[str, Augmentation] = MappingProxyType(
    {
        "none": Augmentation(shifts_views=False, redraws_noise=False),
        "views_fresh_noise": Augmentation(shifts_views=True, redraws_noise=True),
        "views_shared_noise": Augmentation(shifts_views=True, redraws_noise=False),
        "fresh_noise": Augmentation(shifts_views=False, redraws_noise=True),
    }
)


class PatchShape(NamedTuple):
    """Sizes of a training set.

    Attributes:
        features: Views, and the spurious feature if there is one.
        noises: Patches of a sample that are noise: the dominant one and the background.
        draws: Independent draws of the noise.
        sharing: Samples that share a draw.
    """

    features: int
    noises: int
    draws: int
    sharing: int


@dataclass(frozen=True, kw_only=True)
class MultiViewKnobs(TrialKnobs):
    """All that decides the outcome of one training. Numbers that mean the same training set are recorded as one.

    Raises:
        ValueError: A view has no sample, there are more copies than they can differ, noise has no room, steps
            overshoot, or what was asked for has no closed form.
    """

    samples: int = knob("training samples before augmentation (n)", 200, unit="samples", at_least=1)
    views: int = knob("good features, of which a sample carries one (K)", 5, at_least=1)
    rare_share: float = knob("share of the samples that carries each view but the first", 0.05, above=0, at_most=1)
    counts: str = knob("samples of a view: the share rounded, or drawn", "exact", choices=("exact", "multinomial"))
    view_magnitude: float = knob("norm of a view's patch", 1.0, above=0)
    noise_magnitude: float = knob("norm of a noise patch before pretraining (sigma)", 1.0, above=0)
    noise_scale: float = knob("factor by which pretraining shrinks the noise", 1.0, above=0)
    spurious_magnitude: float = knob("norm of the spurious patch before pretraining, 0 = none", 0.0, at_least=0)
    spurious_scale: float = knob("factor by which pretraining shrinks the spurious feature", 1.0, above=0)
    minority_share: float = knob("share of samples whose spurious feature is wrong", 0.05, at_least=0, at_most=0.5)
    patches: int = knob("patches of an input, the background's included", 2, at_least=2)
    background_magnitude: float = knob("norm of a background patch, 0 = none", 0.0, at_least=0)
    augmentation: str = knob("what copies of the training set change", "none", choices=tuple(AUGMENTATIONS))
    augmentation_copies: int = knob("copies, the original included; 0 = as many as views", 0, at_least=0)
    augmentation_draws: str = knob("when copies but the original are drawn", "once", choices=("once", "every_step"))
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
        if self.augmentation == "none":
            object.__setattr__(self, "augmentation_copies", 0)
        super().__post_init__()
        if self.copies == 1:  # nothing is drawn
            object.__setattr__(self, "augmentation_draws", "once")
        if self.patches < 2 + self.has_spurious:
            raise ValueError(f"patches={self.patches} leaves no room for view, noise and spurious feature")
        if self.arm.shifts_views and not self.draws_every_step and self.augmentation_copies > self.views:
            raise ValueError(
                f"augmentation_copies={self.augmentation_copies} exceeds views={self.views}: copies repeat"
            )
        common = 1 - (self.views - 1) * self.rare_share
        if self.views > 1 and min(common, self.rare_share) * self.samples < 0.5:
            raise ValueError(
                f"rare_share={self.rare_share:g} of samples={self.samples} leaves one of views={self.views} no sample"
            )
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
    def has_spurious(self) -> bool:
        """Whether samples carry a spurious feature."""
        return self.spurious_magnitude > 0

    @property
    def arm(self) -> Augmentation:
        """What copies of the training set change."""
        return AUGMENTATIONS[self.augmentation]

    @property
    def draws_every_step(self) -> bool:
        """Whether each step draws copies of its own beside the originals."""
        return self.augmentation_draws == "every_step"

    @property
    def drawn_shifts(self) -> range:
        """How far a copy that a step draws may shift its view: as copies drawn once do, the original's 0 left out."""
        return range(1, max(self.views, 2)) if self.arm.shifts_views else range(1)

    @property
    def copies(self) -> int:
        """Copies of the training set that a step trains on, the original included."""
        return 1 if self.augmentation == "none" else self.augmentation_copies or self.views

    @property
    def lasting_copies(self) -> int:
        """Those of the copies that all steps have in common."""
        return 1 if self.draws_every_step else self.copies

    @property
    def passing_draws(self) -> int:
        """Draws of a noise patch that each step meets and no other step does."""
        return self.samples * (self.copies - 1) if self.draws_every_step and self.arm.redraws_noise else 0

    @property
    def shape(self) -> PatchShape:
        """The sizes that decide the shapes of tensors."""
        redrawn, copies = self.arm.redraws_noise, self.lasting_copies
        background = self.patches - 2 - self.has_spurious if self.background_magnitude else 0
        return PatchShape(
            features=self.views + self.has_spurious,
            noises=1 + background,
            draws=self.samples * (copies if redrawn else 1),
            sharing=1 if redrawn else copies,
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


def noise_magnitudes(knobs: MultiViewKnobs) -> list[float]:
    """Return the norms of a sample's noise patches after pretraining: the dominant one, then the background."""
    dominant = knobs.noise_magnitude * knobs.noise_scale
    return [dominant] + [knobs.background_magnitude] * (knobs.shape.noises - 1)


def largest_magnitude(knobs: MultiViewKnobs) -> float:
    """Return the largest norm of a patch."""
    return max(knobs.view_magnitude, knobs.spurious_magnitude * knobs.spurious_scale, *noise_magnitudes(knobs))
