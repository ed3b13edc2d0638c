"""Knobs of the patch model's training set: which features each sample carries, how often, how large.

Each sample has one patch y m v_k with a view k, one patch of noise, and where the model has a spurious feature a patch
a m_u u whose attribute a is the label but for a minority. The rest is background.

Source: Shen, Bubeck and Gunasekar, arXiv 2203.01572; counts, positions and the attribute's law are choices made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from trials.core.knobs import TrialKnobs, knob


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


@dataclass(frozen=True, kw_only=True)
class PatchKnobs(TrialKnobs):
    """A training set of patches. Numbers that mean the same set are recorded as one.

    Raises:
        ValueError: A view has no sample, or there are more copies than they can differ.
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


def noise_magnitudes(knobs: PatchKnobs) -> list[float]:
    """Return the norms of a sample's noise patches after pretraining: the dominant one, then the background."""
    dominant = knobs.noise_magnitude * knobs.noise_scale
    return [dominant] + [knobs.background_magnitude] * (knobs.shape.noises - 1)


def largest_magnitude(knobs: PatchKnobs) -> float:
    """Return the largest norm of a patch."""
    return max(knobs.view_magnitude, knobs.spurious_magnitude * knobs.spurious_scale, *noise_magnitudes(knobs))
