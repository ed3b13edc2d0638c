"""Scores of features in the patch model, as ratios whose boundary is 1, and the diagrams with these lines.

A feature's score is its frequency times its magnitude^q; the higher one is learned first. Derived from the growth law
of Shen, Bubeck and Gunasekar, arXiv 2203.01572.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas as pd

NOISE, SHARE, SAMPLES, EXPONENT = "noise_magnitude", "rare_share", "samples", "exponent"
NOISE_SCALE, SPURIOUS_SCALE, MINORITY = "noise_scale", "spurious_scale", "minority_share"
CHANNELS, SCALE = "channels", "initial_scale"
ARM, COPIES, DRAWS = "augmentation", "augmentation_copies", "augmentation_draws"
RARE, COMMON, MINORITY_ACC = "final_test_acc_rare_mean", "final_test_acc_common", "final_minority_acc"
RATIO = "final_importance_ratio"
LEVEL = 0.75  # half-way between chance and all

LABELS: Mapping[str, str] = MappingProxyType(
    {
        NOISE: "norm of the noise σ",
        SHARE: "share of each rare view ρ",
        SAMPLES: "training samples n",
        EXPONENT: "exponent q",
        NOISE_SCALE: "scale of the noise after pretraining",
        SPURIOUS_SCALE: "scale of the spurious feature after pretraining",
        MINORITY: "share of the minority α",
        RARE: "test accuracy of rare views",
        COMMON: "test accuracy of the common view",
        MINORITY_ACC: "test accuracy of the minority",
        RATIO: "importance ratio nρ/σ^q",
        COPIES: "copies of the training set",
        CHANNELS: "channels C",
        SCALE: "scale of the first weights σ₀",
    }
)

Ratio = Callable[[pd.DataFrame], Any]


def rare_view_ratio(knobs: pd.DataFrame) -> Any:
    """Return n ρ m^q / σ^q of rare views without augmentation, from columns of knobs; none at q = 1, where all grow."""
    norm = knobs[NOISE] * knobs[NOISE_SCALE] / knobs["view_magnitude"]
    return (knobs[SAMPLES] * knobs[SHARE] / norm ** knobs[EXPONENT]).where(knobs[EXPONENT] > 1)


def true_over_spurious(knobs: pd.DataFrame) -> Any:
    """Return the score of the true feature over that of the spurious one: m^q / ((1-2α) (s m_u)^q)."""
    norm = knobs["spurious_magnitude"] * knobs[SPURIOUS_SCALE] / knobs["view_magnitude"]
    return 1 / ((1 - 2 * knobs[MINORITY]) * norm ** knobs[EXPONENT])


def true_over_noise(knobs: pd.DataFrame) -> Any:
    """Return the score of the true feature over that of the noise, among the minority alone: α n m^q / (s σ)^q."""
    norm = knobs[NOISE] * knobs[NOISE_SCALE] / knobs["view_magnitude"]
    return knobs[MINORITY] * knobs[SAMPLES] / norm ** knobs[EXPONENT]


@dataclass(frozen=True)
class Plane:
    """Two knobs as the axes of a diagram, and the lines that the theory draws there.

    Attributes:
        horizontal: Knob on the horizontal axis; along it the response falls or rises.
        vertical: Knob on the vertical axis.
        response: What the colour shows.
        ratios: Ratios of scores; the boundary is where one is 1.
        level: Response half-way between that of a feature that is not learned and that of one that is.
    """

    horizontal: str
    vertical: str
    response: str
    ratios: tuple[Ratio, ...]
    level: float = LEVEL


_RARE, _SPURIOUS = (rare_view_ratio,), (true_over_spurious, true_over_noise)
PLANES = (
    Plane(NOISE, SHARE, RARE, _RARE),
    Plane(NOISE, SAMPLES, RARE, _RARE),
    Plane(SHARE, EXPONENT, RARE, _RARE),
    Plane(NOISE, CHANNELS, RARE, _RARE),
    Plane(NOISE, SCALE, RARE, _RARE),
    Plane(NOISE_SCALE, SPURIOUS_SCALE, MINORITY_ACC, _SPURIOUS, 0.5),
    Plane(NOISE_SCALE, MINORITY, MINORITY_ACC, _SPURIOUS, 0.5),
)
