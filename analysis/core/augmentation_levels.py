"""The published table of augmentation levels beside trials of the same architectures."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from analysis.core.arm_curves import MEANS
from analysis.core.augmentation_worth import ACCURACY, ARM, COPIES, RATIO, TRANSFORM
from analysis.core.curves import draw_interval_band
from analysis.core.figures import COLOURS, Drawing
from analysis.core.pages import axes_grid
from analysis.core.seed_means import seed_means

LEVELS = ("none", "basic", "advanced")
# CIFAR-10 test accuracy, of the slides to Shen, Bubeck and Gunasekar, arXiv 2203.01572.
PUBLISHED: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {"resnet18_cifar": (0.90, 0.96, 0.98), "cait_xxs36": (0.77, 0.88, 0.97), "vit_tiny": (0.75, 0.86, 0.96)}
)
_KNOBS = [ARM, TRANSFORM, "mixing"]
_FRESH: Mapping[tuple[str, str], str] = MappingProxyType(
    {("flip+crop4", "none"): "basic", ("advanced", "mixup_or_cutmix"): "advanced"}
)


def levels(trials: pd.DataFrame) -> Drawing | None:
    """Return CIFAR-10 accuracy without, with basic and with advanced augmentation beside what was published."""
    whole = trials[(trials[RATIO] == 1) & (trials["data_name"] == "cifar10") & trials["network"].isin(list(PUBLISHED))]
    whole = whole.assign(level=[level_of(*knobs) for knobs in whole[_KNOBS].itertuples(index=False)])
    whole = whole[whole["level"] != ""]
    if whole["level"].nunique() < 2:
        return None
    figure, grid = axes_grid(1, 1, size=(4.6, 3.4), title=f"CIFAR-10; {MEANS}; dashed: published")
    axes, numbers = grid[0, 0], []
    for colour, (network, published) in zip(COLOURS, PUBLISHED.items(), strict=False):
        own = whole[whole["network"] == network]
        if not len(own):
            continue
        means = seed_means(own.assign(place=own["level"].map(LEVELS.index)), ["place"], ACCURACY)
        draw_interval_band(axes, means, "place", colour=colour, label=network)
        axes.plot(range(len(LEVELS)), published, "o--", color=colour, markerfacecolor="white", linewidth=1)
        told = pd.DataFrame({"place": range(len(LEVELS)), "level": LEVELS, "published": published})
        numbers.append(told.merge(means, on="place", how="left").assign(network=network))
    axes.set(xlabel="augmentation", ylabel="test accuracy")
    axes.set_xticks(range(len(LEVELS)), LEVELS)
    axes.legend()
    return Drawing(figure, pd.concat(numbers, ignore_index=True), "levels")


def level_of(arm: str, transform: str, mixing: str) -> str:
    """Return the level of augmentation that knobs mean, empty if it is none of the table's."""
    if arm == COPIES:
        return "none"
    return _FRESH.get((transform, mixing), "") if arm == "fresh_aug" else ""
