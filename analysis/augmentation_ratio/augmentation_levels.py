"""Levels of augmentation on CIFAR-10: each network's trials beside the published table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd

from analysis.augmentation_ratio.arm_curves import MEANS
from analysis.core.augmentation_worth import ACCURACY, ARM, COPIES, RATIO, TRANSFORM
from analysis.core.curves import SHARE, draw_interval_band
from analysis.core.figures import Drawing, looks
from analysis.core.pages import axes_grid
from analysis.core.seed_means import seed_means

LEVELS = ("none", "basic", "advanced")
# CIFAR-10 test accuracy, of the slides to Shen, Bubeck and Gunasekar, arXiv 2203.01572.
PUBLISHED: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {"resnet18_cifar": (0.90, 0.96, 0.98), "cait_xxs36": (0.77, 0.88, 0.97), "vit_tiny": (0.75, 0.86, 0.96)}
)
_NETWORK, _SIZE = "network", "data_train_size"
_KNOBS = [ARM, TRANSFORM, "mixing"]
_FRESH: Mapping[tuple[str, str], str] = MappingProxyType(
    {("flip+crop4", "none"): "basic", ("advanced", "mixup_or_cutmix"): "advanced"}
)


def levels(trials: pd.DataFrame) -> Drawing | None:
    """Return CIFAR-10 accuracy without, with basic and with advanced augmentation beside what was published."""
    whole = trials[(trials[RATIO] == 1) & (trials["data_name"] == "cifar10")]
    whole = whole.assign(level=[level_of(*knobs) for knobs in whole[_KNOBS].itertuples(index=False)])
    whole = whole[whole["level"] != ""]
    if whole["level"].nunique() < 2:
        return None
    means = seed_means(whole.assign(place=whole["level"].map(LEVELS.index)), [_NETWORK, _SIZE, "place"], ACCURACY)
    figure, grid = axes_grid(1, 1, size=(6.2, 3.4), title=f"CIFAR-10; {MEANS}; dashed: published")
    axes = grid[0, 0]
    curves = {
        f"{network}, {size:,} images" if size else str(network): curve
        for (network, size), curve in means.groupby([_NETWORK, _SIZE])
    }
    look_of = looks([*PUBLISHED, *curves])
    for label, curve in curves.items():
        draw_interval_band(axes, curve, "place", look=look_of[label], label=label, within=SHARE)
    line: Mapping[str, Any] = {"linestyle": "--", "markerfacecolor": "white", "linewidth": 1}
    for name, accuracies in PUBLISHED.items():
        colour, marker = look_of[name]
        axes.plot(range(len(LEVELS)), accuracies, color=colour, marker=marker, label=f"{name}, published", **line)
    axes.set(xlabel="augmentation", ylabel="test accuracy")
    axes.set_xticks(range(len(LEVELS)), LEVELS)
    figure.legend(loc="outside right center")
    return Drawing(figure, _beside_published(means), "levels")


def _beside_published(means: pd.DataFrame) -> pd.DataFrame:
    """Return means of a network and level with what was published of them; either may be missing."""
    published = pd.DataFrame(
        {_NETWORK: network, "place": place, "published": value}
        for network, values in PUBLISHED.items()
        for place, value in enumerate(values)
    )
    table = published.merge(means, on=[_NETWORK, "place"], how="outer").sort_values([_NETWORK, _SIZE, "place"])
    return table.assign(level=[LEVELS[place] for place in table["place"]])


def level_of(arm: str, transform: str, mixing: str) -> str:
    """Return the level of augmentation that knobs mean, empty if it is none of the table's."""
    if arm == COPIES:
        return "none"
    return _FRESH.get((transform, mixing), "") if arm == "fresh_aug" else ""
